/* tests/unit/service/test_store.c - daemon/service/store.h: what is put in comes out, also by
 * another opening, also after a commit that did not come about. */
#include "daemon/service/store.h"
#include "core/file.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <unistd.h>
#include <cmocka.h>
#include <sqlite3.h>

struct world {
    char folder[64];
    struct store *store;
    struct run_row row; /* the last one loaded */
    int n_rows, n_notices;
    char notices[200];
    int64_t last_event;
};

static void reopen(struct world *w)
{
    struct err err = {0};

    store_close(w->store);
    w->store = NULL;
    if (store_open(w->folder, &w->store, &err) < 0)
        fail_msg("%s", err.text);
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    strcpy(w->folder, "/tmp/dash-store-XXXXXX");
    assert_non_null(mkdtemp(w->folder));
    reopen(w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"jobs.db", "jobs.db-wal", "jobs.db-shm", "dashd.lock"};
    struct world *w = *state;
    size_t i;

    store_close(w->store);
    run_row_free(&w->row);
    for (i = 0; i < 4; i++) {
        char *path = file_join(w->folder, names[i]);
        unlink(path);
        free(path);
    }
    rmdir(w->folder);
    free(w);
    return 0;
}

static int keep_row(void *arg, struct run_row *row, struct err *err)
{
    struct world *w = arg;

    (void)err;
    run_row_free(&w->row);
    w->row = *row;
    w->n_rows++;
    return 0;
}

static int keep_notice(void *arg, const char *text, struct err *err)
{
    struct world *w = arg;

    (void)err;
    snprintf(w->notices + strlen(w->notices), sizeof(w->notices) - strlen(w->notices), "%s;", text);
    w->n_notices++;
    return 0;
}

static struct run_row example(void)
{
    return (struct run_row){
        .kind = RUN_EVALUATION,
        .name = (char *)"näme; 'DROP TABLE'",
        .state = RUN_RUNNING,
        .reason = (char *)"why\nnot",
        .created_ms = 1795502956031,
        .queued_ms = 2,
        .started_ms = 3,
        .finished_ms = 4,
        .steps_total = 5,
        .phase = 3,
        .workers = 6,
        .restarts = 7,
        .output = (char *)"/out",
        .job_yaml = (char *)"a: b\n",
        .stop = STOP_CANCEL,
        .launch = 8,
        .token = "0123456789abcdef0123456789abcdef",
        .pid = 4194304,
        .pid_start = UINT64_MAX / 4,
        .boot_id = "01b14937-cd28-4933-87e6-e7d78a826677",
        .log_offset = (int64_t)1 << 40,
        .max_restarts = 9,
        .deaths = 10,
        .death_step = 11,
        .death_reason = (char *)"a signal",
        .not_before_ms = 12,
        .slurm = true,
        .external = true,
        .slurm_job = (int64_t)1 << 33,
        .mark = "0123456789abcdef",
        .labels = (char *)"owner=me\nset=a b=c\n",
        .priority = -13,
        .request_id = (char *)"req-1",
        .request_hash = "fedcba9876543210fedcba9876543210",
        .created_by = (char *)"uid:1001",
        .nodes = (char *)"n[1-4]",
        .restore_step = 14,
        .memory_bytes = (int64_t)1 << 40,
    };
}

