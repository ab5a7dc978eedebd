/* daemon/service/create.h - CreateJob and PlanJob: a job file read, held against model and data,
 * and queued.
 *
 * Reading models and data takes long: it is done by a thread of libuv's pool. What depends on
 * the other jobs is looked at after that, on the loop's thread, in one go with the commit: of two
 * jobs that want one output folder, one is refused.
 */
#pragma once
#include "daemon/service/rpc.h"

/* on_message of the two methods; their service is the struct runs. */
void create_on_create(struct rpc_call *call, const ProtobufCMessage *message);
void create_on_plan(struct rpc_call *call, const ProtobufCMessage *message);
