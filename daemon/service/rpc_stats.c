/* daemon/service/rpc_stats.c - see rpc_stats.h. There are some twenty methods with a few statuses
 * each. */
#include "daemon/service/rpc_stats.h"
#include <string.h>

static const char *name_of(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;

    return slash ? slash + 1 : "unknown";
}

void rpc_stats_count(struct rpc_stats *s, const char *path, int status)
{
    const char *method = name_of(path);
    int i;

    for (i = 0; i < s->n; i++)
        if (s->items[i].status == status && strcmp(s->items[i].method, method) == 0) {
            s->items[i].n++;
            return;
        }
    if (s->n < RPC_STATS_MAX)
        s->items[s->n++] = (struct rpc_stat){method, status, 1};
}