static void assert_rows_equal(const struct run_row *a, const struct run_row *b)
{
    assert_string_equal(a->name, b->name);
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->state, b->state);
    assert_string_equal(a->reason, b->reason);
    assert_int_equal(a->created_ms, b->created_ms);
    assert_int_equal(a->queued_ms, b->queued_ms);
    assert_int_equal(a->started_ms, b->started_ms);
    assert_int_equal(a->finished_ms, b->finished_ms);
    assert_int_equal(a->steps_total, b->steps_total);
    assert_int_equal(a->phase, b->phase);
    assert_int_equal(a->workers, b->workers);
    assert_int_equal(a->restarts, b->restarts);
    assert_string_equal(a->output, b->output);
    assert_string_equal(a->job_yaml, b->job_yaml);
    assert_int_equal(a->stop, b->stop);
    assert_int_equal(a->launch, b->launch);
    assert_string_equal(a->token, b->token);
    assert_int_equal(a->pid, b->pid);
    assert_int_equal(a->max_restarts, b->max_restarts);
    assert_int_equal(a->deaths, b->deaths);
    assert_int_equal(a->death_step, b->death_step);
    assert_string_equal(a->death_reason, b->death_reason);
    assert_int_equal(a->not_before_ms, b->not_before_ms);
    assert_true(a->pid_start == b->pid_start);
    assert_string_equal(a->boot_id, b->boot_id);
    assert_int_equal(a->log_offset, b->log_offset);
    assert_int_equal(a->slurm, b->slurm);
    assert_int_equal(a->external, b->external);
    assert_int_equal(a->slurm_job, b->slurm_job);
    assert_string_equal(a->mark, b->mark);
    assert_string_equal(a->labels, b->labels);
    assert_int_equal(a->priority, b->priority);
    assert_string_equal(a->request_id, b->request_id);
    assert_string_equal(a->request_hash, b->request_hash);
    assert_string_equal(a->created_by, b->created_by);
    assert_string_equal(a->nodes, b->nodes);
    assert_int_equal(a->restore_step, b->restore_step);
    assert_int_equal(a->memory_bytes, b->memory_bytes);
}

static void load(struct world *w)
{
    w->n_rows = 0;
    assert_int_equal(store_load_runs(w->store, keep_row, w, NULL), 0);
}

static void a_job_comes_back_as_it_was_put_in(void **state)
{
    struct world *w = *state;
    struct run_row row = example();

    assert_int_equal(store_add_run(w->store, &row, NULL), 0);
    assert_int_equal(row.id, 1);
    reopen(w);
    load(w);
    assert_int_equal(w->n_rows, 1);
    assert_int_equal(w->row.id, 1);
    assert_rows_equal(&w->row, &row);
    row.state = RUN_FAILED;
    row.reason = (char *)"";
    row.pid = 0;
    assert_int_equal(store_save_run(w->store, &row, NULL), 0);
    reopen(w);
    load(w);
    assert_rows_equal(&w->row, &row);
}

/* Writes a job, and then makes the file what an older dashd would have left. */
static void make_older(struct world *w, const char *sql)
{
    struct run_row row = example();
    char *path = file_join(w->folder, "jobs.db");
    sqlite3 *db = NULL;

    assert_int_equal(store_add_run(w->store, &row, NULL), 0);
    store_close(w->store);
    w->store = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    free(path);
    reopen(w);
    load(w);
}

#define WITHOUT_SCHEMA_5                                                                           \
    "ALTER TABLE steps DROP COLUMN at_ms; ALTER TABLE steps DROP COLUMN after_event;"
#define WITHOUT_SCHEMA_4 WITHOUT_SCHEMA_5 "ALTER TABLE jobs DROP COLUMN kind;"
#define WITHOUT_SCHEMA_3                                                                           \
    WITHOUT_SCHEMA_4                                                                               \
    "DROP TABLE events; ALTER TABLE jobs DROP COLUMN labels;"                                      \
    "ALTER TABLE jobs DROP COLUMN priority; ALTER TABLE jobs DROP COLUMN request_id;"              \
    "ALTER TABLE jobs DROP COLUMN request_hash; ALTER TABLE jobs DROP COLUMN created_by;"          \
    "ALTER TABLE jobs DROP COLUMN nodes; ALTER TABLE jobs DROP COLUMN restore_step;"               \
    "ALTER TABLE jobs DROP COLUMN memory_bytes;"

static struct run_row example_of_schema_2(void)
{
    struct run_row row = example();

    row.labels = row.request_id = row.created_by = row.nodes = (char *)"";
    row.request_hash[0] = '\0';
    row.priority = row.restore_step = 0;
    row.memory_bytes = 0;
    row.kind = RUN_TRAINING;
    return row;
}

