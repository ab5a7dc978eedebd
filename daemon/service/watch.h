/* daemon/service/watch.h - those who watch a job.
 *
 * A watcher is a cursor into the store, not a queue: whenever its stream can take more it is sent
 * what is new since it last was, a batch of steps at most. Replay and live are therefore the same
 * thing, nothing is missed or sent twice, and a client that reads slowly costs a cursor.
 *
 *   the job -> steps, events, and the job whenever it changes -> ... -> the final job -> end
 */
#pragma once
#include "daemon/service/rpc.h"
#include "daemon/service/run_table.h"

/* What a watcher has not had yet. */
struct watch_from {
    int step; /* the first that it is sent */
    bool events;
    int64_t after_event; /* it is sent those with greater ids */
};

/* The call is the watcher's from now on. */
int watch_add(struct run *run, struct rpc_call *call, const struct watch_from *from,
              struct err *err);
/* The run is about to be deleted: its watchers' calls end. */
void watch_end(struct run *run);
/* There is news: of the run, or of its steps in the store. */
void watch_wake(struct run *run);

/* For the method's on_writable and on_gone. */
void watch_on_writable(struct rpc_call *call);
void watch_on_gone(struct rpc_call *call);
