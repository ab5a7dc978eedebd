/* daemon/service/runs.c - see runs.h: the table and its changes. */
#include "daemon/service/runs_impl.h"
#include "core/clock.h"
#include "core/log.h"
#include "daemon/service/procs.h"
#include "daemon/service/slurm.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

void runs_changed(struct run *run)
{
    run->version++;
    run->runs->options.on_change(run);
}

/* Those in the queue have moved. */
static void queue_changed(struct runs *r)
{
    int i;

    for (i = 0; i < r->n; i++)
        if (r->items[i]->row.state == RUN_QUEUED)
            runs_changed(r->items[i]);
}

int runs_save(struct run *run, struct run_row *next, struct err *err)
{
    int rc = store_save_run(run->runs->store, next, err);

    if (rc < 0)
        return rc;
    if (run->row.reason != next->reason)
        free(run->row.reason);
    if (run->row.death_reason != next->death_reason)
        free(run->row.death_reason);
    if (run->row.job_yaml != next->job_yaml)
        free(run->row.job_yaml);
    run->row = *next;
    runs_changed(run);
    return 0;
}

int runs_transit(struct run *run, struct run_row *next, enum run_event event, const char *reason,
                 struct err *err)
{
    enum run_state before = run->row.state;
    int rc;

    rc = run_apply(before, event, &next->state, err);
    if (rc < 0)
        return rc;
    if (run_is_final(next->state) && !run_is_final(before))
        next->finished_ms = clock_unix_ms();
    if (reason) {
        next->reason = strdup(reason);
        if (!next->reason)
            return err_nomem(err, strlen(reason));
    }
    rc = runs_save(run, next, err);
    if (rc < 0) {
        if (reason)
            free(next->reason);
        return rc;
    }
    if (before != next->state) {
        log_info("job %ld: %s%s%s", run->row.id, run_state_name(run->row.state),
                 run->row.reason[0] ? ": " : "", run->row.reason);
        if (before == RUN_QUEUED || next->state == RUN_QUEUED)
            queue_changed(run->runs);
    }
    return 0;
}

static void free_run(struct run *run)
{
    int i;

    for (i = 0; i < run->n_notices; i++)
        free(run->notices[i]);
    free(run->notices);
    free(run->pending);
    free(run->end_reason);
    run_row_free(&run->row);
    free(run);
}

static int add_run(struct runs *r, struct run_row *row, struct run **ret_run, struct err *err)
{
    struct run *run = calloc(1, sizeof(*run)), **items;

    if (r->n == r->cap) {
        int cap = r->cap ? 2 * r->cap : 64;
        items = realloc(r->items, (size_t)cap * sizeof(struct run *));
        if (items) {
            r->items = items;
            r->cap = cap;
        }
    }
    if (!run || r->n == r->cap) {
        free(run);
        return err_nomem(err, sizeof(*run));
    }
    run->runs = r;
    run->row = *row;
    run->version = 1;
    r->items[r->n++] = run;
    *ret_run = run;
    return 0;
}

int runs_load_steps(struct run *run, struct err *err)
{
    int last = 0, n = 0, rc;

    rc = store_last_step(run->runs->store, run->row.id, &last, err);
    if (rc == 0 && last > 0)
        rc = store_read_steps(run->runs->store, run->row.id, last - RUN_RECENT + 1, run->recent,
                              RUN_RECENT, &n, err);
    if (rc < 0)
        return rc;
    run->steps_done = last;
    run->n_recent = n;
    return 0;
}

static int load_run(void *arg, struct run_row *row, struct err *err)
{
    struct runs *r = arg;
    struct run *run = NULL;
    int rc;

    rc = add_run(r, row, &run, err);
    if (rc < 0) {
        run_row_free(row);
        return rc;
    }
    rc = runs_load_steps(run, err);
    if (rc == 0)
        rc = store_load_notices(r->store, row->id, runs_keep_notice, run, err);
    return rc;
}

int runs_open(uv_loop_t *loop, struct store *store, const struct runs_options *options,
              struct runs **ret_runs, struct err *err)
{
    struct runs *r = calloc(1, sizeof(*r));
    int rc;

    if (!r)
        return err_nomem(err, sizeof(*r));
    r->loop = loop;
    r->store = store;
    r->options = *options;
    r->flush = calloc(1, sizeof(*r->flush));
    r->tick = calloc(1, sizeof(*r->tick));
    if (!r->flush || !r->tick) {
        free(r->flush);
        free(r->tick);
        free(r);
        return err_nomem(err, sizeof(uv_timer_t));
    }
    uv_timer_init(loop, r->flush);
    uv_timer_init(loop, r->tick);
    r->flush->data = r->tick->data = r;
    rc = checker_open(loop, &options->check, &r->checker, err);
    if (rc == 0)
        rc = procs_boot_id(r->boot_id, err);
    if (rc == 0 && slurm_is_here())
        rc = slurm_open(loop, options->slurm_poll_s, runs_slurm_away, r, &r->slurm, err);
    if (rc == 0)
        rc = store_load_runs(store, load_run, r, err);
    if (rc < 0) {
        runs_close(r);
        return rc;
    }
    *ret_runs = r;
    return 0;
}

