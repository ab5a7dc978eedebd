/* daemon/service/list.h - ListJobs and ListEvents: pages of jobs, and of what happened to one.
 *
 * A page of jobs begins after the id of the last job of the page before. Ids rise and the newest
 * job comes first, so that jobs which come or go between two pages shift nothing.
 */
#pragma once
#include "daemon/service/rpc.h"

/* on_message; their service is the struct runs. */
void list_on_jobs(struct rpc_call *call, const ProtobufCMessage *message);
void list_on_events(struct rpc_call *call, const ProtobufCMessage *message);
