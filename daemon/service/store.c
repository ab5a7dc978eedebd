/* daemon/service/store.c - see store.h: rows in and out. Statements are prepared once, at open.
 *
 * A number that is not finite is kept too: SQLite keeps infinities, and a NaN as NULL.
 */
#include "daemon/service/store_impl.h"
#include "core/file.h"
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUN_COLUMNS                                                                                \
    "name, state, reason, created_ms, queued_ms, started_ms, finished_ms, steps_total, phase, "    \
    "workers, restarts, output, job_yaml, stop_wanted, launch, token, pid, pid_start, boot_id, "   \
    "log_offset, max_restarts, deaths, death_step, death_reason, not_before_ms, slurm, external, " \
    "slurm_job, mark, labels, priority, request_id, request_hash, created_by, nodes, "             \
    "restore_step, "                                                                               \
    "memory_bytes, kind"
#define RUN_VALUES                                                                                 \
    "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, "  \
    "?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, ?38"
enum { RUN_ID = 38 }; /* column after RUN_COLUMNS, from 0; as a parameter, one more */

#define EVENT_COLUMNS "id, at_ms, kind, state, phase, text"
#define STEP_COLUMNS                                                                               \
    "step, loss, grad_norm, learning_rate, tokens, trained_tokens, seconds, phase, eval_loss"

static const char *const statement_sql[STORE_STATEMENTS] = {
    [STORE_BEGIN] = "BEGIN IMMEDIATE",
    [STORE_COMMIT] = "COMMIT",
    [STORE_ROLLBACK] = "ROLLBACK",
    [STORE_ADD_RUN] = "INSERT INTO jobs (" RUN_COLUMNS ") VALUES (" RUN_VALUES ")",
    [STORE_SAVE_RUN] = "UPDATE jobs SET (" RUN_COLUMNS ") = (" RUN_VALUES ") WHERE id = ?39",
    [STORE_LOAD_RUNS] = "SELECT " RUN_COLUMNS ", id FROM jobs ORDER BY id",
    [STORE_ADD_STEP] = "INSERT OR REPLACE INTO steps (job, step, loss, grad_norm, learning_rate, "
                       "tokens, trained_tokens, seconds, phase, eval_loss, at_ms, after_event) "
                       "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, "
                       "(SELECT coalesce(max(id), 0) FROM events WHERE job = ?1))",
    [STORE_CUT_STEPS] = "DELETE FROM steps WHERE job = ?1 AND step > ?2",
    [STORE_READ_STEPS] = "SELECT " STEP_COLUMNS " FROM steps WHERE job = ?1 AND step >= ?2 "
                         "ORDER BY step LIMIT ?3",
    [STORE_READ_STEPS_BACK] = "SELECT " STEP_COLUMNS ", at_ms, after_event FROM steps "
                              "WHERE job = ?1 AND step < ?2 ORDER BY step DESC LIMIT ?3",
    [STORE_SUM_STEPS] = "SELECT coalesce(max(step), 0), coalesce(sum(tokens), 0), "
                        "coalesce(sum(trained_tokens), 0) FROM steps WHERE job = ?1",
    [STORE_ADD_NOTICE] = "INSERT INTO notices (job, text) VALUES (?1, ?2)",
    [STORE_LOAD_NOTICES] = "SELECT text FROM notices WHERE job = ?1 ORDER BY id",
    [STORE_ADD_EVENT] = "INSERT INTO events (job, at_ms, kind, state, phase, text) "
                        "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [STORE_READ_EVENTS] = "SELECT " EVENT_COLUMNS " FROM events "
                          "WHERE job = ?1 AND id > ?2 ORDER BY id LIMIT ?3",
    [STORE_READ_EVENTS_BACK] = "SELECT " EVENT_COLUMNS " FROM events "
                               "WHERE job = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3",
    [STORE_DROP_STEPS] = "DELETE FROM steps WHERE job = ?1",
    [STORE_DROP_NOTICES] = "DELETE FROM notices WHERE job = ?1",
    [STORE_DROP_EVENTS] = "DELETE FROM events WHERE job = ?1",
    [STORE_DROP_RUN] = "DELETE FROM jobs WHERE id = ?1",
};

