/* daemon/service/http/metrics.h - GET metrics, in the text format of Prometheus (0.0.4): names of
 * base units, counters end in _total. Labels are few: jobs have series of their own only while they
 * run. What counts since dashd's start begins again with the next dashd. */
#pragma once
#include "daemon/service/http/http.h"
#include "daemon/service/http/metrics_memory.h"
#include "daemon/service/rpc_stats.h"
#include "daemon/service/runs.h"

struct metrics { /* borrows; must outlive the server */
    struct runs *runs;
    const struct rpc_stats *rpc;
    struct metrics_memory memory;
};

int metrics_register(struct http_server *server, struct metrics *m, struct err *err);
void metrics_close(struct metrics *m); /* after the server; one that is zeroed, too */