int runs_begin(struct runs *r, struct err *err)
{
    int i, rc;

    for (i = 0; i < r->n; i++) {
        rc = runs_adopt(r->items[i], err);
        if (rc < 0)
            return rc;
    }
    runs_schedule(r);
    runs_arm(r); /* some may wait out the delay of a restart */
    return 0;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

void runs_close(struct runs *r)
{
    int i;

    if (!r)
        return;
    for (i = 0; i < r->n; i++) {
        launch_forget(r->items[i]->launch);
        free_run(r->items[i]);
    }
    checker_close(r->checker);
    slurm_close(r->slurm);
    uv_close((uv_handle_t *)r->flush, free_handle);
    uv_close((uv_handle_t *)r->tick, free_handle);
    free(r->items);
    free(r);
}

int runs_find(struct runs *r, const char *id_or_name, struct run **ret_run, struct err *err)
{
    struct run *named = NULL;
    char *end, ids[200] = "";
    long id = strtol(id_or_name, &end, 10);
    size_t used = 0;
    int i, n = 0;

    for (i = 0; i < r->n; i++) {
        struct run *run = r->items[i];
        if (id_or_name[0] && !*end && run->row.id == id) {
            *ret_run = run;
            return 0;
        }
        if (strcmp(run->row.name, id_or_name) != 0)
            continue;
        named = run;
        if (n++ && used < sizeof(ids))
            used += (size_t)snprintf(ids + used, sizeof(ids) - used, ", ");
        if (used < sizeof(ids))
            used += (size_t)snprintf(ids + used, sizeof(ids) - used, "%ld", run->row.id);
    }
    if (n > 1)
        return err_set(err, ERR_NOT_FOUND, "%d jobs are named '%s': say which by its id (%s)", n,
                       id_or_name, ids);
    if (!n)
        return err_set(err, ERR_NOT_FOUND,
                       "there is no job '%s': `dashctl list` shows those there are", id_or_name);
    *ret_run = named;
    return 0;
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
        if (row->state == RUN_FAILED || row->state == RUN_CANCELLED)
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
    struct run *run = NULL;
    int rc;

    row->state = RUN_QUEUED;
    row->created_ms = row->queued_ms = clock_unix_ms();
    rc = add_run(r, row, &run, err);
    if (rc < 0)
        return rc;
    rc = store_add_run(r->store, &run->row, err);
    if (rc < 0) {
        r->n--;
        free(run);
        return rc;
    }
    log_info("job %ld: %s (%s) is queued", run->row.id, run->row.name, run->row.output);
    *row = (struct run_row){0};
    *ret_run = run;
    runs_schedule(r);
    return 0;
}

int runs_cancel(struct run *run, struct err *err)
{
    struct run_row next = run->row;
    int rc;

    if (run->row.state == RUN_QUEUED)
        return runs_transit(run, &next, RUN_CANCEL,
                            run->row.launch ? "cancelled while it waited to continue"
                                            : "cancelled before it started",
                            err);
    next.stop_wanted = true;
    rc = runs_transit(run, &next, RUN_CANCEL,
                      "cancelled: it finishes its step and writes a checkpoint", err);
    if (rc < 0)
        return rc;
    run->pausing = false;
    runs_ask_to_stop(run);
    return 0;
}

int runs_resume(struct run *run, struct run_shape *shape, struct err *err)
{
    struct run_row next = run->row;
    int rc;

    next.stop_wanted = false;
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
    }
    rc = runs_transit(run, &next, RUN_RESUME, "", err);
    if (rc < 0)
        return rc;
    if (shape)
        shape->job_yaml = NULL;
    runs_schedule(run->runs);
    return 0;
}

static bool is_before(const struct run_row *a, const struct run_row *b)
{
    return a->queued_ms != b->queued_ms ? a->queued_ms < b->queued_ms : a->id < b->id;
}

int runs_queue_position(const struct run *run)
{
    const struct runs *r = run->runs;
    int position = 1, i;

    if (run->row.state != RUN_QUEUED)
        return 0;
    for (i = 0; i < r->n; i++)
        if (r->items[i]->row.state == RUN_QUEUED && is_before(&r->items[i]->row, &run->row))
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