static int prepare_all(struct store *s, struct err *err)
{
    int i;

    for (i = 0; i < STORE_STATEMENTS; i++)
        if (sqlite3_prepare_v3(s->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                               &s->statements[i], NULL) != SQLITE_OK)
            return store_failed(s, err);
    return 0;
}

int store_open(const char *state, struct store **ret_store, struct err *err)
{
    struct store *s = calloc(1, sizeof(*s));
    int rc;

    if (!s)
        return err_nomem(err, sizeof(*s));
    s->lock = -1;
    s->path = file_join(state, "jobs.db");
    if (!s->path) {
        rc = err_nomem(err, strlen(state));
        goto fail;
    }
    rc = store_file_open(s, state, err);
    if (rc < 0)
        goto fail;
    rc = prepare_all(s, err);
    if (rc < 0)
        goto fail;
    *ret_store = s;
    return 0;
fail:
    store_close(s);
    return rc;
}

void store_close(struct store *s)
{
    int i;

    if (!s)
        return;
    for (i = 0; i < STORE_STATEMENTS; i++)
        sqlite3_finalize(s->statements[i]);
    sqlite3_close(s->db);
    if (s->lock >= 0)
        close(s->lock);
    free(s->path);
    free(s);
}

/* Runs a statement that gives no rows. */
static int finish(struct store *s, sqlite3_stmt *q, struct err *err)
{
    int rc = sqlite3_step(q) == SQLITE_DONE ? 0 : store_failed(s, err);

    sqlite3_reset(q);
    sqlite3_clear_bindings(q);
    return rc;
}

int store_begin(struct store *s, struct err *err)
{
    return finish(s, s->statements[STORE_BEGIN], err);
}

int store_commit(struct store *s, struct err *err)
{
    int rc = finish(s, s->statements[STORE_COMMIT], err);

    if (rc < 0)
        store_rollback(s);
    return rc;
}

void store_rollback(struct store *s)
{
    if (!sqlite3_get_autocommit(s->db))
        finish(s, s->statements[STORE_ROLLBACK], NULL);
}

static void bind_text(sqlite3_stmt *q, int at, const char *text)
{
    sqlite3_bind_text(q, at, text, -1, SQLITE_STATIC);
}

static void bind_run(sqlite3_stmt *q, const struct run_row *row)
{
    bind_text(q, 1, row->name);
    sqlite3_bind_int(q, 2, (int)row->state);
    bind_text(q, 3, row->reason);
    sqlite3_bind_int64(q, 4, row->created_ms);
    sqlite3_bind_int64(q, 5, row->queued_ms);
    sqlite3_bind_int64(q, 6, row->started_ms);
    sqlite3_bind_int64(q, 7, row->finished_ms);
    sqlite3_bind_int(q, 8, row->steps_total);
    sqlite3_bind_int(q, 9, row->phase);
    sqlite3_bind_int(q, 10, row->workers);
    sqlite3_bind_int(q, 11, row->restarts);
    bind_text(q, 12, row->output);
    bind_text(q, 13, row->job_yaml);
    sqlite3_bind_int(q, 14, row->stop);
    sqlite3_bind_int(q, 15, row->launch);
    bind_text(q, 16, row->token);
    sqlite3_bind_int64(q, 17, row->pid);
    sqlite3_bind_int64(q, 18, (int64_t)row->pid_start);
    bind_text(q, 19, row->boot_id);
    sqlite3_bind_int64(q, 20, row->log_offset);
    sqlite3_bind_int(q, 21, row->max_restarts);
    sqlite3_bind_int(q, 22, row->deaths);
    sqlite3_bind_int(q, 23, row->death_step);
    bind_text(q, 24, row->death_reason);
    sqlite3_bind_int64(q, 25, row->not_before_ms);
    sqlite3_bind_int(q, 26, row->slurm);
    sqlite3_bind_int(q, 27, row->external);
    sqlite3_bind_int64(q, 28, row->slurm_job);
    bind_text(q, 29, row->mark);
    bind_text(q, 30, row->labels);
    sqlite3_bind_int(q, 31, row->priority);
    bind_text(q, 32, row->request_id);
    bind_text(q, 33, row->request_hash);
    bind_text(q, 34, row->created_by);
    bind_text(q, 35, row->nodes);
    sqlite3_bind_int(q, 36, row->restore_step);
    sqlite3_bind_int64(q, 37, row->memory_bytes);
    sqlite3_bind_int(q, 38, (int)row->kind);
}

