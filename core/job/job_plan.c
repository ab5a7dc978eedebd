/* core/job/job_plan.c - what a job would run as, in words. See job_check.h. */
#include "core/cpus.h"
#include "core/memory.h"
#include "core/paths.h"
#include "core/text/dataset.h"
#include "core/job/data_order.h"
#include "core/job/decomposition.h"
#include "core/job/job_check.h"
#include "core/job/job_keys.h"
#include "core/job/job_slurm.h"
#include "core/job/lora_source.h"
#include "core/job/parallel_shape.h"
#include "core/job/worker_memory.h"
#include "core/model/shard.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void job_plan_add(struct job_plan *plan, const char *fmt, ...)
{
    char **lines = realloc(plan->lines, (size_t)(plan->n_lines + 1) * sizeof(*lines));
    va_list ap;

    if (!lines)
        return;
    plan->lines = lines;
    va_start(ap, fmt);
    if (vasprintf(&lines[plan->n_lines], fmt, ap) >= 0)
        plan->n_lines++;
    va_end(ap);
}

void job_plan_free(struct job_plan *plan)
{
    int i;

    for (i = 0; i < plan->n_lines; i++)
        free(plan->lines[i]);
    free(plan->lines);
    free(plan->estimates);
    *plan = (struct job_plan){0};
}

enum { ROW_BYTES = 2 * sizeof(int32_t) }; /* of a token: its id and its label */

static void plan_notes(const char *lines, struct job_plan *plan)
{
    const char *at, *end;

    for (at = lines; at && (end = strchr(at, '\n')); at = end + 1)
        job_plan_add(plan, "note: %.*s", (int)(end - at), at);
}

static void plan_data(const struct job *job, const struct dataset *d, double tokens, double trained,
                      struct job_plan *plan)
{
    struct buf notes = {0};

    job_plan_add(plan, "data: %ld rows, %.0f tokens, %.0f of them trained", d->n, tokens, trained);
    if (d->template_source)
        job_plan_add(plan, "template: %s", d->template_source);
    dataset_notes(d, &job->data, &notes);
    plan_notes(notes.data, plan);
    buf_free(&notes);
}

/* How much rows of a step have in common, and why it is computed for each of them if it is. */
static int plan_shared(const struct job *job, const struct model_config *c,
                       struct data_order *order, struct job_plan *plan, double *ret_shared,
                       struct err *err)
{
    const char *hindrance = prefix_hindrance(job, c);
    double share;
    int rc = data_order_shared(order, job->training.steps, &share, err);

    if (rc < 0)
        return rc;
    *ret_shared = hindrance ? 0 : share;
    if (share < 0.005)
        return 0;
    if (!hindrance)
        job_plan_add(
            plan,
            "shared: up to %.0f%% of what is computed are beginnings that rows of a step have in "
            "common; each is computed once",
            share * 100);
    else
        job_plan_add(
            plan,
            "note: up to %.0f%% of what is computed are beginnings that rows of a step have in "
            "common; they are computed for each row, since %s",
            share * 100, hindrance);
    return 0;
}

/* The rows whose tokens were kept. */
static struct dataset kept_of(const struct dataset *d)
{
    struct dataset kept = *d;

    for (kept.n = 0; kept.n < d->n && d->examples[kept.n].ids;)
        kept.n++;
    return kept;
}

/* An evaluation takes memory for its largest micro-batch, too. */
static int plan_eval(const struct job *job, const struct model_config *c,
                     const struct dataset *eval, struct job_plan *plan, struct err *err)
{
    const struct packing_rules rules = packing_rules(job, c);
    const struct dataset kept = kept_of(eval);
    struct micro_batch_sizes sizes;
    struct data_order order;
    int rc = data_order_open(&job->training, false, &kept, &order, err);

    if (rc < 0)
        return rc == ERR_INVALID ? 0 : rc;
    rc = micro_batches_look(&order, &rules, (int)job_steps_of_pass(order.batch_size, order.n),
                            LOOK_AT_SOME, &sizes, err);
    data_order_close(&order);
    if (rc == 0)
        micro_batch_sizes_raise(&plan->sizes, &sizes);
    return rc;
}

/* Of the rows whose tokens were kept. Where none of those trains anything, the sizes are what the
 * job asks for. */