/* Schema 4 did not know when a step was. */
static void a_store_of_schema_4_is_brought_up_to_date(void **state)
{
    struct world *w = *state;
    struct run_row row = example();
    struct step_at at[3];
    int n = 0;

    make_older(w, "INSERT INTO events (id, job, at_ms, kind, state, phase, text) VALUES "
                  "(2, 1, 0, 1, 1, 0, ''), (4, 1, 0, 1, 3, 0, ''), (6, 1, 0, 1, 3, 0, ''),"
                  " (7, 1, 0, 2, 3, 5, ''), (8, 1, 0, 1, 4, 0, '');"
                  "INSERT INTO steps (job, step, tokens, trained_tokens, phase) VALUES "
                  "(1, 1, 0, 0, 1), (1, 2, 0, 0, 1);" WITHOUT_SCHEMA_5 "PRAGMA user_version=4;");
    assert_int_equal(store_read_steps_back(w->store, 1, 9, at, 3, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_int_equal(at[0].row.step, 2);
    assert_int_equal(at[1].row.step, 1);
    assert_int_equal(at[0].after_event, 6); /* the last that says that it runs, not its phase */
    assert_int_equal(at[1].after_event, 6);
    assert_int_equal(at[1].at_ms, row.started_ms);
    reopen(w);
}

/* Schema 3 knew no evaluations. */
static void a_store_of_schema_3_is_brought_up_to_date(void **state)
{
    struct run_row row = example();
    struct world *w = *state;

    make_older(w, WITHOUT_SCHEMA_4 "PRAGMA user_version=3;");
    row.kind = RUN_TRAINING;
    assert_rows_equal(&w->row, &row);
    reopen(w);
}

static void a_store_of_schema_2_is_brought_up_to_date(void **state)
{
    struct event_row event = {.at_ms = 1, .kind = EVENT_NOTICE, .text = "now it has events"};
    struct run_row row = example_of_schema_2();
    struct world *w = *state;

    make_older(w, WITHOUT_SCHEMA_3 "PRAGMA user_version=2;");
    assert_rows_equal(&w->row, &row);
    assert_int_equal(store_add_event(w->store, 1, &event, NULL), 0);
    reopen(w);
}

/* Schema 1 knew no Slurm. */
static void a_store_of_schema_1_is_brought_up_to_date(void **state)
{
    struct run_row row = example_of_schema_2();
    struct world *w = *state;

    make_older(w, WITHOUT_SCHEMA_3
               "ALTER TABLE jobs DROP COLUMN slurm; ALTER TABLE jobs DROP COLUMN external;"
               "ALTER TABLE jobs DROP COLUMN slurm_job; ALTER TABLE jobs DROP COLUMN mark;"
               "PRAGMA user_version=1;");
    row.slurm = row.external = false;
    row.slurm_job = 0;
    row.mark[0] = '\0';
    row.created_by = (char *)"";
    assert_rows_equal(&w->row, &row);
    reopen(w);
}

static int keep_event(void *arg, const struct event_row *event, struct err *err)
{
    struct world *w = arg;
    size_t used = strlen(w->notices);

    (void)err;
    snprintf(w->notices + used, sizeof(w->notices) - used, "%d %s;", (int)event->kind, event->text);
    w->last_event = event->id;
    return 0;
}

static void events_are_read_after_any_of_them(void **state)
{
    struct event_row event = {.at_ms = 1, .kind = EVENT_STATE, .state = RUN_QUEUED, .text = "one"};
    struct run_row row = example();
    struct world *w = *state;

    store_add_run(w->store, &row, NULL);
    store_add_event(w->store, 1, &event, NULL);
    event.kind = EVENT_NOTICE;
    event.text = "two";
    store_add_event(w->store, 1, &event, NULL);
    event.text = "three";
    store_add_event(w->store, 1, &event, NULL);
    reopen(w);
    assert_int_equal(store_read_events(w->store, 1, 0, 2, keep_event, w, NULL), 0);
    assert_string_equal(w->notices, "1 one;3 two;");
    assert_int_equal(store_read_events(w->store, 1, w->last_event, 9, keep_event, w, NULL), 0);
    assert_string_equal(w->notices, "1 one;3 two;3 three;");
    assert_int_equal(store_read_events(w->store, 2, 0, 9, keep_event, w, NULL), 0);
    assert_string_equal(w->notices, "1 one;3 two;3 three;");
}

static void a_deleted_job_leaves_nothing_and_its_id_is_not_given_again(void **state)
{
    struct event_row event = {.at_ms = 1, .kind = EVENT_STATE, .text = "one"};
    struct step_row step = {.step = 1};
    struct run_row row = example();
    struct step_sums sums;
    struct world *w = *state;

    store_add_run(w->store, &row, NULL);
    store_add_event(w->store, 1, &event, NULL);
    store_add_notice(w->store, 1, "a notice", NULL);
    store_add_steps(w->store, 1, &step, 1, 7, NULL);
    assert_int_equal(store_delete_run(w->store, 1, NULL), 0);
    reopen(w);
    load(w);
    assert_int_equal(w->n_rows, 0);
    assert_int_equal(store_sum_steps(w->store, 1, &sums, NULL), 0);
    assert_int_equal(sums.last, 0);
    assert_int_equal(store_read_events(w->store, 1, 0, 9, keep_event, w, NULL), 0);
    assert_int_equal(store_load_notices(w->store, 1, keep_notice, w, NULL), 0);
    assert_string_equal(w->notices, "");
    store_add_run(w->store, &row, NULL);
    assert_int_equal(row.id, 2);
}

static void ids_are_never_given_twice(void **state)
{
    struct world *w = *state;
    struct run_row row = example();
    int i;

    for (i = 1; i <= 3; i++) {
        assert_int_equal(store_add_run(w->store, &row, NULL), 0);
        assert_int_equal(row.id, i);
        reopen(w);
    }
}

static void steps_are_read_from_any_number_in_batches(void **state)
{
    struct world *w = *state;
    struct run_row row = example();
    struct step_row steps[10], out[4];
    struct step_sums sums = {.last = -1};
    int i, n = 0;

    store_add_run(w->store, &row, NULL);
    assert_int_equal(store_sum_steps(w->store, 1, &sums, NULL), 0);
    assert_int_equal(sums.last, 0);
    for (i = 0; i < 10; i++)
        steps[i] = (struct step_row){.step = i + 1,
                                     .loss = 1.0 / (i + 1),
                                     .tokens = 100 + i,
                                     .trained_tokens = i,
                                     .phase = 3};
    assert_int_equal(store_add_steps(w->store, 1, steps, 10, 7, NULL), 0);
    reopen(w);
    assert_int_equal(store_read_steps(w->store, 1, 3, out, 4, &n, NULL), 0);
    assert_int_equal(n, 4);
    assert_int_equal(out[0].step, 3);
    assert_int_equal(out[3].step, 6);
    assert_true(out[0].loss == 1.0 / 3);
    assert_int_equal(store_read_steps(w->store, 1, 9, out, 4, &n, NULL), 0);
    assert_int_equal(n, 2);
    assert_int_equal(store_read_steps(w->store, 2, 1, out, 4, &n, NULL), 0);
    assert_int_equal(n, 0);
    assert_int_equal(store_cut_steps(w->store, 1, 7, NULL), 0);
    assert_int_equal(store_sum_steps(w->store, 1, &sums, NULL), 0);
    assert_int_equal(sums.last, 7);
    assert_int_equal(sums.tokens, 7 * 100 + 21);
    assert_int_equal(sums.trained_tokens, 21);
}

/* Steps 1 to 20, those after 9 missing to 14; an event after every step of which the number is a
 * multiple of three. */
static void steps_are_found_by_the_events_between_them(void **state)
{
    struct event_row event = {.at_ms = 1, .kind = EVENT_NOTICE, .text = ""};
    struct world *w = *state;
    struct run_row row = example();
    int64_t ids[21] = {0};
    struct step_at at[4];
    int i, n = 0, before;

    store_add_run(w->store, &row, NULL);
    store_add_run(w->store, &row, NULL); /* whose events have numbers, too */
    for (i = 1; i <= 20; i++) {
        struct step_row step = {.step = i};
        if (i < 10 || i > 14)
            assert_int_equal(store_add_steps(w->store, 1, &step, 1, 1000 + i, NULL), 0);
        store_add_event(w->store, 2, &event, NULL);
        if (i % 3 == 0) {
            store_add_event(w->store, 1, &event, NULL);
            store_read_events_back(w->store, 1, INT64_MAX, 1, keep_event, w, NULL);
            ids[i] = w->last_event;
        }
    }
    assert_int_equal(store_read_steps_back(w->store, 1, 16, at, 4, &n, NULL), 0);
    assert_int_equal(n, 4);
    assert_int_equal(at[0].row.step, 15);
    assert_int_equal(at[1].row.step, 9);
    assert_int_equal(at[3].row.step, 7);
    assert_int_equal(at[1].at_ms, 1009);
    assert_int_equal(at[1].after_event, ids[6]);
    for (i = 3; i <= 18; i += 3) { /* the last step before an event is that which it followed */
        assert_int_equal(store_find_steps_before(w->store, 1, ids[i], &before, NULL), 0);
        assert_int_equal(store_read_steps_back(w->store, 1, before, at, 1, &n, NULL), 0);
        assert_int_equal(at[0].row.step, i == 12 ? 9 : i);
    }
    assert_int_equal(store_find_steps_before(w->store, 1, 1, &before, NULL), 0);
    assert_int_equal(store_read_steps_back(w->store, 1, before, at, 1, &n, NULL), 0);
    assert_int_equal(at[0].row.step, 3); /* they followed none */
}

static void a_loss_that_is_not_finite_is_kept_as_such(void **state)
{
    struct world *w = *state;
    struct run_row row = example();
    struct step_row step = {.step = 1, .loss = NAN, .grad_norm = INFINITY}, out;
    int n;

    store_add_run(w->store, &row, NULL);
    assert_int_equal(store_add_steps(w->store, 1, &step, 1, 7, NULL), 0);
    assert_int_equal(store_read_steps(w->store, 1, 1, &out, 1, &n, NULL), 0);
    assert_true(isnan(out.loss));
    assert_true(isinf(out.grad_norm));
    assert_true(out.learning_rate == 0);
}

static void notices_come_back_in_order(void **state)
{
    struct world *w = *state;
    struct run_row row = example();

    store_add_run(w->store, &row, NULL);
    store_add_notice(w->store, 1, "second", NULL);
    store_add_notice(w->store, 1, "first", NULL);
    reopen(w);
    assert_int_equal(store_load_notices(w->store, 1, keep_notice, w, NULL), 0);
    assert_string_equal(w->notices, "second;first;");
}

static void what_is_rolled_back_was_never_there(void **state)
{
    struct world *w = *state;
    struct run_row row = example();

    assert_int_equal(store_begin(w->store, NULL), 0);
    assert_int_equal(store_add_run(w->store, &row, NULL), 0);
    store_rollback(w->store);
    store_rollback(w->store); /* none is open: nothing happens */
    load(w);
    assert_int_equal(w->n_rows, 0);
}

static void a_second_opening_is_refused(void **state)
{
    struct world *w = *state;
    struct store *second = NULL;
    struct err err;

    assert_int_equal(store_open(w->folder, &second, &err), ERR_STATE);
    assert_non_null(strstr(err.text, "another dashd"));
    assert_null(second);
}

/* A file-size limit stands in for a full disk: SQLite meets it as a write that fails. */
static void a_full_disk_fails_the_change_and_keeps_what_was(void **state)
{
    struct world *w = *state;
    struct run_row row = example(), big = example();
    struct rlimit before, none = {0};
    struct err err = {0};
    char *yaml = malloc(200001);
    int rc;

    store_add_run(w->store, &row, NULL);
    memset(yaml, 'x', 200000);
    yaml[200000] = '\0';
    big.job_yaml = yaml;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    none.rlim_max = before.rlim_max;
    none.rlim_cur = 60000;
    setrlimit(RLIMIT_FSIZE, &none);
    rc = store_add_run(w->store, &big, &err);
    setrlimit(RLIMIT_FSIZE, &before);
    free(yaml);
    assert_true(rc == ERR_IO);
    assert_non_null(strstr(err.text, "jobs.db"));
    assert_int_equal(store_add_run(w->store, &row, NULL), 0); /* there is room again */
    reopen(w);
    load(w);
    assert_int_equal(w->n_rows, 2);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_job_comes_back_as_it_was_put_in),
        TEST(a_store_of_schema_1_is_brought_up_to_date),
        TEST(a_store_of_schema_2_is_brought_up_to_date),
        TEST(a_store_of_schema_4_is_brought_up_to_date),
        TEST(steps_are_found_by_the_events_between_them),
        TEST(a_store_of_schema_3_is_brought_up_to_date),
        TEST(events_are_read_after_any_of_them),
        TEST(a_deleted_job_leaves_nothing_and_its_id_is_not_given_again),
        TEST(ids_are_never_given_twice),
        TEST(steps_are_read_from_any_number_in_batches),
        TEST(a_loss_that_is_not_finite_is_kept_as_such),
        TEST(notices_come_back_in_order),
        TEST(what_is_rolled_back_was_never_there),
        TEST(a_second_opening_is_refused),
        TEST(a_full_disk_fails_the_change_and_keeps_what_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