int store_add_run(struct store *s, struct run_row *row, struct err *err)
{
    int rc;

    bind_run(s->statements[STORE_ADD_RUN], row);
    rc = finish(s, s->statements[STORE_ADD_RUN], err);
    if (rc == 0)
        row->id = (long)sqlite3_last_insert_rowid(s->db);
    return rc;
}

int store_save_run(struct store *s, const struct run_row *row, struct err *err)
{
    bind_run(s->statements[STORE_SAVE_RUN], row);
    sqlite3_bind_int64(s->statements[STORE_SAVE_RUN], RUN_ID + 1, row->id);
    return finish(s, s->statements[STORE_SAVE_RUN], err);
}

static char *text_at(sqlite3_stmt *q, int at)
{
    const char *text = (const char *)sqlite3_column_text(q, at);

    return strdup(text ? text : "");
}

static void copy_at(sqlite3_stmt *q, int at, char *to, size_t size)
{
    const char *text = (const char *)sqlite3_column_text(q, at);
    size_t len = text ? strlen(text) : 0;

    if (len >= size)
        len = size - 1;
    memcpy(to, text ? text : "", len);
    to[len] = '\0';
}

static int read_run(sqlite3_stmt *q, struct run_row *row, struct err *err)
{
    *row = (struct run_row){
        .name = text_at(q, 0),
        .state = (enum run_state)sqlite3_column_int(q, 1),
        .reason = text_at(q, 2),
        .created_ms = sqlite3_column_int64(q, 3),
        .queued_ms = sqlite3_column_int64(q, 4),
        .started_ms = sqlite3_column_int64(q, 5),
        .finished_ms = sqlite3_column_int64(q, 6),
        .steps_total = sqlite3_column_int(q, 7),
        .phase = sqlite3_column_int(q, 8),
        .workers = sqlite3_column_int(q, 9),
        .restarts = sqlite3_column_int(q, 10),
        .output = text_at(q, 11),
        .job_yaml = text_at(q, 12),
        .stop = (enum run_stop)sqlite3_column_int(q, 13),
        .launch = sqlite3_column_int(q, 14),
        .pid = (long)sqlite3_column_int64(q, 16),
        .pid_start = (uint64_t)sqlite3_column_int64(q, 17),
        .log_offset = sqlite3_column_int64(q, 19),
        .max_restarts = sqlite3_column_int(q, 20),
        .deaths = sqlite3_column_int(q, 21),
        .death_step = sqlite3_column_int(q, 22),
        .death_reason = text_at(q, 23),
        .not_before_ms = sqlite3_column_int64(q, 24),
        .slurm = sqlite3_column_int(q, 25),
        .external = sqlite3_column_int(q, 26),
        .slurm_job = sqlite3_column_int64(q, 27),
        .labels = text_at(q, 29),
        .priority = sqlite3_column_int(q, 30),
        .request_id = text_at(q, 31),
        .created_by = text_at(q, 33),
        .nodes = text_at(q, 34),
        .restore_step = sqlite3_column_int(q, 35),
        .memory_bytes = sqlite3_column_int64(q, 36),
        .kind = (enum run_kind)sqlite3_column_int(q, 37),
        .id = (long)sqlite3_column_int64(q, RUN_ID),
    };
    copy_at(q, 15, row->token, sizeof(row->token));
    copy_at(q, 18, row->boot_id, sizeof(row->boot_id));
    copy_at(q, 28, row->mark, sizeof(row->mark));
    copy_at(q, 32, row->request_hash, sizeof(row->request_hash));
    if (run_row_is_whole(row) && row->state >= RUN_QUEUED && row->state < RUN_STATES)
        return 0;
    run_row_free(row);
    return err_set(err, ERR_INVALID, "job %lld of the store cannot be read",
                   sqlite3_column_int64(q, RUN_ID));
}

