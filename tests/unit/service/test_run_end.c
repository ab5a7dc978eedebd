/* tests/unit/service/test_run_end.c - ends that the store cannot take at first, and what comes
 * meanwhile. A limit on the size of files stands in for a full disk. */
#include "daemon/service/run_end.h"
#include "daemon/service/runs.h"
#include "tests/unit/support.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

struct world {
    char *folder;
    uv_loop_t loop;
    struct store *store;
    struct runs *runs;
    struct run *run;
};

static void ignore_change(struct run *run)
{
    (void)run;
}

static void ignore_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void ignore_slurm(void *runs, const char *words)
{
    (void)runs;
    (void)words;
}

/* A job that runs, as the store has it. */
static struct run_row running_job(const char *folder)
{
    return (struct run_row){.name = strdup("job"),
                            .state = RUN_RUNNING,
                            .reason = strdup(""),
                            .death_reason = strdup(""),
                            .labels = strdup(""),
                            .request_id = strdup(""),
                            .created_by = strdup(""),
                            .nodes = strdup(""),
                            .output = file_join(folder, "out"),
                            .job_yaml = strdup("name: job\n"),
                            .steps_total = 9,
                            .max_restarts = 3};
}

static struct world *open_world(void)
{
    const struct runs_options options = {
        .programs = "/nowhere", .restart_delay_ms = 1000, .on_change = ignore_change};
    const struct run_callbacks callbacks = {ignore_tick, ignore_slurm};
    struct world *w = calloc(1, sizeof(*w));
    struct run_row row;
    struct err err;

    w->folder = new_folder();
    row = running_job(w->folder);
    assert_int_equal(uv_loop_init(&w->loop), 0);
    assert_ok(store_open(w->folder, &w->store, &err), err);
    assert_ok(run_table_open(&w->loop, w->store, &options, &callbacks, &w->runs, &err), err);
    assert_ok(run_table_add(w->runs, &row, &w->run, &err), err);
    return w;
}

static void close_world(struct world *w)
{
    run_table_close(w->runs);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    store_close(w->store);
    remove_folder(w->folder);
    free(w);
}

static void set_disk_full(bool full)
{
    struct rlimit limit;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = full ? 0 : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void die_on_a_full_disk(struct world *w)
{
    set_disk_full(true);
    run_die(w->run, strdup("a worker was ended by signal 9"), true);
    assert_int_equal(w->run->ending.kind, ENDING_DEATH);
    assert_int_equal(w->run->row.state, RUN_RUNNING);
    set_disk_full(false);
}

static void a_death_that_waited_for_the_disk_is_followed_by_a_restart(void **state)
{
    struct world *w = open_world();

    (void)state;
    die_on_a_full_disk(w);
    run_commit_end(w->run);
    assert_int_equal(w->run->ending.kind, ENDING_NONE);
    assert_int_equal(w->run->row.state, RUN_QUEUED);
    assert_int_equal(w->run->row.restarts, 1);
    assert_true(w->run->row.not_before_ms > 0);
    assert_contains(w->run->row.reason, "restart 1 of 3");
    assert_contains(w->run->row.reason, "a worker was ended by signal 9");
    close_world(w);
}

static void a_cancel_while_a_death_waits_for_the_disk_counts(void **state)
{
    struct world *w = open_world();
    struct err err;

    (void)state;
    die_on_a_full_disk(w);
    assert_ok(run_cancel(w->run, &err), err);
    assert_int_equal(w->run->row.state, RUN_RUNNING);
    run_commit_end(w->run);
    assert_int_equal(w->run->ending.kind, ENDING_NONE);
    assert_int_equal(w->run->row.state, RUN_CANCELLED);
    assert_int_equal(w->run->row.restarts, 0);
    assert_false(w->run->row.stop);
    assert_contains(w->run->row.reason, "stopped after step 0");
    close_world(w);
}

/* Also where no restart would follow. */
static void a_cancel_while_the_last_death_waits_counts(void **state)
{
    struct world *w = open_world();
    struct err err;

    (void)state;
    w->run->row.max_restarts = 0;
    die_on_a_full_disk(w);
    assert_ok(run_cancel(w->run, &err), err);
    run_commit_end(w->run);
    assert_int_equal(w->run->row.state, RUN_CANCELLED);
    close_world(w);
    w = open_world();
    w->run->row.max_restarts = 0;
    die_on_a_full_disk(w);
    run_commit_end(w->run);
    assert_int_equal(w->run->row.state, RUN_FAILED);
    assert_string_equal(w->run->row.reason, "a worker was ended by signal 9");
    close_world(w);
}

static void a_launch_that_never_began_is_queued_again_unless_cancelled(void **state)
{
    struct world *w = open_world();
    struct err err;

    (void)state;
    run_end_until(w->run, NULL, 4102444800000);
    assert_int_equal(w->run->row.state, RUN_QUEUED);
    assert_true(w->run->row.not_before_ms == 4102444800000);
    assert_int_equal(w->run->row.restarts, 0);
    assert_string_equal(w->run->row.reason, "");
    close_world(w);
    w = open_world();
    assert_ok(run_cancel(w->run, &err), err);
    run_end(w->run, RUN_UNSTARTED, NULL);
    assert_int_equal(w->run->row.state, RUN_CANCELLED);
    close_world(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_death_that_waited_for_the_disk_is_followed_by_a_restart),
        cmocka_unit_test(a_cancel_while_a_death_waits_for_the_disk_counts),
        cmocka_unit_test(a_cancel_while_the_last_death_waits_counts),
        cmocka_unit_test(a_launch_that_never_began_is_queued_again_unless_cancelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
