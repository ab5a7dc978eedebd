/* daemon/coordinator/train.c - see train.h: the loop over steps. A step is computed, checked to be
 * finite, applied, written and reported, in this order; docs/architecture.md says what is durable
 * when. */
#include "core/log.h"
#include "core/clock.h"
#include "daemon/coordinator/launches.h"
#include "daemon/coordinator/train_impl.h"
#include "daemon/coordinator/optimizer.h"
#include "proto/phase.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const struct job *job_of(const struct train *t)
{
    return t->loaded.job;
}

static int phase_of(const struct train *t)
{
    if (job_of(t)->method == METHOD_LORA)
        return PHASE_LORA;
    return t->state.identified ? PHASE_DASH : PHASE_PRELAUNCH;
}

static int refuse_not_finite(const struct train *t, int first, int others, double loss,
                             struct err *err)
{
    char name[MODULE_NAME_MAX];

    module_full_name(t->loaded.layout.maps[first].layer, t->loaded.layout.maps[first].kind, name);
    return err_set(err, ERR_INVALID,
                   "step %d: the gradient of %s%s is not finite (the loss is %g); a lower "
                   "training.learning_rate or training.clip_norm may help",
                   t->state.step + 1, name, others ? " and other modules" : "", fabs(loss));
}

/* Finite everywhere; and B's gradient is zero for a whole module only if nothing reaches it. */
static int check_gradient(const struct train *t, double loss, struct err *err)
{
    const struct trainable *layout = &t->loaded.layout;
    int i, first = -1, not_finite = 0;
    char name[MODULE_NAME_MAX];

    for (i = 0; i < layout->n; i++) {
        const struct trainable_map *map = &layout->maps[i];
        size_t end = map->c + (size_t)layout->directions;
        if (isfinite(gradient_norm(t->gradient + map->a, end - map->a)))
            continue;
        first = not_finite++ ? first : i;
    }
    if (not_finite)
        return refuse_not_finite(t, first, not_finite - 1, loss, err);
    for (i = 0; i < layout->n; i++) {
        const struct trainable_map *map = &layout->maps[i];
        if (gradient_norm(t->gradient + map->b, map->c - map->b) > 0)
            continue;
        module_full_name(map->layer, map->kind, name);
        return err_set(err, ERR_INVALID,
                       "step %d: the gradient of %s is zero: nothing would be learned there",
                       t->state.step + 1, name);
    }
    if (!isfinite(loss))
        return err_set(err, ERR_INVALID, "step %d: the loss is %g", t->state.step + 1, fabs(loss));
    return 0;
}

/* A and B count their steps from the start, c from the step after identification. */
static void apply_gradient(struct train *t, int step, double rate, double factor)
{
    const struct trainable *layout = &t->loaded.layout;
    struct state *s = &t->state;
    size_t k = (size_t)layout->directions;
    int i;

    for (i = 0; i < layout->n; i++) {
        size_t a = layout->maps[i].a, c = layout->maps[i].c;
        adamw_step(&job_of(t)->optimizer, rate, step, factor, t->gradient + a, s->params + a,
                   s->m + a, s->v + a, c - a);
        if (s->identified)
            adamw_step(&job_of(t)->optimizer, rate, step - job_of(t)->dash.prelaunch_steps, factor,
                       t->gradient + c, s->params + c, s->m + c, s->v + c, k);
    }
    s->step = step;
}

static int identify(struct train *t, struct err *err)
{
    struct direction_profile *profiles = calloc((size_t)t->loaded.layout.n + 1, sizeof(*profiles));
    double start = clock_s();
    int rc;

    report_phase(t->report, PHASE_IDENTIFICATION);
    rc = profiles ? workers_identify(&t->workers, &t->state, profiles, err)
                  : err_nomem(err, (size_t)t->loaded.layout.n * sizeof(*profiles));
    if (rc == 0)
        rc = workers_direct(&t->workers, &t->state, err);
    if (rc == 0)
        rc = write_directions(t->options->output, &t->state, err);
    if (rc == 0)
        rc = write_spectra(t->options->output, &t->state, profiles, err);
    free(profiles);
    if (rc == 0) {
        log_info("directions of %d modules chosen in %.1f s", t->loaded.layout.n,
                 clock_s() - start);
        report_phase(t->report, PHASE_DASH);
    }
    return rc;
}