static int plan_steps_of_data(const struct job *job, const struct model_config *c,
                              const struct dataset *d, struct job_plan *plan, double *ret_shared,
                              struct err *err)
{
    const struct packing_rules rules = packing_rules(job, c);
    const struct dataset kept = kept_of(d);
    struct data_order order;
    int rc;

    plan->sizes = (struct micro_batch_sizes){1, job->training.micro_batch_tokens, d->longest};
    rc = data_order_open(&job->training, job->data.shuffle, &kept, &order, err);
    if (rc < 0)
        return rc == ERR_INVALID ? 0 : rc;
    rc = plan_shared(job, c, &order, plan, ret_shared, err);
    if (rc == 0)
        rc = micro_batches_look(&order, &rules, job->training.steps, LOOK_AT_SOME, &plan->sizes,
                                err);
    data_order_close(&order);
    return rc;
}

/* One stage. Returns the bytes of its worker; *too_many rises to them where they are too many. */
static double plan_stage(const struct model_config *c, const struct trainable *t,
                         const struct worker_limits *limits, struct worker_share *share,
                         double *too_many, struct job_plan *plan)
{
    struct worker_memory m;
    char again[60] = "";
    bool fits = worker_memory_choose(limits, c, t, share);

    worker_memory_of(limits, c, t, share, &m);
    if (share->n_again)
        snprintf(again, sizeof(again), "; %d of them are made again to save memory",
                 share->n_again);
    job_plan_add(
        plan,
        "stage %d: layers %d to %d%s; about %.0f MB a worker: %.0f weights, %.0f activations, "
        "%.0f the rest",
        share->stage, share->first, share->last - 1, again, worker_memory_sum(&m) / 1e6,
        m.weights / 1e6, m.activations / 1e6,
        (worker_memory_sum(&m) - m.weights - m.activations) / 1e6);
    if (!fits)
        *too_many = fmax(*too_many, worker_memory_sum(&m));
    return worker_memory_sum(&m);
}

/* Of those workers and the coordinator that one machine has. */
static double machine_bytes(const struct job *job, int workers, double coordinator, double largest,
                            double all)
{
    int here = job->slurm.workers_per_node < workers ? job->slurm.workers_per_node : workers;

    return job->launcher == LAUNCHER_SLURM ? coordinator + here * largest : all;
}

/* Too little memory is a problem where the job says how much it may take, else a note. */
static void plan_stages(const struct job *job, const struct job_parallel *shaped,
                        const struct model_config *c, const struct trainable *t,
                        const struct worker_limits *limits, int *first, struct job_plan *plan,
                        struct problems *problems)
{
    int workers = job_workers(shaped);
    double too_many = 0, largest = 0, coordinator;

    shard_split(c, limits->trained, shaped->stages, first);
    for (int i = 0; i < shaped->stages; i++) {
        struct worker_share share = {i, shaped->stages, first[i], first[i + 1], 0};
        double bytes = plan_stage(c, t, limits, &share, &too_many, plan);
        plan->memory_bytes += shaped->replicas * bytes;
        largest = fmax(largest, bytes);
    }
    coordinator = cost_coordinator_bytes(t, shaped->stages, shaped->replicas, plan->data_bytes);
    plan->memory_bytes += coordinator;
    plan->machine_bytes = machine_bytes(job, workers, coordinator, largest, plan->memory_bytes);
    job_plan_add(plan, "processes: 1 coordinator, %d worker%s, about %.0f MB in all", workers,
                 workers == 1 ? "" : "s", plan->memory_bytes / 1e6);
    if (too_many > 0 && job->parallel.memory > 0)
        problems_add(problems, job->file, job_line(job, "parallel.memory"),
                     "parallel.memory, or the node, leaves each worker %.0f MB, but one needs "
                     "about %.0f MB: "
                     "give more, more stages, or a lower training.micro_batch_tokens",
                     limits->worker_bytes / 1e6, too_many / 1e6);
    else if (too_many > 0)
        job_plan_add(plan, "note: that is more than the %.0f MB that its node has for a worker",
                     limits->worker_bytes / 1e6);
}

