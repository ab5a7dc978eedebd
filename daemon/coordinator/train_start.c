/* daemon/coordinator/train_start.c - see train.h: what comes before the first step. Workers are
 * set up before the checkpoint is read, so that a model that differs ends the job before anything
 * is changed. */
#include "core/clock.h"
#include "core/file.h"
#include "core/job/lora_source.h"
#include "core/log.h"
#include "core/paths.h"
#include "daemon/coordinator/launches.h"
#include "daemon/coordinator/train_impl.h"
#include "proto/contact.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct job *job_of(const struct train *t)
{
    return t->loaded.job;
}

static void notice(struct train *t, const char *text)
{
    log_warn("%s", text);
    report_notice(t->report, text);
}

enum { DECOMPOSED_LOG_S = 15 }; /* between two lines of the log */

static void decomposed(void *context, const struct rank_progress *all)
{
    struct train *t = context;
    double now = clock_s();

    t->usage.cached = all->cached_bytes;
    report_decomposed(t->report, all->done, all->n, all->seconds_left);
    if (all->done < all->n && now < t->decomposed_logged_at + DECOMPOSED_LOG_S)
        return;
    t->decomposed_logged_at = now;
    if (all->done == all->n)
        log_info("all %d matrices are decomposed", all->n);
    else
        log_info("%d of %d matrices are decomposed, about %.0f s left", all->done, all->n,
                 all->seconds_left);
}

/* A job that says how much memory it may take keeps to it; else the node decides. */
static int check_memory(const struct train *t, struct buf *notices, struct err *err)
{
    int again = 0;

    for (int i = 0; i < t->workers.stages; i++)
        again += t->workers.again[i];
    if (t->workers.too_large && job_of(t)->parallel.memory > 0)
        return err_set(err, ERR_INVALID,
                       "a worker needs more than its share of parallel.memory, or of the node, "
                       "which leaves it "
                       "%.0f MB: give more, or more stages",
                       t->loaded.limits.worker_bytes / 1e6);
    if (t->workers.too_large)
        buf_printf(
            notices,
            "a worker may need more memory than its node leaves it (%.0f MB): more stages or "
            "more nodes would help\n",
            t->loaded.limits.worker_bytes / 1e6);
    if (again)
        log_info("to save memory %d of %d layers are made again for their backward pass", again,
                 model_config(t->loaded.model)->n_layers);
    return 0;
}

static void log_ready(const struct workers *w, double seconds)
{
    int n = w->stages * w->replicas;

    log_info("%d worker%s (%d stage%s x %d replica%s) with %d thread%s %s ready "
             "after %.1f s, %.0f MB in all",
             n, n == 1 ? "" : "s", w->stages, w->stages == 1 ? "" : "s", w->replicas,
             w->replicas == 1 ? "" : "s", w->threads, w->threads == 1 ? "" : "s",
             n == 1 ? "is" : "are", seconds, (double)w->resident_bytes / 1e6);
}

static int set_up_workers(struct train *t, struct buf *notices, struct err *err)
{
    char *cache = paths_cache();
    double start = clock_s();
    int started = ranks_count(t->ranks) - 1, rc;

    rc = loaded_choose_shape(&t->loaded, started, notices, err);
    if (rc == 0 && job_workers(&job_of(t)->parallel) < started)
        buf_printf(notices,
                   "%d of %d workers are idle: the job cannot be divided among all of them\n",
                   started - job_workers(&job_of(t)->parallel), started);
    if (rc == 0)
        rc = workers_open(&t->workers, t->ranks, &job_of(t)->parallel,
                          model_config(t->loaded.model), &t->loaded.layout, &t->loaded.limits, err);
    if (rc == 0)
        rc = check_memory(t, notices, err);
    if (rc == 0)
        rc = memory_share_choose(&t->loaded, &t->workers, notices, &t->memory, err);
    t->workers.memory_bytes = t->memory.worker;
    t->workers.progressed = decomposed;
    t->workers.context = t;
    if (rc == 0)
        rc = workers_set_up(&t->workers, job_of(t), t->loaded.model, cache, t->identity.weights,
                            err);
    free(cache);
    if (rc == 0)
        log_ready(&t->workers, clock_s() - start);
    return rc;
}

