/* daemon/coordinator/memory_share.c - see memory_share.h. */
#include "daemon/coordinator/memory_share.h"
#include "core/job/cost.h"
#include "core/job/job_units.h"
#include "core/memory.h"
#include <stdio.h>

static double rows_bytes(const struct dataset *d)
{
    double bytes = (double)d->n * sizeof(struct example);

    for (long i = 0; i < d->n; i++)
        bytes += 2 * sizeof(int32_t) * (double)d->examples[i].n;
    return bytes;
}

static int workers_here(const struct job *job)
{
    int all = job_workers(&job->parallel), a_node = job->slurm.workers_per_node;

    return job->launcher == LAUNCHER_SLURM && a_node < all ? a_node : all;
}

static int share_out(const struct loaded *l, const struct workers *w, const char *limit,
                     struct buf *notices, struct memory_share *ret, struct err *err)
{
    const struct job *job = l->job;
    int n = workers_here(job);
    double coordinator = cost_coordinator_bytes(&l->layout, w->stages, w->replicas,
                                                rows_bytes(&l->train) + rows_bytes(&l->eval));
    double left = job->limits.memory - coordinator - n * w->largest_bytes, part;

    if (left < 0)
        return err_set(err, ERR_INVALID,
                       "limits.memory is %s, but the coordinator needs about %.0f MB and each of "
                       "%d workers about %.0f MB: resume the job with a greater limit (--set "
                       "limits.memory=...), or with more stages",
                       limit, coordinator / 1e6, n, w->largest_bytes / 1e6);
    part = l->whole ? coordinator / (coordinator + n * w->largest_bytes) : 0.5;
    *ret =
        (struct memory_share){coordinator + part * left, w->largest_bytes + (1 - part) * left / n};
    buf_printf(notices,
               "limits.memory of %s is kept by each process: %.0f MB for the coordinator, %.0f MB "
               "for a worker\n",
               limit, ret->coordinator / 1e6, ret->worker / 1e6);
    return 0;
}

int memory_share_choose(const struct loaded *l, const struct workers *w, struct buf *notices,
                        struct memory_share *ret, struct err *err)
{
    double limit = l->job->limits.memory;
    char text[UNIT_TEXT_MAX];

    *ret = (struct memory_share){0};
    if (limit == 0)
        return 0;
    bytes_print(limit, text);
    if (memory_total() > limit)
        return share_out(l, w, text, notices, ret, err);
    buf_printf(notices, "limits.memory of %s is kept by a control group\n", text);
    return 0;
}

int memory_share_keep(const struct memory_share *share, struct err *err)
{
    enum { THREADS = 24 }; /* of gRPC, mostly */

    if (share->coordinator == 0)
        return 0;
    return memory_keep_to(share->coordinator, memory_reserve(THREADS, false), err);
}

int memory_share_explain(const struct memory_share *share, int rc, struct err *err)
{
    char text[sizeof(err->text)];

    if (rc != ERR_NOMEM || share->coordinator == 0)
        return rc;
    snprintf(text, sizeof(text), "%s", err->text);
    return err_set(err, ERR_INVALID,
                   "limits.memory leaves the coordinator %.0f MB, and it needs more (%.700s): "
                   "resume the job with a greater limit (--set limits.memory=...)",
                   share->coordinator / 1e6, text);
}