/* What the identification of directions needs beside training. */
static void plan_decompositions(const struct job *job, const struct trainable *t,
                                struct job_plan *plan)
{
    double bytes = 0, work = 0, kept = 0;
    char *folder;
    int late = 0;

    for (int i = 0; i < t->n; i++) {
        work += decomposition_work(t->maps[i].rows, t->maps[i].columns);
        bytes += decomposition_kept_bytes(t->maps[i].rows, t->maps[i].columns);
        if (bytes <= job->cache.max_bytes)
            kept = bytes;
        else
            late++;
    }
    job_plan_add(plan,
                 "directions: %d matrices are decomposed by step %d, about %.0f s of one core",
                 t->n, job->dash.prelaunch_steps, work / DECOMPOSITION_PACE);
    folder = paths_cache();
    if (folder)
        job_plan_add(plan,
                     "cache: %.0f MB of decompositions in %s, which all jobs share, of %.0f MB",
                     kept / 1e6, folder, job->cache.max_bytes / 1e6);
    free(folder);
    plan->cache_bytes = kept;
    if (late > 0)
        job_plan_add(
            plan,
            "note: %d of %d decompositions are beyond cache.max_bytes; those for which there "
            "is no memory either are made at step %d, by all cores",
            late, t->n, job->dash.prelaunch_steps);
}

static void plan_nodes(const struct job *job, const struct job_parallel *shaped,
                       struct job_plan *plan)
{
    int workers = job_workers(&job->parallel), least, most;

    job_slurm_nodes(&job->slurm, workers, &least, &most);
    if (least == most)
        job_plan_add(plan, "slurm: %d node%s", most, most == 1 ? "" : "s");
    else
        job_plan_add(plan,
                     "slurm: %d to %d nodes; the shape is chosen when they are known, here for %d",
                     least, most, most);
    if (!workers)
        job_plan_add(plan, "shape: %d stage%s x %d replica%s", shaped->stages,
                     shaped->stages == 1 ? "" : "s", shaped->replicas,
                     shaped->replicas == 1 ? "" : "s");
}

/* What the model's files leave open. */
static void plan_model(const struct model *model, const struct dataset *d, struct job_plan *plan)
{
    const char *unread = model_unread_keys(model);
    int window = model_lost_window(model);

    if (unread)
        job_plan_add(plan, "note: config.json has fields that are not known and are not used: %s",
                     unread);
    if (window && d->longest > window)
        job_plan_add(
            plan,
            "note: a GGUF of Mistral does not say whether the model has a sliding window (the "
            "first versions: %d tokens); rows of up to %d tokens are trained without one",
            window, d->longest);
}

static void plan_steps(const struct job *job, long rows, struct job_plan *plan)
{
    struct buf notes = {0};

    job_plan_add(plan, "steps: %d of %d rows (%.1f passes over the data)", job->training.steps,
                 job->training.batch_size,
                 (double)job->training.steps /
                     (double)job_steps_of_pass(job->training.batch_size, rows));
    job_notes(job, rows, &notes);
    plan_notes(notes.data, plan);
    buf_free(&notes);
}

/* What training starts from, where that is not a new adapter. */
static int plan_start(const struct job *job, struct job_plan *plan, struct err *err)
{
    struct lora_source source;
    int rc;

    if (!job->lora.init_adapter)
        return 0;
    rc = lora_source_open(job->lora.init_adapter, &source, err);
    if (rc < 0)
        return rc;
    if (job->dash.continues)
        job_plan_add(plan, "start: A, B and the coefficients of the directions of %s",
                     source.output);
    else if (source.job)
        job_plan_add(
            plan,
            "start: the adapter of %s, in which its LoRA (rank %d) and its %d directions are "
            "one LoRA",
            source.output, source.job->lora.rank, source.job->dash.directions);
    else
        job_plan_add(plan, "start: the adapter in %s", source.adapter);
    lora_source_close(&source);
    return 0;
}

int job_plan_shape(const struct job *job, const struct model_config *c, const struct trainable *t,
                   const struct worker_limits *limits, struct job_parallel *ret, struct err *err)
{
    struct job_parallel parallel = job->parallel;
    int least, most, rc = 0;

    job_slurm_nodes(&job->slurm, 0, &least, &most);
    while (!job_workers(&parallel)) {
        rc =
            parallel_shape_choose(&parallel, c, t, limits, most * job->slurm.workers_per_node, err);
        if (rc < 0 && (rc != ERR_INVALID || --most < least))
            return rc;
    }
    *ret = parallel;
    return 0;
}

