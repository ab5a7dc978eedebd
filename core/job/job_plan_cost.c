/* core/job/job_plan_cost.c - how long a step of a checked job takes, and where: as the job has it
 * on its own nodes, or in the best shape on numbers of nodes that were asked for. */
#include "core/job/job_check.h"
#include "core/job/job_keys.h"
#include "core/job/job_slurm.h"
#include "core/job/parallel_shape.h"
#include "core/model/shard.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct costing {
    const struct job *job;
    const struct job_plan_nodes *nodes;
    struct job_plan *plan;
    struct cost_model m;
};

static double gib(double bytes)
{
    return bytes / (1 << 30);
}

/* Behind the point, so that there are two or three in all. */
static int digits(double seconds)
{
    return seconds >= 10 ? 0 : seconds >= 0.1 ? 2 : 4;
}

/* The bounds of the stages are of the same split as in training. */
static int fill(const struct costing *k, struct job_estimate *e, struct err *err)
{
    int *first = calloc((size_t)e->shape.stages + 1, sizeof(*first));

    if (!first)
        return err_nomem(err, (size_t)e->shape.stages * sizeof(*first));
    shard_split(k->m.config, k->m.limits.trained, e->shape.stages, first);
    e->worker_bytes = cost_worker_bytes(&k->m, &e->shape, first, &e->fits);
    free(first);
    e->coordinator_bytes = cost_coordinator_bytes(k->m.trainable, e->shape.stages,
                                                  e->shape.replicas, k->plan->data_bytes);
    if (k->nodes->node.gflops <= 0)
        return 0;
    return cost_step(&k->m, &k->nodes->node, &e->shape, &e->step, err);
}

static int add_estimate(struct job_plan *plan, const struct job_estimate *e, struct err *err)
{
    size_t size = (size_t)(plan->n_estimates + 1) * sizeof(*plan->estimates);
    struct job_estimate *bigger = realloc(plan->estimates, size);

    if (!bigger)
        return err_nomem(err, size);
    plan->estimates = bigger;
    bigger[plan->n_estimates++] = *e;
    return 0;
}

/* ---- as the job has it ---- */

static int shape_of_job(const struct costing *k, struct cost_shape *ret, struct err *err)
{
    const struct job *job = k->job;
    bool slurm = job->launcher == LAUNCHER_SLURM;
    int cores = k->nodes->node.cores, workers, least, most;
    struct job_parallel shaped;
    int rc = job_plan_shape(job, k->m.config, k->m.trainable, &k->m.limits, &shaped, err);

    if (rc < 0)
        return rc;
    workers = job_workers(&shaped);
    job_slurm_nodes(&job->slurm, workers, &least, &most);
    *ret = (struct cost_shape){.nodes = slurm ? most : 1,
                               .workers_per_node = slurm ? job->slurm.workers_per_node : workers,
                               .stages = shaped.stages,
                               .replicas = shaped.replicas,
                               .worker_bytes = k->m.limits.worker_bytes};
    ret->threads = parallel_shape_threads(job, ret->workers_per_node, cores);
    return 0;
}

static void say_time(const struct costing *k, const struct job_estimate *e)
{
    const struct cost_step *s = &e->step;
    struct cost_operations o = cost_operations(&k->m, 0, k->m.config->n_layers);
    double all = cost_sum(&o);

    job_plan_add(
        k->plan,
        "work: %.3g GFLOP a step: frozen maps %.0f%% forward and %.0f%% backward, adapters "
        "%.0f%%, attention %.0f%%, head %.0f%%",
        all / 1e9, 100 * o.forward / all, 100 * o.backward / all, 100 * o.thin / all,
        100 * o.attention / all, 100 * o.head / all);
    job_plan_add(k->plan,
                 "time: about %.*f s a step, %.0f tokens/s, with %d thread%s a worker; %.0f%% of "
                 "it computing, of which the pipeline waits %.0f%%; of %s",
                 digits(s->seconds), s->seconds, s->tokens_per_second, e->shape.threads,
                 e->shape.threads == 1 ? "" : "s", 100 * s->compute / s->seconds, 100 * s->bubble,
                 k->nodes->origin);
    job_plan_add(k->plan, "a step sends %.1f MB to the workers and gathers %.1f MB",
                 s->broadcast / 1e6, s->gathered / 1e6);
}

enum { WORTH_PERCENT = 10 }; /* of the time, to name another shape */

/* Another shape of the same nodes that is faster. */
static int advise(const struct costing *k, const struct job_estimate *now, struct err *err)
{
    const struct job_parallel free = {.memory = job_memory(k->job)};
    struct job_estimate e = {0};
    int rc = cost_choose(&k->m, &free, &k->nodes->node, now->shape.nodes, &e.shape, err);

    if (rc == 0)
        rc = fill(k, &e, err);
    if (rc < 0)
        return rc == ERR_INVALID ? 0 : rc;
    if (e.step.seconds * 100 < now->step.seconds * (100 - WORTH_PERCENT))
        job_plan_add(k->plan,
                     "note: about %.*f s a step with %d worker%s a node of %d thread%s: "
                     "parallel.stages %d, parallel.replicas %d",
                     digits(e.step.seconds), e.step.seconds, e.shape.workers_per_node,
                     e.shape.workers_per_node == 1 ? "" : "s", e.shape.threads,
                     e.shape.threads == 1 ? "" : "s", e.shape.stages, e.shape.replicas);
    return 0;
}

