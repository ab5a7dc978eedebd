/* tests/unit/service/test_command.c - daemon/service/command.h: what a program says and how it
 * ends, also where it does not. */
#include "daemon/service/command.h"
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

struct world {
    uv_loop_t loop;
    struct command_group group;
    int told, status;
    char out[200], err[200];
};

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    uv_loop_init(&w->loop);
    w->group.loop = &w->loop;
    *state = w;
    return 0;
}

/* No handle is left over. */
static int tear_down(void **state)
{
    struct world *w = *state;

    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
    assert_null(w->group.first);
    free(w);
    return 0;
}

static void on_done(void *arg, const struct command_result *result)
{
    struct world *w = arg;

    w->told++;
    w->status = result->status;
    snprintf(w->out, sizeof(w->out), "%s", result->out);
    snprintf(w->err, sizeof(w->err), "%s", result->err);
}

static void start(struct world *w, const char *script, const char *input, int timeout_ms)
{
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)script, NULL};
    struct err err;

    if (command_start(&w->group, argv, NULL, input, timeout_ms, on_done, w, &err) < 0)
        fail_msg("%s", err.text);
}

static void what_it_says_and_its_status_are_told_once(void **state)
{
    struct world *w = *state;

    start(w, "cat; echo words >&2; exit 3", "in and out\n", 10000);
    assert_int_equal(w->told, 0);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->told, 1);
    assert_int_equal(w->status, 3);
    assert_string_equal(w->out, "in and out\n");
    assert_string_equal(w->err, "words\n");
}

static void input_that_nobody_reads_is_no_failure(void **state)
{
    struct world *w = *state;
    char *much = malloc((1 << 20) + 1);

    memset(much, 'x', 1 << 20);
    much[1 << 20] = '\0';
    start(w, "exit 0", much, 10000);
    free(much);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->told, 1);
    assert_int_equal(w->status, 0);
}

static void one_that_takes_too_long_is_killed_with_its_children(void **state)
{
    struct world *w = *state;

    start(w, "sleep 1000 & sleep 1000", NULL, 100);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->told, 1);
    assert_int_equal(w->status, COMMAND_KILLED);
    assert_string_equal(w->err, "it took too long");
}

/* A child that has left the group keeps the pipes open, and is none of ours to kill. */
static void pipes_that_somebody_else_holds_are_given_up(void **state)
{
    struct world *w = *state;

    start(w, "setsid sleep 5 & exit 0", NULL, 100);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->told, 1);
    assert_int_equal(w->status, COMMAND_KILLED);
}

static void a_part_is_not_taken_for_the_whole(void **state)
{
    struct world *w = *state;

    start(w, "head -c 5000000 /dev/zero | tr '\\0' x", NULL, 20000);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->told, 1);
    assert_int_equal(w->status, COMMAND_KILLED);
    assert_string_equal(w->err, "it printed too much");
}

static void a_program_that_is_not_there_is_told_at_once(void **state)
{
    struct world *w = *state;
    char *argv[] = {(char *)"no-such-program", NULL};
    struct err err;

    assert_int_equal(command_start(&w->group, argv, NULL, NULL, 1000, on_done, w, &err), ERR_IO);
    assert_non_null(strstr(err.text, "no-such-program cannot be started"));
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->told, 0);
}

static void abandoned_ones_tell_nothing_and_hold_nobody_up(void **state)
{
    struct world *w = *state;

    start(w, "sleep 1000", NULL, 100000);
    start(w, "cat; sleep 2", "something that is to be done\n", 100000);
    uv_run(&w->loop, UV_RUN_NOWAIT);
    command_abandon(&w->group);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(w->told, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(what_it_says_and_its_status_are_told_once),
        TEST(input_that_nobody_reads_is_no_failure),
        TEST(one_that_takes_too_long_is_killed_with_its_children),
        TEST(pipes_that_somebody_else_holds_are_given_up),
        TEST(a_part_is_not_taken_for_the_whole),
        TEST(a_program_that_is_not_there_is_told_at_once),
        TEST(abandoned_ones_tell_nothing_and_hold_nobody_up),
    };

    signal(SIGPIPE, SIG_IGN); /* as dashd does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
