/* core/job/parallel_shape.c - see parallel_shape.h. Every shape gives the same result, so the
 * choice is one of cost: the fewest stages that fit in memory, then as many replicas, a power of
 * two, as there are workers and micro-batches for. */
#include "core/job/parallel_shape.h"
#include "core/job/decomposition.h"
#include "core/model/shard.h"
#include <math.h>
#include <stdlib.h>

enum { MICRO_MIN = 4 };
enum {
    FIT_PERCENT = 85
}; /* of a worker's memory: the rest is for MPI, buffers and what is not counted here */

/* One matrix is decomposed at a time during training; at step t, as many as there is memory
 * for. */
static double largest_decomposition(const struct trainable *t)
{
    double most = 0;

    for (int i = 0; i < t->n && t->directions > 0; i++)
        most = fmax(most, decomposition_bytes(t->maps[i].rows, t->maps[i].columns));
    return most;
}

void parallel_shape_stage_bytes(int micro_batch_tokens, const struct model_config *c,
                                const struct trainable *t, int stages, int stage, int layers,
                                double *ret_weights, double *ret_rest)
{
    int in_flight = stages - stage, first = stage == 0, last = stage == stages - 1;
    int tables = first + last - (first && last && c->tied); /* the embedding, the head */
    double heads = (c->n_heads + c->n_kv_heads) * (double)c->head_dim;
    double token = 4.0 * layers *
                   ((c->post_norm ? 5.0 : 3.0) * c->hidden +
                    (c->qk_norm == QK_NORM_NONE ? 2.0 : 3.0) * heads + 2.0 * c->intermediate);

    *ret_weights =
        4.0 * shard_layer_elements(c) * layers + 4.0 * tables * (double)c->vocab * c->hidden;
    *ret_rest = token * micro_batch_tokens * in_flight +
                16.0 * (double)t->count * layers / c->n_layers + largest_decomposition(t);
}

int parallel_shape_micro_batches(long tokens, int target, int n_rows)
{
    int n = 1;

    while ((n < MICRO_MIN || (long)n * target < tokens) && 2 * n <= n_rows)
        n *= 2;
    return n;
}

struct parallel_shape_limits parallel_shape_limits(const struct job_training *training,
                                                   double tokens_per_row, double trained,
                                                   double worker_bytes)
{
    long tokens = (long)(tokens_per_row * training->batch_size);

    return (struct parallel_shape_limits){
        .micro_batches = parallel_shape_micro_batches(tokens, training->micro_batch_tokens,
                                                      training->batch_size),
        .micro_batch_tokens = training->micro_batch_tokens,
        .trained = trained,
        .worker_bytes = worker_bytes};
}

static double dearest_stage(const struct model_config *c, const struct trainable *t,
                            const struct parallel_shape_limits *limits, int stages, int *first)
{
    double dearest = 0, weights, rest;
    int i;

    shard_split(c, limits->trained, stages, first);
    for (i = 0; i < stages; i++) {
        parallel_shape_stage_bytes(limits->micro_batch_tokens, c, t, stages, i,
                                   first[i + 1] - first[i], &weights, &rest);
        if (weights + rest > dearest)
            dearest = weights + rest;
    }
    return dearest;
}

static bool is_power_of_two(int n)
{
    return n > 0 && (n & (n - 1)) == 0;
}

/* Whether N workers may be S stages of N / S replicas, as far as the job leaves it open. */
static bool is_possible(const struct job_parallel *parallel, const struct model_config *c,
                        int workers, int stages)
{
    if (workers % stages != 0 || stages > c->n_layers || !is_power_of_two(workers / stages))
        return false;
    if (parallel->stages && parallel->stages != stages)
        return false;
    return !parallel->replicas || parallel->replicas == workers / stages;
}

static int refuse(const struct job_parallel *parallel, const struct model_config *c, int workers,
                  struct err *err)
{
    if (parallel->stages)
        return err_set(err, ERR_INVALID,
                       "parallel.stages is %d, and %d workers are not %d stages times a power of "
                       "two replicas: "
                       "ask for another number of nodes, or make parallel.stages auto",
                       parallel->stages, workers, parallel->stages);
    if (parallel->replicas)
        return err_set(
            err, ERR_INVALID,
            "parallel.replicas is %d, and %d workers cannot be divided that way: ask for "
            "another number "
            "of nodes, or make parallel.replicas auto",
            parallel->replicas, workers);
    return err_set(
        err, ERR_INVALID,
        "%d workers are too many for a model of %d layers: a stage holds at least one, and "
        "replicas are a power of two",
        workers, c->n_layers);
}

int parallel_shape_choose(struct job_parallel *parallel, const struct model_config *c,
                          const struct trainable *t, const struct parallel_shape_limits *limits,
                          int workers, struct err *err)
{
    int *first = calloc((size_t)c->n_layers + 1, sizeof(*first)), stages, chosen = 0;

    if (!first)
        return err_nomem(err, (size_t)c->n_layers * sizeof(*first));
    for (stages = 1; stages <= workers; stages++) {
        if (!is_possible(parallel, c, workers, stages))
            continue;
        chosen = stages;
        if (workers / stages <= limits->micro_batches &&
            (limits->worker_bytes <= 0 || dearest_stage(c, t, limits, stages, first) <=
                                              limits->worker_bytes * FIT_PERCENT / 100))
            break;
    }
    free(first);
    if (!chosen)
        return refuse(parallel, c, workers, err);
    parallel->stages = chosen;
    parallel->replicas = workers / chosen;
    return 0;
}
