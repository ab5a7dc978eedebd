/* daemon/service/run_table.c - see run_table.h. A row is changed in a copy, committed, and then
 * replaced: on failure nothing has changed. */
#include "daemon/service/run_table.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/utf8.h"
#include "daemon/service/procs.h"
#include "daemon/service/slurm.h"
#include <stdlib.h>
#include <string.h>

enum { TICK_MS = 250, NOTICES_MAX = 100, NOTICE_BYTES_MAX = 1000 };

/* ---- changes ---- */

void run_changed(struct run *run)
{
    run->version++;
    run->runs->options.on_change(run);
}

bool run_is_before(const struct run_row *a, const struct run_row *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority;
    return a->queued_ms != b->queued_ms ? a->queued_ms < b->queued_ms : a->id < b->id;
}

void runs_queue_changed(struct runs *r)
{
    int i;

    for (i = 0; i < r->n; i++)
        if (r->items[i]->row.state == RUN_QUEUED)
            run_changed(r->items[i]);
}

/* In one commit: the row, if it is to change, and what happened, if it is worth an event. */
static int commit(struct run *run, const struct run_row *next, const struct event_row *event,
                  struct err *err)
{
    struct store *s = run->runs->store;
    int rc = store_begin(s, err);

    if (rc < 0)
        return rc;
    rc = next ? store_save_run(s, next, err) : 0;
    if (rc == 0 && event)
        rc = store_add_event(s, run->row.id, event, err);
    if (rc == 0 && event && event->kind == EVENT_NOTICE)
        rc = store_add_notice(s, run->row.id, event->text, err);
    if (rc < 0) {
        store_rollback(s);
        return rc;
    }
    return store_commit(s, err);
}

static struct event_row event_of(enum event_kind kind, const struct run_row *row, const char *text)
{
    return (struct event_row){0, clock_unix_ms(), kind, row->state, row->phase, text};
}

static int save_with(struct run *run, struct run_row *next, const struct event_row *event,
                     struct err *err)
{
    int rc = commit(run, next, event, err);

    if (rc < 0)
        return rc;
    run_row_replace(&run->row, next);
    run_changed(run);
    return 0;
}

int run_save(struct run *run, struct run_row *next, struct err *err)
{
    return save_with(run, next, NULL, err);
}

int run_save_phase(struct run *run, struct run_row *next, struct err *err)
{
    struct event_row event = event_of(EVENT_PHASE, next, "");

    return save_with(run, next, &event, err);
}

int run_transit(struct run *run, struct run_row *next, enum run_event event, const char *reason,
                struct err *err)
{
    enum run_state before = run->row.state;
    struct event_row what;
    bool changes;
    int rc;

    rc = run_apply(before, event, &next->state, err);
    if (rc < 0)
        return rc;
    if (run_is_final(next->state) && !run_is_final(before))
        next->finished_ms = clock_unix_ms();
    if (reason) {
        next->reason = strdup(reason);
        if (!next->reason) {
            next->reason = run->row.reason;
            return err_nomem(err, strlen(reason));
        }
    }
    changes =
        next->state != before || (reason && reason[0] && strcmp(reason, run->row.reason) != 0);
    what = event_of(EVENT_STATE, next, next->reason);
    rc = save_with(run, next, changes ? &what : NULL, err);
    if (rc < 0) {
        if (reason)
            free(next->reason);
        next->reason = run->row.reason;
        return rc;
    }
    if (before != next->state) {
        log_info("job %ld: %s%s%s", run->row.id, run_state_name(run->row.state),
                 run->row.reason[0] ? ": " : "", run->row.reason);
        if (before == RUN_QUEUED || next->state == RUN_QUEUED)
            runs_queue_changed(run->runs);
    }
    return 0;
}

void run_log_once(struct run *run, const char *what, const struct err *err)
{
    struct runs *r = run->runs;

    if (strcmp(r->last_logged, err->text) != 0)
        log_error("job %ld %s: %s", run->row.id, what, err->text);
    snprintf(r->last_logged, sizeof(r->last_logged), "%s", err->text);
}

/* ---- notices ---- */

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

