/* daemon/service/run_report.c - see run_report.h. A report that cannot be saved ends its stream;
 * the coordinator keeps what was not acknowledged by the next Welcome. */
#include "core/log.h"
#include "daemon/service/catch_up.h"
#include "daemon/service/run_evaluation.h"
#include "daemon/service/run_report.h"
#include "daemon/service/slurm.h"
#include <stdlib.h>
#include <string.h>

enum { FLUSH_MS = 20 };

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
static int apply_first_report(struct run *run, int resumed_from, int steps_total, struct err *err)
{
    struct run_row next = run->row;
    int rc;

    rc = run_steps_cut(&run->steps, run->runs->store, run->row.id, resumed_from, err);
    if (rc < 0)
        return rc;
    next.restore_step = 0;
    if (steps_total > 0)
        next.steps_total = steps_total;
    if (run->row.slurm && run->runs->slurm)
        slurm_look_soon(run->runs->slurm); /* it knows on which nodes */
    return run_transit(run, &next, RUN_FIRST_REPORT, run->row.stop ? NULL : "", err);
}

int run_hello(struct runs *r, const char *id, const char *token, int resumed_from, int steps_total,
              struct rpc_call *report, struct run **ret_run, struct err *err)
{
    struct run *run = NULL;
    int rc;

    /* Strangers do not learn which jobs there are; and a token serves as long as its launch. */
    if (runs_find(r, id, &run, NULL) < 0 || !run->launch || !is_token(&run->row, token))
        return err_set(err, ERR_INVALID, "no job %.20s with this token runs here", id);
    if (run->row.state == RUN_QUEUED || run->row.state == RUN_PAUSED)
        return err_set(err, ERR_STATE, "job %s is %s", id, run_state_name(run->row.state));
    rc = run_flush(run, err);
    if (rc == 0 && run->row.state == RUN_STARTING)
        rc = apply_first_report(run, resumed_from, steps_total, err);
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

void run_drop_report(struct run *run, const char *why)
{
    struct rpc_call *report = run->report;

    if (!report)
        return;
    run_report_gone(run);
    rpc_set_data(report, NULL);
    rpc_finish(report, RPC_UNAVAILABLE, why);
}

/* Drops a stream whose reports cannot be saved: its coordinator dials again and sends them again.
 */
static void refuse_report(struct run *run, const struct err *err)
{
    log_error("job %ld: cannot save its steps: %s", run->row.id, err->text);
    run_drop_report(run, err->text);
}

int run_flush(struct run *run, struct err *err)
{
    struct err why;
    int rc;

    if (!run->steps.n_pending)
        return 0;
    rc = run_steps_commit(&run->steps, run->runs->store, run->row.id, &why);
    if (rc < 0) {
        refuse_report(run, &why);
        return err_set(err, rc, "%s", why.text);
    }
    run->runs->options.on_change(run);
    return 0;
}

static void flush_all(uv_timer_t *timer)
{
    struct runs *r = timer->data;
    int i;

    for (i = 0; i < r->n; i++)
        if (r->items[i]->steps.n_pending)
            run_flush(r->items[i], NULL);
}

int run_step(struct run *run, const struct step_row *step, struct err *err)
{
    struct step_row kept = *step;
    int rc;

    if (step->step <= run_steps_last(&run->steps))
        return 0; /* sent again after a dial */
    if (!run_is_under_way(run->row.state))
        return err_set(err, ERR_STATE, "job %ld is %s: it takes no further steps", run->row.id,
                       run_state_name(run->row.state));
    if (step->step > run->row.steps_total)
        return err_set(err, ERR_INVALID, "job %ld has %d steps, not %d", run->row.id,
                       run->row.steps_total, step->step);
    kept.checkpoint_seconds = 0; /* the store has none: what is said of a step stays the same */
    rc = run_steps_add(&run->steps, &kept, err);
    if (rc < 0)
        return rc;
    run->checkpoint_seconds = step->checkpoint_seconds;
    run_totals_add_step(&run->runs->totals, step);
    if (step->phase != run->row.phase) {
        run->row.phase = step->phase; /* reaches the disk with the next change of the row */
        run_changed(run);
    }
    if (!uv_is_active((uv_handle_t *)run->runs->flush))
        uv_timer_start(run->runs->flush, flush_all, FLUSH_MS, 0);
    return 0;
}

int run_catch_up(struct run *run, struct err *err)
{
    struct step_row *rows = NULL;
    int n = 0, rc = 0, i;

    if (run->row.kind == RUN_EVALUATION)
        return run_evaluation_look(run, err);
    if (catch_up_read(run->row.output, run->steps.done, run->row.steps_total,
                      &run->steps.metrics_read, &rows, &n, err) < 0)
        return 0; /* what cannot be read cannot be sent */
    for (i = 0; rc == 0 && i < n; i++)
        rc = run_step(run, &rows[i], err);
    free(rows);
    return rc == 0 ? run_flush(run, err) : rc;
}

int run_phase(struct run *run, int phase, struct err *err)
{
    struct run_row next = run->row;
    int rc;

    if (phase == run->row.phase)
        return 0;
    rc = run_flush(run, err); /* the event is behind the steps that came before it */
    next.phase = phase;
    return rc == 0 ? run_save_phase(run, &next, err) : rc;
}

void run_decomposed(struct run *run, const struct run_decomposition *decomposition)
{
    run->decomposition = *decomposition;
    run_changed(run);
}

void run_report_gone(struct run *run)
{
    run->report = NULL;
    run->stop_sent = false;
}
