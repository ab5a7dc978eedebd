/* daemon/service/runs.c - see runs.h. Each verb commits first, and then asks the layers below to
 * act. */
#include "daemon/service/runs.h"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/service/run_end.h"
#include "daemon/service/run_launch.h"
#include "daemon/service/run_report.h"
#include "daemon/service/run_slurm.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int runs_open(uv_loop_t *loop, struct store *store, const struct runs_options *options,
              struct runs **ret_runs, struct err *err)
{
    static const struct run_callbacks callbacks = {.tick = runs_tick, .slurm_away = run_slurm_away};

    return run_table_open(loop, store, options, &callbacks, ret_runs, err);
}

int runs_begin(struct runs *r, struct err *err)
{
    int i, rc;

    for (i = 0; i < r->n; i++) {
        rc = run_adopt(r->items[i], err);
        if (rc < 0)
            return rc;
    }
    r->groups_left = true; /* of a dashd before this one */
    runs_schedule(r);
    runs_arm(r); /* some may wait out the delay of a restart */
    return 0;
}

void runs_close(struct runs *r)
{
    run_table_close(r);
}

static bool is_same_folder(const char *a, const char *b)
{
    struct stat x, y;

    if (strcmp(a, b) == 0)
        return true;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

void runs_check_output(struct runs *r, const char *output, struct problems *problems)
{
    int i;

    for (i = r->n - 1; i >= 0; i--) {
        const struct run_row *row = &r->items[i]->row;
        if (!is_same_folder(row->output, output))
            continue;
        if (row->state == RUN_FAILED || row->state == RUN_CANCELLED || row->state == RUN_PAUSED)
            problems_add(
                problems, NULL, 0,
                "output: %s belongs to job %ld (%s, %s): `dashctl resume %ld` continues it, "
                "or choose another folder",
                output, row->id, row->name, run_state_name(row->state), row->id);
        else
            problems_add(problems, NULL, 0,
                         "output: %s belongs to job %ld (%s, %s): choose another folder", output,
                         row->id, row->name, run_state_name(row->state));
        return;
    }
}

int runs_create(struct runs *r, struct run_row *row, struct run **ret_run, struct err *err)
{
    int rc;

    row->state = RUN_QUEUED;
    row->created_ms = row->queued_ms = clock_unix_ms();
    rc = run_table_add(r, row, ret_run, err);
    if (rc < 0)
        return rc;
    log_info("job %ld: %s (%s) is queued", (*ret_run)->row.id, (*ret_run)->row.name,
             (*ret_run)->row.output);
    runs_schedule(r);
    return 0;
}

/* Of one that is under way: it ends later. */
static int ask_to_stop(struct run *run, enum run_stop stop, enum run_event event,
                       const char *reason, struct err *err)
{
    struct run_row next = run->row;
    int rc;

    next.stop = stop;
    rc = run_transit(run, &next, event, reason, err);
    if (rc < 0)
        return rc;
    run->interrupting = false;
    run_ask_to_stop(run);
    return 0;
}

int run_cancel(struct run *run, struct err *err)
{
    struct run_row next = run->row;

    if (run_is_under_way(run->row.state))
        return ask_to_stop(run, STOP_CANCEL, RUN_CANCEL,
                           run->row.kind == RUN_EVALUATION
                               ? "cancelled: it ends, and writes no result"
                               : "cancelled: it finishes its step and writes a checkpoint",
                           err);
    return run_transit(run, &next, RUN_CANCEL,
                       run->row.state == RUN_PAUSED ? "cancelled while it was paused"
                       : run->row.launch            ? "cancelled while it waited to continue"
                                                    : "cancelled before it started",
                       err);
}

int run_pause(struct run *run, struct err *err)
{
    struct run_row next = run->row;

    if (run->row.stop == STOP_CANCEL)
        return err_set(err, ERR_STATE, "job %ld is being cancelled", run->row.id);
    if (run->row.external)
        return err_set(err, ERR_STATE,
                       "job %ld is not paused: dashd does not launch it, its user submits its "
                       "batch script; `dashctl cancel %ld` ends it after a checkpoint",
                       run->row.id, run->row.id);
    if (run_is_under_way(run->row.state))
        return ask_to_stop(run, STOP_PAUSE, RUN_PAUSE,
                           run->row.kind == RUN_EVALUATION
                               ? "paused: it ends, and measures anew when it is resumed"
                               : "paused: it finishes its step and writes a checkpoint",
                           err);
    return run_transit(
        run, &next, RUN_PAUSE,
        run->row.launch ? "paused while it waited to continue" : "paused before it started", err);
}

int run_resume(struct run *run, struct run_shape *shape, int from_step, struct err *err)
{
    struct run_row next = run->row;
    int rc;

    next.restore_step = from_step;
    next.stop = STOP_NONE;
    next.external = false;
    next.queued_ms = clock_unix_ms();
    next.finished_ms = 0;
    next.deaths = 0;
    next.not_before_ms = 0;
    if (shape) {
        next.job_yaml = shape->job_yaml;
        next.workers = shape->workers;
        next.max_restarts = shape->max_restarts;
        next.slurm = shape->slurm;
        next.memory_bytes = shape->memory_bytes;
    }
    rc = run_transit(run, &next, RUN_RESUME, "", err);
    if (rc < 0)
        return rc;
    if (shape)
        shape->job_yaml = NULL;
    runs_schedule(run->runs);
    return 0;
}

int run_delete(struct run *run, struct err *err)
{
    long id = run->row.id;
    int rc;

    if (!run_is_final(run->row.state) && run->row.state != RUN_PAUSED)
        return err_set(err, ERR_STATE,
                       "job %ld is %s: only jobs that have ended or are paused can be deleted; "
                       "`dashctl cancel %ld` ends it",
                       id, run_state_name(run->row.state), id);
    if (run->launch || run->ending.kind != ENDING_NONE)
        return err_set(err, ERR_STATE, "the processes of job %ld have not ended yet: try again",
                       id);
    rc = run_table_remove(run, err);
    if (rc == 0)
        log_info("job %ld: deleted", id);
    return rc;
}

int run_update(struct run *run, const char *labels, int priority, struct err *err)
{
    struct run_row next = run->row;
    bool moves = priority != run->row.priority;
    int rc;

    next.priority = priority;
    next.labels = strdup(labels);
    if (!next.labels)
        return err_nomem(err, strlen(labels));
    rc = run_save(run, &next, err);
    if (rc < 0) {
        free(next.labels);
        return rc;
    }
    if (moves)
        runs_queue_changed(run->runs);
    return 0;
}

int runs_queue_position(const struct run *run)
{
    const struct runs *r = run->runs;
    int position = 1, i;

    if (run->row.state != RUN_QUEUED)
        return 0;
    for (i = 0; i < r->n; i++)
        if (r->items[i]->row.state == RUN_QUEUED && run_is_before(&r->items[i]->row, &run->row))
            position++;
    return position;
}

int runs_count(const struct runs *r, bool queued)
{
    int n = 0, i;

    for (i = 0; i < r->n; i++)
        n += queued
                 ? r->items[i]->row.state == RUN_QUEUED
                 : r->items[i]->row.state == RUN_STARTING || r->items[i]->row.state == RUN_RUNNING;
    return n;
}

void runs_stop(struct runs *r, bool stop_jobs, void (*done)(void *arg), void *arg)
{
    bool again = r->stopping;
    int i;

    r->stopping = true;
    if (!again) {
        r->on_stopped = done;
        r->on_stopped_arg = arg;
    }
    for (i = 0; i < r->n; i++) {
        struct run *run = r->items[i];
        run_flush(run, NULL);
        if (!run->launch)
            continue;
        if (!stop_jobs || run->row.external || (again && run->row.slurm)) {
            /* somebody else's to stop; and Slurm may not answer for long */
            launch_forget(run->launch);
            run->launch = NULL;
            run->kill_at_ms = 0;
        } else if (again) {
            launch_kill(run->launch);
        } else if (run_is_under_way(run->row.state)) {
            run->interrupting = !run->row.stop;
            run_ask_to_stop(run);
        }
    }
    if (r->on_stopped && !runs_any_launch(r))
        runs_notify_stopped(r);
}