static int plan_job(const struct costing *k, struct err *err)
{
    struct job_estimate e = {0};
    int rc = shape_of_job(k, &e.shape, err);

    if (rc == 0)
        rc = fill(k, &e, err);
    if (rc < 0)
        return rc;
    job_plan_add(k->plan, "memory: about %.0f MB of the coordinator, %.0f MB of the largest worker",
                 e.coordinator_bytes / 1e6, e.worker_bytes / 1e6);
    if (!e.fits && k->job->launcher == LAUNCHER_SLURM && !k->job->slurm.mem)
        job_plan_add(k->plan, "note: a node has %.1f GiB: less than its processes need",
                     gib(k->nodes->node.bytes));
    if (k->nodes->node.gflops <= 0) {
        job_plan_add(k->plan, "note: time is not planned: %s", k->nodes->origin);
        return 0;
    }
    say_time(k, &e);
    rc = add_estimate(k->plan, &e, err);
    return rc == 0 ? advise(k, &e, err) : rc;
}

/* ---- numbers of nodes ---- */

static void say_heading(const struct costing *k)
{
    struct cost_operations o = cost_operations(&k->m, 0, k->m.config->n_layers);
    const struct node *n = &k->nodes->node;

    job_plan_add(k->plan,
                 "nodes of %d cores, %.4g GiB, %.4g GFLOP/s and %.4g Gbit/s (%s); a step has %.0f "
                 "rows in %d micro-batch%s, %.3g GFLOP",
                 n->cores, gib(n->bytes), n->gflops, n->gbits, k->nodes->origin, k->m.data.computed,
                 k->m.data.micro_batches, k->m.data.micro_batches == 1 ? "" : "es",
                 cost_sum(&o) / 1e9);
    job_plan_add(k->plan,
                 "%5s  %7s  %7s  %6s x %-8s  %10s  %11s  %9s  %6s  %17s  %15s  %8s  %8s  %10s",
                 "nodes", "workers", "threads", "stages", "replicas", "worker GiB", "coord. GiB",
                 "compute s", "bubble", "broadcast MB (s)", "gathered MB (s)", "s a step",
                 "tokens/s", "efficiency");
}

static void say_row(const struct costing *k, const struct job_estimate *e)
{
    const struct cost_step *s = &e->step;

    job_plan_add(k->plan,
                 "%5d  %7d  %7d  %6d x %-8d  %10.1f  %11.1f  %9.2f  %5.0f%%  %9.0f (%5.2f)  "
                 "%8.0f (%4.2f)  %8.2f  %8.0f  %9.0f%%",
                 e->shape.nodes, e->shape.workers_per_node, e->shape.threads, e->shape.stages,
                 e->shape.replicas, gib(e->worker_bytes), gib(e->coordinator_bytes), s->compute,
                 100 * s->bubble, s->broadcast / 1e6, s->broadcast_s, s->gathered / 1e6,
                 s->gathered_s, s->seconds, s->tokens_per_second, 100 * s->efficiency);
}

/* What the job file itself says of stages and replicas stays, not what they are by default. */
static struct job_parallel given_shape(const struct job *job)
{
    struct job_parallel p = job->parallel;

    p.memory = job_memory(job);
    if (!job_is_given(job, "parallel.stages"))
        p.stages = 0;
    if (!job_is_given(job, "parallel.replicas"))
        p.replicas = 0;
    return p;
}

/* What does not fit is reported with the shape that needs least. */
static int plan_count(const struct costing *k, int nodes, struct err *err)
{
    const struct job_parallel parallel = given_shape(k->job);
    struct job_estimate e = {0};
    struct err why;
    int rc = cost_choose(&k->m, &parallel, &k->nodes->node, nodes, &e.shape, &why);

    if (rc == ERR_INVALID) {
        job_plan_add(k->plan, "%5d  %s", nodes, why.text);
        if (e.shape.stages == 0)
            return 0;
    } else if (rc < 0) {
        return *err = why, rc;
    }
    rc = fill(k, &e, err);
    if (rc == 0 && e.fits)
        say_row(k, &e);
    if (rc == 0 && e.fits && e.shape.nodes < nodes)
        job_plan_add(k->plan, "       of %d nodes: a step has no work for more of them", nodes);
    return rc == 0 ? add_estimate(k->plan, &e, err) : rc;
}

static int plan_counts(const struct costing *k, struct err *err)
{
    int rc = 0;

    say_heading(k);
    for (int i = 0; i < k->nodes->n_counts && rc == 0; i++)
        rc = plan_count(k, k->nodes->counts[i], err);
    return rc;
}

static bool is_quantised(const struct model *model)
{
    return model_memory(model).layer < shard_layer_elements(model_config(model));
}

int job_plan_cost(const struct job *job, const struct job_plan_nodes *nodes, struct job_plan *plan,
                  struct err *err)
{
    struct costing k = {.job = job, .nodes = nodes, .plan = plan};
    struct problems ignored = {0}; /* it could be opened before */
    struct model *model = NULL;
    struct trainable t = {0};
    int rc = model_open(job->model, &model, &ignored, err);

    problems_free(&ignored);
    if (rc == 0)
        rc = trainable_of_job(job, model_config(model), &t, err);
    if (rc == 0) {
        k.m = (struct cost_model){.config = model_config(model),
                                  .trainable = &t,
                                  .data = plan->data,
                                  .bf16 = job->training.precision == PRECISION_BF16,
                                  .quantised = is_quantised(model)};
        const struct worker_room room =
            parallel_shape_worker_room(job, &t, nodes->node.bytes, nodes->node.cores);
        k.m.limits =
            worker_limits(model, &plan->sizes, plan->trained, &room, job->training.precision);
        rc = nodes->n_counts > 0 && nodes->node.gflops > 0 ? plan_counts(&k, err)
                                                           : plan_job(&k, err);
    }
    trainable_free(&t);
    model_close(model);
    return rc;
}