/* Where the strings of a row are. */
static const size_t string_offsets[] = {
    offsetof(struct run_row, name),         offsetof(struct run_row, reason),
    offsetof(struct run_row, death_reason), offsetof(struct run_row, output),
    offsetof(struct run_row, job_yaml),     offsetof(struct run_row, labels),
    offsetof(struct run_row, request_id),   offsetof(struct run_row, created_by),
    offsetof(struct run_row, nodes),
};
enum { STRINGS = sizeof(string_offsets) / sizeof(string_offsets[0]) };

static char *string_of(const struct run_row *row, int i)
{
    return *(char *const *)((const char *)row + string_offsets[i]);
}

bool run_row_is_whole(const struct run_row *row)
{
    int i;

    for (i = 0; i < STRINGS; i++)
        if (!string_of(row, i))
            return false;
    return true;
}

void run_row_replace(struct run_row *row, const struct run_row *next)
{
    int i;

    for (i = 0; i < STRINGS; i++)
        if (string_of(row, i) != string_of(next, i))
            free(string_of(row, i));
    *row = *next;
}

void run_row_free(struct run_row *row)
{
    run_row_replace(row, &(struct run_row){0});
}

int store_load_runs(struct store *s, int (*take)(void *arg, struct run_row *row, struct err *err),
                    void *arg, struct err *err)
{
    sqlite3_stmt *q = s->statements[STORE_LOAD_RUNS];
    struct run_row row;
    int rc = 0, step;

    while (rc == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
        rc = read_run(q, &row, err);
        if (rc == 0)
            rc = take(arg, &row, err);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = store_failed(s, err);
    sqlite3_reset(q);
    return rc;
}

static int add_step(struct store *s, long id, const struct step_row *r, int64_t at_ms,
                    struct err *err)
{
    sqlite3_stmt *q = s->statements[STORE_ADD_STEP];

    sqlite3_bind_int64(q, 1, id);
    sqlite3_bind_int(q, 2, r->step);
    sqlite3_bind_double(q, 3, r->loss);
    sqlite3_bind_double(q, 4, r->grad_norm);
    sqlite3_bind_double(q, 5, r->learning_rate);
    sqlite3_bind_int64(q, 6, r->tokens);
    sqlite3_bind_int64(q, 7, r->trained_tokens);
    sqlite3_bind_double(q, 8, r->seconds);
    sqlite3_bind_int(q, 9, r->phase);
    sqlite3_bind_double(q, 10, r->eval_loss);
    sqlite3_bind_int64(q, 11, at_ms);
    return finish(s, q, err);
}

int store_add_steps(struct store *s, long id, const struct step_row *steps, int n, int64_t at_ms,
                    struct err *err)
{
    int rc, i;

    rc = store_begin(s, err);
    if (rc < 0)
        return rc;
    for (i = 0; i < n && rc == 0; i++)
        rc = add_step(s, id, &steps[i], at_ms, err);
    if (rc < 0) {
        store_rollback(s);
        return rc;
    }
    return store_commit(s, err);
}

int store_cut_steps(struct store *s, long id, int last, struct err *err)
{
    sqlite3_stmt *q = s->statements[STORE_CUT_STEPS];

    sqlite3_bind_int64(q, 1, id);
    sqlite3_bind_int(q, 2, last);
    return finish(s, q, err);
}

static double real_at(sqlite3_stmt *q, int at)
{
    return sqlite3_column_type(q, at) == SQLITE_NULL ? NAN : sqlite3_column_double(q, at);
}

/* Of STEP_COLUMNS. */
static struct step_row step_of(sqlite3_stmt *q)
{
    return (struct step_row){
        .step = sqlite3_column_int(q, 0),
        .loss = real_at(q, 1),
        .grad_norm = real_at(q, 2),
        .learning_rate = real_at(q, 3),
        .tokens = sqlite3_column_int64(q, 4),
        .trained_tokens = sqlite3_column_int64(q, 5),
        .seconds = real_at(q, 6),
        .phase = sqlite3_column_int(q, 7),
        .eval_loss = real_at(q, 8),
    };
}

int store_read_steps(struct store *s, long id, int from, struct step_row *steps, int max,
                     int *ret_n, struct err *err)
{
    sqlite3_stmt *q = s->statements[STORE_READ_STEPS];
    int n = 0, rc;

    sqlite3_bind_int64(q, 1, id);
    sqlite3_bind_int(q, 2, from);
    sqlite3_bind_int(q, 3, max);
    while ((rc = sqlite3_step(q)) == SQLITE_ROW && n < max)
        steps[n++] = step_of(q);
    rc = rc == SQLITE_DONE ? 0 : store_failed(s, err);
    sqlite3_reset(q);
    if (rc == 0)
        *ret_n = n;
    return rc;
}

int store_read_steps_back(struct store *s, long id, int before, struct step_at *steps, int max,
                          int *ret_n, struct err *err)
{
    sqlite3_stmt *q = s->statements[STORE_READ_STEPS_BACK];
    int n = 0, rc;

    sqlite3_bind_int64(q, 1, id);
    sqlite3_bind_int(q, 2, before);
    sqlite3_bind_int(q, 3, max);
    for (; (rc = sqlite3_step(q)) == SQLITE_ROW && n < max; n++)
        steps[n] =
            (struct step_at){step_of(q), sqlite3_column_int64(q, 9), sqlite3_column_int64(q, 10)};
    rc = rc == SQLITE_DONE ? 0 : store_failed(s, err);
    sqlite3_reset(q);
    if (rc == 0)
        *ret_n = n;
    return rc;
}

int store_find_steps_before(struct store *s, long id, int64_t event, int *ret_before,
                            struct err *err)
{
    int low = 0, high = INT_MAX, n = 0,
        rc = 0; /* steps up to low are before it, from high on not */
    struct step_at at = {0};

    while (rc == 0 && high - low > 1) {
        int middle = low + (high - low) / 2;
        rc = store_read_steps_back(s, id, middle + 1, &at, 1, &n, err);
        if (rc < 0)
            return rc;
        /* where there is none from low on up to the middle, all up to it are before it */
        if (n == 0 || at.row.step <= low || at.after_event < event)
            low = middle;
        else
            high = at.row.step;
    }
    *ret_before = high;
    return 0;
}

int store_sum_steps(struct store *s, long id, struct step_sums *ret, struct err *err)
{
    sqlite3_stmt *q = s->statements[STORE_SUM_STEPS];
    int rc = 0;

    sqlite3_bind_int64(q, 1, id);
    if (sqlite3_step(q) == SQLITE_ROW)
        *ret = (struct step_sums){sqlite3_column_int(q, 0), sqlite3_column_int64(q, 1),
                                  sqlite3_column_int64(q, 2)};
    else
        rc = store_failed(s, err);
    sqlite3_reset(q);
    return rc;
}

int store_add_notice(struct store *s, long id, const char *text, struct err *err)
{
    sqlite3_stmt *q = s->statements[STORE_ADD_NOTICE];

    sqlite3_bind_int64(q, 1, id);
    bind_text(q, 2, text);
    return finish(s, q, err);
}

int store_load_notices(struct store *s, long id,
                       int (*take)(void *arg, const char *text, struct err *err), void *arg,
                       struct err *err)
{
    sqlite3_stmt *q = s->statements[STORE_LOAD_NOTICES];
    int rc = 0, step;

    sqlite3_bind_int64(q, 1, id);
    while (rc == 0 && (step = sqlite3_step(q)) == SQLITE_ROW)
        rc = take(arg, (const char *)sqlite3_column_text(q, 0), err);
    if (rc == 0 && step != SQLITE_DONE)
        rc = store_failed(s, err);
    sqlite3_reset(q);
    return rc;
}

int store_add_event(struct store *s, long id, const struct event_row *event, struct err *err)
{
    sqlite3_stmt *q = s->statements[STORE_ADD_EVENT];

    sqlite3_bind_int64(q, 1, id);
    sqlite3_bind_int64(q, 2, event->at_ms);
    sqlite3_bind_int(q, 3, (int)event->kind);
    sqlite3_bind_int(q, 4, (int)event->state);
    sqlite3_bind_int(q, 5, event->phase);
    bind_text(q, 6, event->text);
    return finish(s, q, err);
}

/* By a statement of EVENT_COLUMNS, from an id on. */
static int read_events(struct store *s, sqlite3_stmt *q, long id, int64_t from, int max,
                       int (*take)(void *arg, const struct event_row *event, struct err *err),
                       void *arg, struct err *err)
{
    int rc = 0, step;

    sqlite3_bind_int64(q, 1, id);
    sqlite3_bind_int64(q, 2, from);
    sqlite3_bind_int(q, 3, max);
    while (rc == 0 && (step = sqlite3_step(q)) == SQLITE_ROW) {
        const char *text = (const char *)sqlite3_column_text(q, 5);
        struct event_row event = {
            .id = sqlite3_column_int64(q, 0),
            .at_ms = sqlite3_column_int64(q, 1),
            .kind = (enum event_kind)sqlite3_column_int(q, 2),
            .state = (enum run_state)sqlite3_column_int(q, 3),
            .phase = sqlite3_column_int(q, 4),
            .text = text ? text : "",
        };
        rc = take(arg, &event, err);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = store_failed(s, err);
    sqlite3_reset(q);
    return rc;
}

int store_read_events(struct store *s, long id, int64_t after, int max,
                      int (*take)(void *arg, const struct event_row *event, struct err *err),
                      void *arg, struct err *err)
{
    return read_events(s, s->statements[STORE_READ_EVENTS], id, after, max, take, arg, err);
}

int store_read_events_back(struct store *s, long id, int64_t before, int max,
                           int (*take)(void *arg, const struct event_row *event, struct err *err),
                           void *arg, struct err *err)
{
    return read_events(s, s->statements[STORE_READ_EVENTS_BACK], id, before, max, take, arg, err);
}

int store_delete_run(struct store *s, long id, struct err *err)
{
    static const int drops[] = {STORE_DROP_STEPS, STORE_DROP_NOTICES, STORE_DROP_EVENTS,
                                STORE_DROP_RUN};
    size_t i;
    int rc;

    rc = store_begin(s, err);
    if (rc < 0)
        return rc;
    for (i = 0; i < sizeof(drops) / sizeof(drops[0]) && rc == 0; i++) {
        sqlite3_bind_int64(s->statements[drops[i]], 1, id);
        rc = finish(s, s->statements[drops[i]], err);
    }
    if (rc < 0) {
        store_rollback(s);
        return rc;
    }
    return store_commit(s, err);
}
