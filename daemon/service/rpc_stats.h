/* daemon/service/rpc_stats.h - how many calls have ended, by method and status, since dashd began.
 */
#pragma once
#include <stdint.h>

enum { RPC_STATS_MAX = 512 };

struct rpc_stats { /* zero-initialise */
    struct rpc_stat {
        const char *method; /* its name alone; borrowed from its row */
        int status;         /* an enum rpc_status */
        uint64_t n;
    } items[RPC_STATS_MAX];
    int n;
};

/* path NULL: of no method that there is. */
void rpc_stats_count(struct rpc_stats *s, const char *path, int status);
