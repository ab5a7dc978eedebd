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
static double largest_decomposition(const struct trainable *t, int first_map, int last_map)
{
    double most = 0;

    for (int i = first_map; i < last_map && t->directions > 0; i++)
        most = fmax(most, decomposition_bytes(t->maps[i].rows, t->maps[i].columns));
    return most;
}

/* Floats that the forward pass keeps of a token in a layer (worker/layer.h): of any token, and more
 * of one whose output is wanted. */
static double token_floats(const struct model_config *c, double *ret_wanted)
{
    double q = c->n_heads * (double)c->head_dim, kv = c->n_kv_heads * (double)c->head_dim;
    double norms = c->qk_norm == QK_NORM_NONE ? 0 : 1;

    *ret_wanted = (c->post_norm ? 4.0 : 2.0) * c->hidden + (2 + norms) * q + 2.0 * c->intermediate;
    return c->hidden + (2 + norms) * kv;
}

/* What the micro-batches under way take in layers [first, last). Those below the lowest adapted
 * one keep nothing: they take turns in the memory of one. The last has the trained rows only. */
static double activation_floats(const struct parallel_shape_limits *limits,
                                const struct model_config *c, const struct trainable *t,
                                int in_flight, int first, int last)
{
    int lowest = t->n ? t->maps[0].layer : c->n_layers, from = lowest > first ? lowest : first;
    int layers = from < last ? last - from + (from > first) : 1;
    double wanted, any = token_floats(c, &wanted);
    double rows = last == c->n_layers ? layers - 1 + limits->trained : layers;

    return limits->micro_batch_tokens * (layers * any + rows * wanted) *
           (from < last ? in_flight : 1);
}

void parallel_shape_stage_bytes(const struct parallel_shape_limits *limits,
                                const struct model_config *c, const struct trainable *t, int stages,
                                int stage, const int *first, double *ret_weights, double *ret_rest)
{
    bool is_first = stage == 0, is_last = stage == stages - 1;
    int layers = first[stage + 1] - first[stage], first_map, last_map;
    size_t begin, end;

    trainable_slice(t, first[stage], first[stage + 1], &first_map, &last_map, &begin, &end);
    *ret_weights = limits->weights.layer * layers + (is_last ? limits->weights.head : 0) +
                   (is_first || (is_last && c->tied) ? limits->weights.embedding : 0);
    *ret_rest =
        4.0 * activation_floats(limits, c, t, stages - stage, first[stage], first[stage + 1]) +
        16.0 * (double)(end - begin) + largest_decomposition(t, first_map, last_map);
}

int parallel_shape_micro_batches(long tokens, int target, int n_rows)
{
    int n = 1;

    while ((n < MICRO_MIN || (long)n * target < tokens) && 2 * n <= n_rows)
        n *= 2;
    return n;
}

struct parallel_shape_limits parallel_shape_limits(const struct job_training *training,
                                                   const struct model *model, double tokens_per_row,
                                                   double trained, double worker_bytes)
{
    long tokens = (long)(tokens_per_row * training->batch_size);

    return (struct parallel_shape_limits){
        .micro_batches = parallel_shape_micro_batches(tokens, training->micro_batch_tokens,
                                                      training->batch_size),
        .micro_batch_tokens = training->micro_batch_tokens,
        .trained = trained,
        .weights = model_memory(model),
        .worker_bytes = worker_bytes};
}

static double dearest_stage(const struct model_config *c, const struct trainable *t,
                            const struct parallel_shape_limits *limits, int stages, int *first)
{
    double dearest = 0, weights, rest;
    int i;

    shard_split(c, limits->trained, stages, first);
    for (i = 0; i < stages; i++) {
        parallel_shape_stage_bytes(limits, c, t, stages, i, first, &weights, &rest);
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
