/* daemon/service/watch_list.h - WatchJobs: those who watch a list of jobs.
 *
 * A watcher keeps what it was sent of each job of its page: a number that counts its changes, and
 * its steps. What differs is sent, at most once in WATCH_LIST_MS, however much happens: a client
 * has the newest state of every job, and not each state between.
 */
#pragma once
#include "daemon/service/rpc.h"
#include "daemon/service/runs.h"

enum { WATCH_LIST_MS = 500 };

/* Sets runs->list_watchers. */
int watch_list_open(struct runs *runs, struct err *err);
void watch_list_close(
    struct runs *runs); /* when no call is open; the loop runs once more after it */
/* A job has changed, was added or is deleted. */
void watch_list_wake(struct runs *runs);

/* Of the method; its service is the struct runs. */
void watch_list_on_watch(struct rpc_call *call, const ProtobufCMessage *message);
void watch_list_on_writable(struct rpc_call *call);
void watch_list_on_gone(struct rpc_call *call);