enum { METRICS_ROW_BYTES = 250 };

/* Two checkpoints are kept, with the best of each of them, and the next is written beside them. */
static void plan_disk(const struct job *job, const struct trainable *t, struct job_plan *plan)
{
    double one = cost_checkpoint_bytes(t), adapter = cost_adapter_bytes(t);
    int kept = job->training.keep_best ? 4 : 2;

    plan->output_bytes =
        (kept + 1) * one + adapter + (double)METRICS_ROW_BYTES * job->training.steps;
    job_plan_add(plan,
                 "output: checkpoints of %.1f MB each, %d kept and 1 written; an adapter of "
                 "%.1f MB: %.0f MB in all",
                 one / 1e6, kept, adapter / 1e6, plan->output_bytes / 1e6);
}

static int plan_shape(const struct job *job, const struct model *model, const struct trainable *t,
                      struct job_plan *plan, struct problems *problems, struct err *err)
{
    double node_bytes =
        job->launcher == LAUNCHER_SLURM ? job_slurm_memory(&job->slurm) : memory_total();
    const struct worker_room room = parallel_shape_worker_room(job, t, node_bytes, cpus_allowed());
    struct worker_limits limits =
        worker_limits(model, &plan->sizes, plan->trained, &room, job->training.precision);
    const struct model_config *c = model_config(model);
    struct job_parallel shaped;
    struct buf notes = {0};
    int *first, rc = job_plan_shape(job, c, t, &limits, &shaped, err);

    if (rc < 0)
        return rc;
    first = calloc((size_t)shaped.stages + 1, sizeof(*first));
    if (!first)
        return err_nomem(err, (size_t)shaped.stages * sizeof(*first));
    if (job->launcher == LAUNCHER_SLURM)
        plan_nodes(job, &shaped, plan);
    plan_stages(job, &shaped, c, t, &limits, first, plan, problems);
    free(first);
    parallel_shape_note(job, &shaped, plan->sizes.n, &notes);
    plan_notes(notes.data, plan);
    buf_free(&notes);
    return 0;
}

int job_plan_make(const struct job *job, const struct model *model, const struct dataset *d,
                  const struct dataset *eval, struct job_plan *plan, struct problems *problems,
                  struct err *err)
{
    const struct model_config *c = model_config(model);
    struct trainable t;
    double tokens = 0, trained = 0, shared = 0;
    long i;
    int rc = trainable_of_job(job, c, &t, err);

    if (rc < 0)
        return rc;
    for (i = 0; i < d->n; i++) {
        tokens += d->examples[i].n;
        trained += d->examples[i].n_trained;
    }
    plan->rows = d->n;
    plan->steps = job->training.steps;
    job_plan_add(plan, "model: %s, %d layers, %.1f million parameters", c->architecture,
                 c->n_layers,
                 (shard_layer_elements(c) * c->n_layers + (double)c->vocab * c->hidden) / 1e6);
    plan_model(model, d, plan);
    plan_data(job, d, tokens, trained, plan);
    job_plan_add(plan, "trained numbers: %zu in %d modules", t.count, t.n);
    plan_steps(job, d->n - d->untrained.n, plan);
    rc = plan_steps_of_data(job, c, d, plan, &shared, err);
    plan->data = cost_data_of(&job->training, d, shared, &plan->sizes);
    plan->trained = trained / tokens;
    plan->data_bytes = ROW_BYTES * tokens + (double)d->n * sizeof(struct example);
    if (rc == 0)
        rc = plan_eval(job, c, eval, plan, err);
    if (rc == 0)
        rc = plan_start(job, plan, err);
    if (rc == 0 && t.directions > 0 && job->dash.prelaunch_steps > 0)
        plan_decompositions(job, &t, plan);
    if (rc == 0)
        rc = plan_shape(job, model, &t, plan, problems, err);
    if (rc == 0) {
        plan_disk(job, &t, plan);
        job_plan_limits(job, plan, problems);
    }
    trainable_free(&t);
    return rc;
}
