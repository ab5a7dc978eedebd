/* daemon/service/runs.c - see runs.h: the table, its changes, and what coordinators report. */
#include "daemon/service/runs_impl.h"
#include "core/log.h"
#include "daemon/service/procs.h"
#include "daemon/service/watch.h"
#include "proto/dash.pb-c.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

int64_t runs_now_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void runs_changed(struct run *run)
{
    run->version++;
    watch_wake(run);
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
        next->finished_ms = runs_now_ms();
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
        items = realloc(r->items, (size_t)cap * sizeof(*items));
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

static int keep_notice(void *arg, const char *text, struct err *err)
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
        rc = store_load_notices(r->store, row->id, keep_notice, run, err);
    return rc;
}

static void flush_all(uv_timer_t *timer)
{
    struct runs *r = timer->data;
    int i;

    for (i = 0; i < r->n; i++)
        if (r->items[i]->n_pending)
            runs_flush(r->items[i], NULL);
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
    rc = procs_boot_id(r->boot_id, err);
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
                "output: %s belongs to job %ld (%s, %s): `dashctl resume %ld` goes on with it, "
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
    row->created_ms = row->queued_ms = runs_now_ms();
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
                            run->row.launch ? "cancelled while it waited to go on"
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

int runs_resume(struct run *run, struct err *err)
{
    struct run_row next = run->row;
    int rc;

    next.stop_wanted = false;
    next.queued_ms = runs_now_ms();
    next.finished_ms = 0;
    rc = runs_transit(run, &next, RUN_RESUME, "", err);
    if (rc == 0)
        runs_schedule(run->runs);
    return rc;
}

/* Not by strcmp(), whose time tells how much of it was right. */
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

/* The first word of a launch. Steps after its checkpoint are of an earlier launch: they come again. Cutting them first
 * makes the two changes one: until the state is RUNNING the cut is made again. */
static int take_first_report(struct run *run, int resumed_from, int steps_total, struct err *err)
{
    struct run_row next = run->row;
    int rc;

    rc = store_cut_steps(run->runs->store, run->row.id, resumed_from, err);
    if (rc == 0)
        rc = runs_load_steps(run, err);
    if (rc < 0)
        return rc;
    if (steps_total > 0)
        next.steps_total = steps_total;
    return runs_transit(run, &next, RUN_FIRST_REPORT, run->row.stop_wanted ? NULL : "", err);
}

int runs_hello(struct runs *r, const char *id, const char *token, int resumed_from, int steps_total,
               struct rpc_call *report, struct run **ret_run, struct err *err)
{
    struct run *run = NULL;
    int rc;

    rc = runs_find(r, id, &run, err);
    if (rc < 0)
        return rc;
    if (!is_token(&run->row, token))
        return err_set(err, ERR_INVALID,
                       "this is not the coordinator of job %s that dashd launched", id);
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

/* Drops a stream whose reports cannot be kept: its coordinator dials again and tells them again. */
static void refuse_report(struct run *run, const struct err *err)
{
    log_error("job %ld: its steps cannot be kept: %s", run->row.id, err->text);
    if (!run->report)
        return;
    rpc_set_data(run->report, NULL);
    rpc_finish(run->report, RPC_UNAVAILABLE, err->text);
    run->report = NULL;
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
    watch_wake(run);
    return 0;
}

int runs_step(struct run *run, const struct step_row *step, struct err *err)
{
    int last = run->n_pending ? run->pending[run->n_pending - 1].step : run->steps_done;
    struct step_row *pending;

    if (step->step <= last)
        return 0; /* told again after a dial */
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
    int rc, i;

    for (i = 0; i < run->n_notices; i++)
        if (strcmp(run->notices[i], text) == 0)
            return 0;
    rc = store_add_notice(run->runs->store, run->row.id, text, err);
    if (rc == 0)
        rc = keep_notice(run, text, err);
    if (rc == 0)
        runs_changed(run);
    return rc;
}

void runs_report_gone(struct run *run)
{
    run->report = NULL;
    run->stop_sent = false;
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