int run_add_notice(struct run *run, const char *text, struct err *err)
{
    size_t len = utf8_fit(text, NOTICE_BYTES_MAX);
    struct event_row event;
    char *fitted;
    int rc, i;

    if (run->n_notices >= NOTICES_MAX)
        return 0; /* the log has them all */
    for (i = 0; i < run->n_notices; i++)
        if (strncmp(run->notices[i], text, len) == 0 && !run->notices[i][len])
            return 0;
    fitted = strndup(text, len);
    event = event_of(EVENT_NOTICE, &run->row, fitted);
    rc = fitted ? commit(run, NULL, &event, err) : err_nomem(err, len);
    if (rc == 0)
        rc = keep_notice(run, fitted, err);
    if (rc == 0)
        run_changed(run);
    free(fitted);
    return rc;
}

/* ---- the table ---- */

static void free_run(struct run *run)
{
    int i;

    for (i = 0; i < run->n_notices; i++)
        free(run->notices[i]);
    free(run->notices);
    run_steps_free_pending(&run->steps);
    free(run->ending.reason);
    free(run->model);
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
    rc = run_steps_load(&run->steps, r->store, row->id, err);
    if (rc == 0)
        rc = store_load_notices(r->store, row->id, keep_notice, run, err);
    return rc;
}

int run_table_open(uv_loop_t *loop, struct store *store, const struct runs_options *options,
                   const struct run_callbacks *callbacks, struct runs **ret_runs, struct err *err)
{
    struct runs *r = calloc(1, sizeof(*r));
    int rc;

    if (!r)
        return err_nomem(err, sizeof(*r));
    r->loop = loop;
    r->store = store;
    r->options = *options;
    r->callbacks = *callbacks;
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
        rc = slurm_open(loop, options->slurm_poll_s, callbacks->slurm_away, r, &r->slurm, err);
    if (rc == 0)
        rc = store_load_runs(store, load_run, r, err);
    if (rc < 0) {
        run_table_close(r);
        return rc;
    }
    *ret_runs = r;
    return 0;
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

void run_table_close(struct runs *r)
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

static int commit_new(struct store *s, struct run_row *row, struct err *err)
{
    struct event_row event = event_of(EVENT_STATE, row, row->reason);
    int rc = store_begin(s, err);

    if (rc < 0)
        return rc;
    rc = store_add_run(s, row, err);
    if (rc == 0)
        rc = store_add_event(s, row->id, &event, err);
    if (rc < 0) {
        store_rollback(s);
        return rc;
    }
    return store_commit(s, err);
}

/* Those behind one that has come to the queue. */
static void move_others(const struct run *run)
{
    const struct runs *r = run->runs;
    int i;

    for (i = 0; run->row.state == RUN_QUEUED && i < r->n; i++)
        if (r->items[i]->row.state == RUN_QUEUED && run_is_before(&run->row, &r->items[i]->row))
            run_changed(r->items[i]);
}

int run_table_add(struct runs *r, struct run_row *row, struct run **ret_run, struct err *err)
{
    struct run *run = NULL;
    int rc = add_run(r, row, &run, err);

    if (rc < 0)
        return rc;
    rc = commit_new(r->store, &run->row, err);
    if (rc < 0) {
        r->n--;
        free(run);
        return rc;
    }
    *row = (struct run_row){0};
    *ret_run = run;
    run_changed(run);
    move_others(run);
    return 0;
}

int run_table_remove(struct run *run, struct err *err)
{
    struct runs *r = run->runs;
    int rc = store_delete_run(r->store, run->row.id, err), i = 0;

    if (rc < 0)
        return rc;
    r->options.on_delete(run);
    while (r->items[i] != run)
        i++;
    memmove(&r->items[i], &r->items[i + 1], (size_t)(r->n - i - 1) * sizeof(*r->items));
    r->n--;
    free_run(run);
    return 0;
}

struct run *runs_find_request(struct runs *r, const char *created_by, const char *request_id)
{
    int i;

    for (i = r->n - 1; request_id[0] && i >= 0; i--)
        if (strcmp(r->items[i]->row.request_id, request_id) == 0 &&
            strcmp(r->items[i]->row.created_by, created_by) == 0)
            return r->items[i];
    return NULL;
}

void runs_arm(struct runs *r)
{
    if (!uv_is_active((uv_handle_t *)r->tick))
        uv_timer_start(r->tick, r->callbacks.tick, 0, TICK_MS);
}