/* Notices of a launch: each goes to the log and to dashd. */
static void report_lines(struct train *t, struct buf *lines)
{
    char *at = lines->data, *end;

    for (; at && (end = strchr(at, '\n')); at = end + 1) {
        *end = '\0';
        notice(t, at);
    }
    buf_free(lines);
}

/* dash.continue: what another job has trained, its directions with it. */
static int continue_source(struct train *t, struct buf *notices, struct err *err)
{
    struct lora_source source = {0};
    struct trainable layout = {0};
    struct state other = {0};
    int rc = lora_source_open(job_of(t)->lora.init_adapter, &source, err);

    if (rc == 0 && !source.job)
        rc = err_set(err, ERR_INVALID, "%s is no longer the output of a LoRA-Dash job",
                     job_of(t)->lora.init_adapter);
    if (rc == 0)
        rc = checkpoint_load_of_job(source.output, source.job, false, t->identity.weights,
                                    model_config(t->loaded.model), &layout, &other, notices, err);
    if (rc == 0)
        rc = state_continue(&t->state, &other, source.output, err);
    if (rc == 0)
        rc = write_directions(t->options->output, &t->state, err);
    state_close(&other);
    trainable_free(&layout);
    lora_source_close(&source);
    return rc;
}

static int start_state(struct train *t, struct buf *notices, struct err *err)
{
    if (job_of(t)->dash.continues)
        return continue_source(t, notices, err);
    return state_init(&t->state, job_of(t)->training.seed, job_of(t)->lora.init_adapter,
                      model_config(t->loaded.model), err);
}

static int load_or_init(struct train *t, struct buf *notices, struct err *err)
{
    char *folder = file_join(t->options->output, "checkpoint");
    bool found = false;
    int rc = folder ? state_open(&t->loaded.layout, &t->state, err) : err_nomem(err, 0);

    if (rc == 0)
        rc = checkpoint_load(folder, &t->state, &t->identity, &found, notices, err);
    if (rc == 0 && !found)
        rc = start_state(t, notices, err);
    if (rc == 0)
        evaluation_begin(t, notices);
    if (rc == 0)
        rc = checkpoint_open(folder, t->state.evaluations.best_step, &t->checkpoint, err);
    if (rc == 0 && found)
        log_info("continuing from the checkpoint of step %d", t->state.step);
    free(folder);
    return rc;
}

/* Why a curve has a mark where this launch continues it. */
static int begin_launch(struct train *t, struct err *err)
{
    struct contact contact = {0};
    int rc;

    if (t->options->contact && contact_read(t->options->contact, &contact, NULL) < 0)
        contact = (struct contact){0}; /* the report says what is wrong with it */
    rc = launches_begin(t->options->output, t->state.step, contact.died, contact.died_at,
                        &t->launch, err);
    contact_free(&contact);
    return rc;
}

static int open_outputs(struct train *t, struct buf *notices, struct err *err)
{
    struct step_row *rows = NULL;
    int n = 0, rc;

    rc = metrics_open(t->options->output, t->state.step, &t->metrics, &rows, &n, err);
    if (rc == 0 && n < t->state.step)
        buf_printf(notices, "metrics.jsonl lacks the rows %d to %d of this run\n", n + 1,
                   t->state.step);
    if (rc == 0 && t->loaded.layout.directions > 0)
        rc = coefficients_open(t->options->output, t->state.step, job_of(t)->dash.prelaunch_steps,
                               job_of(t)->training.steps, &t->coefficients, err);
    if (rc == 0 && job_of(t)->tracking.tensorboard)
        rc = tensorboard_open(t->options->output, t->state.step, &t->tensorboard, err);
    if (rc == 0)
        rc = begin_launch(t, err);
    if (rc == 0)
        rc = report_open(t->options->contact, t->state.step, job_of(t)->training.steps, &t->report,
                         err);
    if (rc == 0)
        report_history(t->report, rows, n);
    free(rows);
    return rc;
}

