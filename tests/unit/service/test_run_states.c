/* tests/unit/service/test_run_states.c - the state table of daemon/service/run.h, held against its
 * drawing.
 */
#include "daemon/service/run.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

/* The arrows of run.h's drawing, written down once more: state, event, next. Everything else must
 * be refused. */
static const int arrows[][3] = {
    {RUN_QUEUED, RUN_LAUNCHED, RUN_STARTING},
    {RUN_QUEUED, RUN_CANCEL, RUN_CANCELLED},
    {RUN_QUEUED, RUN_PAUSE, RUN_PAUSED},
    {RUN_QUEUED, RUN_RANK_DIED, RUN_QUEUED},
    {RUN_QUEUED, RUN_UNSTARTED, RUN_QUEUED},
    {RUN_QUEUED, RUN_INTERRUPTED, RUN_QUEUED},
    {RUN_STARTING, RUN_FIRST_REPORT, RUN_RUNNING},
    {RUN_STARTING, RUN_ADAPTER_WRITTEN, RUN_SUCCEEDED},
    {RUN_STARTING, RUN_STOPPED, RUN_CANCELLED},
    {RUN_STARTING, RUN_BROKE, RUN_FAILED},
    {RUN_STARTING, RUN_RANK_DIED, RUN_QUEUED},
    {RUN_STARTING, RUN_UNSTARTED, RUN_QUEUED},
    {RUN_STARTING, RUN_INTERRUPTED, RUN_QUEUED},
    {RUN_STARTING, RUN_REQUEUED, RUN_STARTING},
    {RUN_STARTING, RUN_CANCEL, RUN_STARTING},
    {RUN_STARTING, RUN_PAUSE, RUN_STARTING},
    {RUN_STARTING, RUN_HELD, RUN_PAUSED},
    {RUN_RUNNING, RUN_FIRST_REPORT, RUN_RUNNING},
    {RUN_RUNNING, RUN_ADAPTER_WRITTEN, RUN_SUCCEEDED},
    {RUN_RUNNING, RUN_STOPPED, RUN_CANCELLED},
    {RUN_RUNNING, RUN_BROKE, RUN_FAILED},
    {RUN_RUNNING, RUN_RANK_DIED, RUN_QUEUED},
    {RUN_RUNNING, RUN_UNSTARTED, RUN_QUEUED},
    {RUN_RUNNING, RUN_INTERRUPTED, RUN_QUEUED},
    {RUN_RUNNING, RUN_REQUEUED, RUN_STARTING},
    {RUN_RUNNING, RUN_CANCEL, RUN_RUNNING},
    {RUN_RUNNING, RUN_PAUSE, RUN_RUNNING},
    {RUN_RUNNING, RUN_HELD, RUN_PAUSED},
    {RUN_SUCCEEDED, RUN_ADAPTER_WRITTEN, RUN_SUCCEEDED},
    {RUN_FAILED, RUN_BROKE, RUN_FAILED},
    {RUN_FAILED, RUN_RESUME, RUN_QUEUED},
    {RUN_CANCELLED, RUN_STOPPED, RUN_CANCELLED},
    {RUN_CANCELLED, RUN_RESUME, RUN_QUEUED},
    {RUN_PAUSED, RUN_HELD, RUN_PAUSED},
    {RUN_PAUSED, RUN_CANCEL, RUN_CANCELLED},
    {RUN_PAUSED, RUN_RESUME, RUN_QUEUED},
};

static int expected(int state, int event)
{
    size_t i;

    for (i = 0; i < sizeof(arrows) / sizeof(arrows[0]); i++)
        if (arrows[i][0] == state && arrows[i][1] == event)
            return arrows[i][2];
    return 0;
}

static void every_pair_of_state_and_event_is_as_drawn(void **state)
{
    int from, event;

    (void)state;
    for (from = RUN_QUEUED; from < RUN_STATES; from++)
        for (event = 0; event < RUN_EVENTS; event++) {
            enum run_state next = 0;
            struct err err;
            int rc = run_apply((enum run_state)from, (enum run_event)event, &next, &err);
            assert_int_equal(next, expected(from, event));
            assert_int_equal(rc, next ? 0 : ERR_STATE);
        }
}

static void a_refusal_names_the_state_and_the_wish(void **state)
{
    enum run_state next = RUN_RUNNING;
    struct err err;

    (void)state;
    assert_int_equal(run_apply(RUN_SUCCEEDED, RUN_CANCEL, &next, &err), ERR_STATE);
    assert_string_equal(err.text, "a job that is SUCCEEDED cannot be cancelled");
    assert_int_equal(next, RUN_RUNNING); /* outputs are set only on success */
}

/* A restart reports an end again: it must be the same end. */
static void an_end_told_twice_is_one_end(void **state)
{
    static const enum run_event ends[] = {RUN_ADAPTER_WRITTEN, RUN_STOPPED, RUN_BROKE, RUN_HELD};
    enum run_state once, twice;
    size_t i;

    (void)state;
    for (i = 0; i < 4; i++) {
        assert_int_equal(run_apply(RUN_RUNNING, ends[i], &once, NULL), 0);
        assert_false(run_is_under_way(once));
        assert_int_equal(run_apply(once, ends[i], &twice, NULL), 0);
        assert_int_equal(once, twice);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_pair_of_state_and_event_is_as_drawn),
        cmocka_unit_test(a_refusal_names_the_state_and_the_wish),
        cmocka_unit_test(an_end_told_twice_is_one_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
