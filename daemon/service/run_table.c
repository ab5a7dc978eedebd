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

/* Those in the queue have moved. */
static void queue_changed(struct runs *r)
{
    int i;

    for (i = 0; i < r->n; i++)
        if (r->items[i]->row.state == RUN_QUEUED)
            run_changed(r->items[i]);
}

int run_save(struct run *run, struct run_row *next, struct err *err)
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
    run_changed(run);
    return 0;
}

int run_transit(struct run *run, struct run_row *next, enum run_event event, const char *reason,
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
    rc = run_save(run, next, err);
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

int run_table_add(struct runs *r, struct run_row *row, struct run **ret_run, struct err *err)
{
    struct run *run = NULL;
    int rc = add_run(r, row, &run, err);

    if (rc < 0)
        return rc;
    rc = store_add_run(r->store, &run->row, err);
    if (rc < 0) {
        r->n--;
        free(run);
        return rc;
    }
    *row = (struct run_row){0};
    *ret_run = run;
    return 0;
}

void runs_arm(struct runs *r)
{
    if (!uv_is_active((uv_handle_t *)r->tick))
        uv_timer_start(r->tick, r->callbacks.tick, 0, TICK_MS);
}
