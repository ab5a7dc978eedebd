/* core/job/parallel_shape.c - see parallel_shape.h. Every shape gives the same result, so the
 * choice is one of cost: the fewest stages that fit in memory, then as many replicas, a power of
 * two, as there are workers and micro-batches for. */
#include "core/job/parallel_shape.h"
#include "core/job/cost.h"
#include "core/model/shard.h"
#include <stdlib.h>

int parallel_shape_threads(const struct job *job, int workers_per_node, int node_cores)
{
    if (job->parallel.threads)
        return job->parallel.threads;
    if (job->launcher == LAUNCHER_SLURM && job->slurm.cpus_per_task)
        return job->slurm.cpus_per_task;
    return node_cores > workers_per_node ? node_cores / workers_per_node : 1;
}

struct worker_room parallel_shape_worker_room(const struct job *job, const struct trainable *t,
                                              double node_bytes, int node_cores)
{
    int workers =
        job->launcher == LAUNCHER_SLURM ? job->slurm.workers_per_node : job_workers(&job->parallel);
    const struct cost_shape shape = {
        .workers_per_node = workers > 0 ? workers : 1, .stages = 1, .replicas = 1};

    const struct job_parallel parallel = {.memory = job_memory(job)};

    return (struct worker_room){
        .bytes = cost_spare_bytes(&parallel, t, node_bytes, &shape),
        .threads = parallel_shape_threads(job, shape.workers_per_node, node_cores)};
}

/* Whether each of that many stages fits its worker, `again`: where layers are made again. */
static bool fits(const struct model_config *c, const struct trainable *t,
                 const struct worker_limits *limits, int stages, bool again, int *first)
{
    shard_split(c, limits->trained, stages, first);
    for (int i = 0; i < stages; i++) {
        struct worker_share share = {i, stages, first[i], first[i + 1], 0};
        int n = worker_memory_fit(limits, c, t, &share);
        if (n < 0 || (n > 0 && !again))
            return false;
    }
    return true;
}

int parallel_shape_is_roomy(int stages, const struct model_config *c, const struct trainable *t,
                            const struct worker_limits *limits, bool *ret, struct err *err)
{
    int *first = calloc((size_t)stages + 1, sizeof(*first));

    if (!first)
        return err_nomem(err, (size_t)stages * sizeof(*first));
    *ret = fits(c, t, limits, stages, false, first);
    free(first);
    return 0;
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

/* The fewest stages that fit, or 0. *ret_most: the most that are possible, or 0. */
static int fewest_stages(const struct job_parallel *parallel, const struct model_config *c,
                         const struct trainable *t, const struct worker_limits *limits, int workers,
                         bool again, int *first, int *ret_most)
{
    *ret_most = 0;
    for (int stages = 1; stages <= workers; stages++) {
        if (!is_possible(parallel, c, workers, stages))
            continue;
        *ret_most = stages;
        if (workers / stages <= limits->micro_batches && fits(c, t, limits, stages, again, first))
            return stages;
    }
    return 0;
}

int parallel_shape_choose(struct job_parallel *parallel, const struct model_config *c,
                          const struct trainable *t, const struct worker_limits *limits,
                          int workers, struct err *err)
{
    int *first = calloc((size_t)c->n_layers + 1, sizeof(*first)), most, chosen;

    if (!first)
        return err_nomem(err, (size_t)c->n_layers * sizeof(*first));
    chosen = fewest_stages(parallel, c, t, limits, workers, false, first, &most);
    if (!chosen)
        chosen = fewest_stages(parallel, c, t, limits, workers, true, first, &most);
    free(first);
    if (!most)
        return refuse(parallel, c, workers, err);
    parallel->stages = chosen ? chosen : most;
    parallel->replicas = workers / parallel->stages;
    return 0;
}

void parallel_shape_note(const struct job *job, const struct job_parallel *shaped,
                         int micro_batches, struct buf *notes)
{
    int workers = job_workers(shaped), wanted = micro_batches;

    while (wanted < workers && 2 * wanted <= job->training.batch_size &&
           2 * wanted <= MICRO_BATCHES_MAX)
        wanted *= 2;
    if (wanted > micro_batches && wanted > job->training.micro_batches)
        buf_printf(notes,
                   "a step has %d micro-batch%s for %d workers, some of which wait: "
                   "a job with training.micro_batches: %d gives them more to share\n",
                   micro_batches, micro_batches == 1 ? "" : "es", workers, wanted);
}
