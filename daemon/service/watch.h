/* daemon/service/watch.h - those who watch a job.
 *
 * A watcher is a cursor into the store, not a queue: whenever its stream can take more it is sent
 * what is new since it last was, a batch of steps at most. Replay and live are therefore the same
 * thing, nothing is missed or sent twice, and a client that reads slowly costs a cursor.
 *
 *   the job -> steps, and the job whenever it changes -> ... -> the final job -> end
 */
#pragma once
#include "daemon/service/rpc.h"
#include "daemon/service/run_table.h"

/* Starts sending run's steps from number from_step on. The call is the watcher's. */
int watch_add(struct run *run, struct rpc_call *call, int from_step, struct err *err);
/* There is news: of the run, or of its steps in the store. */
void watch_wake(struct run *run);

/* For the method's on_writable and on_gone. */
void watch_on_writable(struct rpc_call *call);
void watch_on_gone(struct rpc_call *call);