/* Forward, backward and update of the next step; fills the row. */
static int compute_step(struct train *t, struct step_row *row, struct err *err)
{
    struct packed_step packed;
    int step = t->state.step + 1, rc = pack_step(&t->order, &t->packing, step, &packed, err);
    double loss, start;

    if (rc < 0)
        return rc;
    *row = (struct step_row){
        .step = step,
        .tokens = packed.tokens,
        .trained_tokens = packed.trained,
        .computed_tokens = packed.computed,
        .phase = phase_of(t),
        .learning_rate = learning_rate_at(&job_of(t)->optimizer, job_of(t)->training.steps, step)};
    rc = workers_step(&t->workers, &t->state, &packed, step, t->gradient, &loss, err);
    row->loss = loss / (double)packed.trained;
    packed_free(&packed);
    if (rc < 0)
        return rc;
    start = clock_s();
    rc = check_gradient(t, row->loss, err);
    if (rc < 0)
        return rc;
    row->grad_norm = gradient_norm(t->gradient, t->loaded.layout.count);
    apply_gradient(t, step, row->learning_rate, clip_factor(&job_of(t)->optimizer, row->grad_norm));
    t->updating_s += clock_s() - start;
    return 0;
}

/* Of what has been read: what comes later is not in any step yet. */
static void identify_data(struct train *t)
{
    const struct dataset *d = &t->loaded.train;

    if (t->identity.data[0] && t->identity.rows == d->n)
        return;
    dataset_hash(d, d->n, t->identity.data);
    t->identity.rows = d->n;
}

static int save(struct train *t, struct err *err)
{
    int rc;

    identify_data(t);
    t->bytes.len = 0;
    rc = state_encode(&t->state, &t->identity, &t->bytes, err);
    if (rc == 0)
        rc = checkpoint_submit(t->checkpoint, t->state.step, t->state.evaluations.best_step,
                               &t->bytes, t->metrics.fd, err);
    return rc;
}

static int one_step(struct train *t, struct err *err)
{
    struct step_row row;
    double start = clock_s();
    int rc = compute_step(t, &row, err);

    if (rc == 0 && t->state.chosen.n > 0 && t->state.step == job_of(t)->dash.prelaunch_steps)
        rc = identify(t, err);
    row.seconds = clock_s() - start;
    if (rc == 0)
        rc = evaluate(t, &row, err);
    /* A step counts as done only once the one before it is safe. */
    if (rc == 0)
        rc = checkpoint_wait(t->checkpoint, err);
    row.checkpoint_seconds = checkpoint_seconds(t->checkpoint);
    if (rc == 0)
        rc = metrics_add(&t->metrics, &row, err);
    if (rc == 0)
        rc = coefficients_add(&t->coefficients, &t->state, err);
    if (rc == 0)
        rc = tensorboard_add(&t->tensorboard, &row, err);
    if (rc == 0)
        rc = save(t, err);
    if (rc == 0)
        rc = usage_save(&t->usage, err);
    if (rc == 0)
        report_step(t->report, &row);
    if (rc == 0) /* the checkpoint of this step is being written, and will be */
        rc = usage_check_disk(&t->usage, &job_of(t)->limits, row.step, err);
    if (rc == 0)
        rc = memory_share_keep(&t->memory, err);
    t->stepping_s += clock_s() - start;
    return rc;
}

/* Where the time of the steps went. */
static void log_times(const struct train *t)
{
    static const char *const names[WORK_KINDS] = {
        [WORK_PRODUCTS] = "products",   [WORK_ADAPTERS] = "adapters",
        [WORK_ATTENTION] = "attention", [WORK_HEAD] = "head",
        [WORK_ROWS] = "row by row",     [WORK_MESSAGES] = "communication",
        [WORK_WAITING] = "waiting"};
    struct buf line = {0};
    double sum = 0;

    for (int i = 0; i < WORK_KINDS; i++)
        sum += t->workers.seconds[i];
    for (int i = 0; i < WORK_KINDS && sum > 0; i++)
        buf_printf(&line, "%s%s %.1f%%", i ? ", " : "", names[i],
                   100 * t->workers.seconds[i] / sum);
    if (line.len && !line.failed)
        log_info("the workers' time: %s; updating parameters took %.1f%% of a step", line.data,
                 100 * t->updating_s / t->stepping_s);
    buf_free(&line);
}

static bool is_told_to_stop(const struct train *t)
{
    return *t->options->stop || report_stop_wanted(t->report);
}

bool train_stops(const struct train *t)
{
    return is_told_to_stop(t) || usage_is_out_of_time(&t->usage, &job_of(t)->limits);
}

static bool steps_are_left(const struct train *t)
{
    return t->state.step < job_of(t)->training.steps && !evaluation_ends_training(t);
}

static int train_steps(struct train *t, enum train_outcome *ret_outcome, struct err *err)
{
    int rc = 0;

    report_phase(t->report, phase_of(t));
    *ret_outcome = TRAIN_DONE;
    while (rc == 0 && steps_are_left(t) && !train_stops(t)) {
        rc = train_wait_for_rows(t, t->state.step + 1, err);
        if (rc == 0 && !train_stops(t))
            rc = one_step(t, err);
    }
    if (rc == 0)
        rc = train_wait_for_all_rows(t, err);
    if (steps_are_left(t) || !t->order.whole)
        *ret_outcome = TRAIN_STOPPED;
    log_times(t);
    if (rc == 0)
        rc = checkpoint_wait(t->checkpoint, err);
    if (rc == 0 && *ret_outcome == TRAIN_STOPPED && !is_told_to_stop(t))
        rc = usage_refuse_time(&job_of(t)->limits, t->state.step, err);
    return rc;
}