enum { LOCK_WAIT_MS = 30000 };

/* The ranks of a launch that was killed may take a moment to go. */
static int lock_output(struct train *t, struct err *err)
{
    char *path = file_join(t->options->output, "lock");
    int rc = path ? file_lock(path, LOCK_WAIT_MS, &t->lock_fd, err) : err_nomem(err, 0);

    if (rc == ERR_STATE)
        err_set(err, rc, "another coordinator still works in %s: end it first", t->options->output);
    if (rc == 0)
        file_remove_temporaries(t->options->output);
    free(path);
    return rc;
}

static int open_orders(struct train *t, struct err *err)
{
    const struct job *job = job_of(t);

    data_order_begin(&job->training, job->data.shuffle, &t->loaded.train, &t->order);
    t->packing = packing_rules(job, model_config(t->loaded.model));
    if (t->loaded.eval.n == 0)
        return 0;
    return data_order_open(&job->training, false, &t->loaded.eval, &t->eval_order, err);
}

static int take_rows(struct train *t, bool wait, struct err *err)
{
    int rc = loaded_take(&t->loaded, wait, &t->notices, err);

    if (rc == 0)
        rc = data_order_extend(&t->order, t->loaded.whole, err);
    if (t->report)
        report_lines(t, &t->notices);
    return rc;
}

int train_wait_for_rows(struct train *t, int step, struct err *err)
{
    int rc = 0;

    do {
        if (!t->order.whole)
            rc = take_rows(t, !data_order_knows(&t->order, step), err);
    } while (rc == 0 && !data_order_knows(&t->order, step) && !train_stops(t));
    return rc;
}

int train_wait_for_all_rows(struct train *t, struct err *err)
{
    int rc = 0;

    while (rc == 0 && !t->order.whole && !train_stops(t))
        rc = take_rows(t, true, err);
    return rc;
}

/* For a checkpoint, which may be of fewer rows than all. */
static int hash_rows(void *context, long rows, char ret_hex[33], struct err *err)
{
    struct train *t = context;
    const struct dataset *d = &t->loaded.train;
    int rc = 0;

    while (rc == 0 && !t->order.whole && (rows < 0 || d->n < rows))
        rc = take_rows(t, true, err);
    if (rc == 0 && rows <= d->n)
        dataset_hash(d, rows < 0 ? d->n : rows, ret_hex);
    return rc;
}

static int open_usage(struct train *t, struct err *err)
{
    bool lost = false;
    int rc = usage_open(t->options->output, &t->usage, &lost, err);

    if (rc == 0 && lost)
        buf_puts(&t->notices, "logs/used cannot be read: the running time and the bytes in the "
                              "cache of earlier launches do not count\n");
    return rc;
}

int train_start(struct train *t, struct err *err)
{
    int rc = lock_output(t, err);

    if (rc == 0)
        rc = open_usage(t, err);
    if (rc == 0)
        rc = load_job(t->options->output, &t->loaded, &t->notices, err);
    if (rc == 0)
        rc = open_orders(t, err);
    if (rc == 0) {
        job_identity(job_of(t), t->identity.job);
        t->identity.hash_rows = hash_rows;
        t->identity.context = t;
        t->identity.steps = job_of(t)->training.steps;
        t->identity.prelaunch_steps = job_of(t)->dash.prelaunch_steps;
        rc = set_up_workers(t, &t->notices, err);
    }
    if (rc == 0)
        rc = load_or_init(t, &t->notices, err);
    if (rc == 0)
        rc = open_outputs(t, &t->notices, err);
    report_lines(t, &t->notices);
    if (rc == 0 && t->state.identified)
        rc = workers_direct(&t->workers, &t->state, err);
    t->gradient = calloc(t->loaded.layout.count + 1, sizeof(float));
    if (rc == 0 && !t->gradient)
        rc = err_nomem(err, t->loaded.layout.count * sizeof(float));
    return rc == 0 ? memory_share_keep(&t->memory, err) : rc;
}
