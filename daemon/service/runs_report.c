/* daemon/service/runs_report.c - what coordinators report of their runs. See runs.h. */
#include "core/log.h"
#include "core/utf8.h"
#include "daemon/service/catch_up.h"
#include "daemon/service/runs_impl.h"
#include "daemon/service/slurm.h"
#include <stdlib.h>
#include <string.h>

/* Not by strcmp(), whose time reveals how much of it was right. */
static bool is_token(const struct run_row *row, const char *token)
{
    size_t len = strlen(row->token), i;
    unsigned char differs = 0;

    if (!len || strlen(token) != len)
        return false;
    for (i = 0; i < len; i++)
        differs |= (unsigned char)(token[i] ^ row->token[i]);
    return !differs;
}

/* The first word of a launch. Steps after its checkpoint are of an earlier launch: they come again.
 * Cutting them first makes the two changes one: until the state is RUNNING the cut is made again.
 */
static int take_first_report(struct run *run, int resumed_from, int steps_total, struct err *err)
{
    struct run_row next = run->row;
    int rc;

    rc = store_cut_steps(run->runs->store, run->row.id, resumed_from, err);
    if (rc == 0)
        rc = runs_load_steps(run, err);
    run->metrics_read = 0;
    if (rc < 0)
        return rc;
    if (steps_total > 0)
        next.steps_total = steps_total;
    if (run->row.slurm && run->runs->slurm)
        slurm_look_soon(run->runs->slurm); /* it knows on which nodes */
    return runs_transit(run, &next, RUN_FIRST_REPORT, run->row.stop_wanted ? NULL : "", err);
}

int runs_hello(struct runs *r, const char *id, const char *token, int resumed_from, int steps_total,
               struct rpc_call *report, struct run **ret_run, struct err *err)
{
    struct run *run = NULL;
    int rc;

    /* Strangers do not learn which jobs there are; and a token serves as long as its launch. */
    if (runs_find(r, id, &run, NULL) < 0 || !run->launch || !is_token(&run->row, token))
        return err_set(err, ERR_INVALID, "no job %.20s with this token runs here", id);
    if (run->row.state == RUN_QUEUED)
        return err_set(err, ERR_STATE, "job %s is in the queue again", id);
    rc = runs_flush(run, err);
    if (rc == 0 && run->row.state == RUN_STARTING)
        rc = take_first_report(run, resumed_from, steps_total, err);
    if (rc < 0)
        return rc;
    if (run->report) {
        rpc_set_data(run->report, NULL);
        rpc_finish(run->report, RPC_ABORTED, "another stream of this job has taken its place");
    }
    run->report = report;
    run->stop_sent = false;
    *ret_run = run;
    return 0;
}

void runs_drop_report(struct run *run, const char *why)
{
    struct rpc_call *report = run->report;

    if (!report)
        return;
    runs_report_gone(run);
    rpc_set_data(report, NULL);
    rpc_finish(report, RPC_UNAVAILABLE, why);
}

/* Drops a stream whose reports cannot be saved: its coordinator dials again and sends them again.
 */
static void refuse_report(struct run *run, const struct err *err)
{
    log_error("job %ld: its steps cannot be kept: %s", run->row.id, err->text);
    runs_drop_report(run, err->text);
}

static void remember_recent(struct run *run, const struct step_row *step)
{
    if (run->n_recent == RUN_RECENT)
        memmove(run->recent, run->recent + 1, (RUN_RECENT - 1) * sizeof(*run->recent));
    else
        run->n_recent++;
    run->recent[run->n_recent - 1] = *step;
}

int runs_flush(struct run *run, struct err *err)
{
    struct err why;
    int rc, i;

    if (!run->n_pending)
        return 0;
    rc = store_add_steps(run->runs->store, run->row.id, run->pending, run->n_pending, &why);
    if (rc < 0) {
        run->n_pending = 0;
        refuse_report(run, &why);
        return err_set(err, rc, "%s", why.text);
    }
    for (i = 0; i < run->n_pending; i++)
        remember_recent(run, &run->pending[i]);
    run->steps_done = run->pending[run->n_pending - 1].step;
    run->n_pending = 0;
    run->runs->options.on_change(run);
    return 0;
}

