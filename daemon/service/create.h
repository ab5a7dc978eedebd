/* daemon/service/create.h - CreateJob and PlanJob: a job file read, checked against model and data,
 * and queued.
 *
 * Reading models and data takes long and may go wrong in any way: a process of its own does it
 * (check.h), which ends with its client. What depends on the other jobs is checked after that, on
 * the loop's thread, in one go with the commit: of two jobs with one output folder, one is refused.
 */
#pragma once
#include "daemon/service/rpc.h"

/* on_message and on_gone of the two methods; their service is the struct runs. */
void create_on_create(struct rpc_call *call, const ProtobufCMessage *message);
void create_on_plan(struct rpc_call *call, const ProtobufCMessage *message);
void create_on_gone(struct rpc_call *call);
