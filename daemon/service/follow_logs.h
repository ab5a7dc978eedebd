/* daemon/service/follow_logs.h - FollowLogs: a job's log as it grows.
 *
 * The file is looked at every so often, since nothing reports when a log on a network file system
 * grows. Nothing is queued: what is new is read when the stream can take it. The stream ends when
 * the job has ended, is paused or is deleted, and all that was written by then has been sent.
 */
#pragma once
#include "daemon/service/rpc.h"

/* on_message, on_writable and on_gone; their service is the struct runs. */
void follow_logs_on_follow(struct rpc_call *call, const ProtobufCMessage *message);
void follow_logs_on_writable(struct rpc_call *call);
void follow_logs_on_gone(struct rpc_call *call);