/* Before outcome.json, so that whoever finds that the job has succeeded finds the report. It can be
 * made again: that it could not be written is no failure of the job. */
static void export_report(struct train *t)
{
    char text[1400];
    struct err err;

    if (write_report(t->options->output, &err) == 0)
        return;
    snprintf(text, sizeof(text), "report.html is not written: %s; `dashctl report %s` writes it",
             err.text, t->options->output);
    log_warn("%s", text);
    report_notice(t->report, text);
}

static int export(struct train *t, struct err *err)
{
    int rc;

    report_phase(t->report, PHASE_EXPORT);
    rc = evaluation_take_best(t, &t->ending, err);
    if (rc == 0 && t->ending.len)
        report_notice(t->report, t->ending.data);
    if (rc == 0 && t->state.identified)
        rc = write_directions(t->options->output, &t->state, err);
    if (rc == 0)
        rc = write_adapter(job_of(t), &t->state, err);
    if (rc == 0)
        export_report(t);
    return rc;
}

/* ---- end ---- */

enum { GOODBYE_MS = 5000 };

/* What the next launch may not meet is lost; what it would meet again has failed. */
static enum report_how how_of(int rc, enum train_outcome outcome)
{
    if (rc == ERR_IO || rc == ERR_NOMEM || rc == ERR_PEER || rc == ERR_STATE)
        return REPORT_LOST;
    if (rc < 0)
        return REPORT_FAILED;
    return outcome == TRAIN_STOPPED ? REPORT_STOPPED : REPORT_ADAPTER_WRITTEN;
}

static void report_outcome(struct train *t, int rc, enum train_outcome outcome,
                           const struct err *err)
{
    enum report_how how = how_of(rc, outcome);
    char reason[sizeof(err->text) + 512];
    struct err late;

    if (rc < 0)
        snprintf(reason, sizeof(reason), "%s", err->text);
    else if (outcome == TRAIN_STOPPED)
        snprintf(reason, sizeof(reason), "stopped after step %d", t->state.step);
    else
        snprintf(reason, sizeof(reason), "the adapter is in %s/adapter%s%s", t->options->output,
                 t->ending.len ? "; " : "", t->ending.len ? t->ending.data : "");
    if (rc < 0)
        log_error("%s", reason);
    else
        log_info("%s", reason);
    if (launches_end(t->options->output, t->launch, outcome_name(how), reason, &late) < 0)
        log_warn("%s", late.text);
    if (write_outcome(t->options->output, how, report_stop_wanted(t->report), reason, &late) < 0)
        log_error("%s", late.text);
    /* A job that failed before it could report does so now. */
    if (!t->report)
        report_open(t->options->contact, 0, 0, &t->report, &late);
    report_end(t->report, how, reason, GOODBYE_MS);
}

static void close_train(struct train *t)
{
    workers_stop(&t->workers);
    report_close(t->report);
    checkpoint_close(t->checkpoint);
    metrics_close(&t->metrics);
    coefficients_close(&t->coefficients);
    tensorboard_close(&t->tensorboard);
    state_close(&t->state);
    data_order_close(&t->order);
    data_order_close(&t->eval_order);
    usage_close(&t->usage);
    workers_close(&t->workers);
    loaded_free(&t->loaded);
    buf_free(&t->bytes);
    buf_free(&t->notices);
    buf_free(&t->ending);
    free(t->gradient);
    if (t->lock_fd >= 0)
        close(t->lock_fd);
}

int train_run(struct ranks *ranks, const struct train_options *options,
              enum train_outcome *ret_outcome, struct err *err)
{
    struct train t = {.options = options,
                      .ranks = ranks,
                      .metrics = {.fd = -1},
                      .coefficients = {.fd = -1},
                      .tensorboard = {.fd = -1},
                      .lock_fd = -1,
                      .usage = {.fd = -1}};
    enum train_outcome outcome = TRAIN_DONE;
    int rc = train_start(&t, err);

    if (rc == 0)
        rc = train_steps(&t, &outcome, err);
    if (rc == 0 && outcome == TRAIN_DONE)
        rc = export(&t, err);
    rc = memory_share_explain(&t.memory, rc, err);
    report_outcome(&t, rc, outcome, err);
    close_train(&t);
    if (rc == 0)
        *ret_outcome = outcome;
    return rc;
}

void train_refuse(const struct train_options *options, const struct err *err)
{
    struct train t = {.options = options,
                      .metrics = {.fd = -1},
                      .coefficients = {.fd = -1},
                      .tensorboard = {.fd = -1},
                      .lock_fd = -1,
                      .usage = {.fd = -1}};

    report_outcome(&t, err->code, TRAIN_DONE, err);
    close_train(&t);
}
