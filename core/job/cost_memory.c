/* core/job/cost_memory.c - see cost.h: what processes and files take. */
#include "core/job/cost.h"
#include "core/job/directions.h"
#include <math.h>

static const double PROCESS = 20e6; /* MPI, its buffers and libraries; measured with Open MPI 4 */

double cost_worker_bytes(const struct cost_model *m, const struct cost_shape *shape,
                         const int *first, bool *ret_fits)
{
    struct worker_limits limits = m->limits;
    double most = 0;

    limits.worker_bytes = shape->worker_bytes;
    limits.threads = shape->threads;
    *ret_fits = true;
    for (int i = 0; i < shape->stages; i++) {
        struct worker_share share = {i, shape->stages, first[i], first[i + 1], 0};
        struct worker_memory memory;
        *ret_fits &= worker_memory_choose(&limits, m->config, m->trainable, &share);
        worker_memory_of(&limits, m->config, m->trainable, &share, &memory);
        most = fmax(most, worker_memory_sum(&memory));
    }
    return most;
}

double cost_spare_bytes(const struct job_parallel *parallel, const struct trainable *t,
                        double node_bytes, const struct cost_shape *shape)
{
    double bytes = parallel->memory > 0 ? parallel->memory : node_bytes;

    if (node_bytes > 0 && node_bytes < bytes)
        bytes = node_bytes;
    if (bytes <= 0)
        return 0;
    bytes = COST_MEMORY_USED * bytes - cost_coordinator_bytes(t, shape->stages, shape->replicas, 0);
    return bytes < 1 ? 1 : bytes / shape->workers_per_node;
}

static double direction_bytes(const struct trainable *t)
{
    struct direction_set s = {0};

    if (t->directions > 0)
        direction_set_size(&s, t->maps, t->n, t->directions);
    return 4.0 * (double)(s.rows + s.columns) * t->directions + 28.0 * t->n * t->directions;
}

double cost_checkpoint_bytes(const struct trainable *t)
{
    return 12.0 * (double)t->count + direction_bytes(t);
}

double cost_adapter_bytes(const struct trainable *t)
{
    double numbers = 0;

    for (int i = 0; i < t->n; i++) {
        const struct trainable_map *map = &t->maps[i];
        numbers += (map->rows + (double)map->columns) * (map->rank + t->directions);
    }
    return 4 * numbers;
}

enum { KEPT = 2 }; /* measured: vectors in buffers that grow by doubling and are used again */

/* Parameters, two moments and the gradient; the checkpoint that is being written, and what its
 * buffers keep; the messages to all workers or their answers; a tree of sums over the replicas of a
 * stage. */
double cost_coordinator_bytes(const struct trainable *t, int stages, int replicas, double data)
{
    double vector = 4.0 * (double)t->count;

    return PROCESS + (4 + KEPT) * vector + direction_bytes(t) + cost_checkpoint_bytes(t) +
           replicas * vector + (log2(replicas) + 1) * vector / stages + data;
}