void runs_free_pending(struct run *run)
{
    free(run->pending);
    run->pending = NULL;
    run->n_pending = run->cap_pending = 0;
}

static void flush_all(uv_timer_t *timer)
{
    struct runs *r = timer->data;
    int i;

    for (i = 0; i < r->n; i++)
        if (r->items[i]->n_pending)
            runs_flush(r->items[i], NULL);
}

int runs_keep_notice(void *arg, const char *text, struct err *err)
{
    struct run *run = arg;
    char **notices, *copy = strdup(text);

    notices = realloc(run->notices, (size_t)(run->n_notices + 1) * sizeof(*notices));
    if (notices)
        run->notices = notices;
    if (!notices || !copy) {
        free(copy);
        return err_nomem(err, strlen(text));
    }
    run->notices[run->n_notices++] = copy;
    return 0;
}

int runs_step(struct run *run, const struct step_row *step, struct err *err)
{
    int last = run->n_pending ? run->pending[run->n_pending - 1].step : run->steps_done;
    struct step_row *pending;

    if (step->step <= last)
        return 0; /* sent again after a dial */
    if (run_is_final(run->row.state) || run->row.state == RUN_QUEUED)
        return err_set(err, ERR_STATE, "job %ld is %s: it takes no further steps", run->row.id,
                       run_state_name(run->row.state));
    if (step->step > run->row.steps_total)
        return err_set(err, ERR_INVALID, "job %ld has %d steps, not %d", run->row.id,
                       run->row.steps_total, step->step);
    if (run->n_pending == run->cap_pending) {
        int cap = run->cap_pending ? 2 * run->cap_pending : 64;
        pending = realloc(run->pending, (size_t)cap * sizeof(*pending));
        if (!pending)
            return err_nomem(err, (size_t)cap * sizeof(*pending));
        run->pending = pending;
        run->cap_pending = cap;
    }
    run->pending[run->n_pending++] = *step;
    if (step->phase != run->row.phase) {
        run->row.phase = step->phase; /* reaches the disk with the next change of the row */
        runs_changed(run);
    }
    if (!uv_is_active((uv_handle_t *)run->runs->flush))
        uv_timer_start(run->runs->flush, flush_all, FLUSH_MS, 0);
    return 0;
}

int runs_catch_up(struct run *run, struct err *err)
{
    struct step_row *rows = NULL;
    int n = 0, rc = 0, i;

    if (catch_up_read(run->row.output, run->steps_done, run->row.steps_total, &run->metrics_read,
                      &rows, &n, err) < 0)
        return 0; /* what cannot be read cannot be sent */
    for (i = 0; rc == 0 && i < n; i++)
        rc = runs_step(run, &rows[i], err);
    free(rows);
    return rc == 0 ? runs_flush(run, err) : rc;
}

int runs_phase(struct run *run, int phase, struct err *err)
{
    struct run_row next = run->row;

    if (phase == run->row.phase)
        return 0;
    next.phase = phase;
    return runs_save(run, &next, err);
}

int runs_notice(struct run *run, const char *text, struct err *err)
{
    size_t len = utf8_fit(text, NOTICE_BYTES_MAX);
    char *fitted;
    int rc, i;

    if (run->n_notices >= NOTICES_MAX)
        return 0; /* the log has them all */
    for (i = 0; i < run->n_notices; i++)
        if (strncmp(run->notices[i], text, len) == 0 && !run->notices[i][len])
            return 0;
    fitted = strndup(text, len);
    rc =
        fitted ? store_add_notice(run->runs->store, run->row.id, fitted, err) : err_nomem(err, len);
    if (rc == 0)
        rc = runs_keep_notice(run, fitted, err);
    if (rc == 0)
        runs_changed(run);
    free(fitted);
    return rc;
}

void runs_report_gone(struct run *run)
{
    run->report = NULL;
    run->stop_sent = false;
}
