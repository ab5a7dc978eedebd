/* core/job/cost_memory.c - see cost.h: what processes and files take. */
#include "core/job/cost.h"
#include "core/job/directions.h"
#include "core/model/shard.h"
#include <math.h>

static const double PROCESS = 22e6; /* MPI, its buffers and libraries; measured with Open MPI 4 */
/* Vectors of the stage's trained numbers beside the four of parallel_shape_stage_bytes(): what came
 * with the step, the answer. The sums of the tree come on top. */
enum { VECTORS = 2, CHUNK_ROWS = 256 /* of the head at a time, worker/ops/loss.h */ };

/* Scratch of a layer for each row (worker/layer_memory.c). */
static double scratch_floats(const struct model_config *c)
{
    double C = c->hidden, F = c->intermediate, Q = (double)c->n_heads * c->head_dim;
    double N = Q + 2.0 * c->n_kv_heads * c->head_dim;

    return 3 * C + F + fmax(F, Q) + fmax(2 * F, N) + fmax(C, fmax(F, Q));
}

static double stage_bytes(const struct cost_model *m, const struct parallel_shape_limits *limits,
                          int stages, int stage, const int *first)
{
    double weights, rest, rows = m->data.largest;
    double trained = m->data.trained / m->data.micro_batches;
    int first_map, last_map;
    size_t begin, end;

    parallel_shape_stage_bytes(limits, m->config, m->trainable, stages, stage, first, &weights,
                               &rest);
    trainable_slice(m->trainable, first[stage], first[stage + 1], &first_map, &last_map, &begin,
                    &end);
    rest += 4.0 * (double)(end - begin) * (VECTORS + log2(m->data.micro_batches));
    rest += 4 * scratch_floats(m->config) * rows;
    if (stage == stages - 1)
        rest += 4 * fmin(trained, CHUNK_ROWS) * m->config->vocab;
    return PROCESS + weights + rest;
}

double cost_worker_bytes(const struct cost_model *m, const struct parallel_shape_limits *limits,
                         int stages, const int *first)
{
    double most = 0;

    for (int i = 0; i < stages; i++)
        most = fmax(most, stage_bytes(m, limits, stages, i, first));
    return most;
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
