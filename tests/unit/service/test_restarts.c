/* tests/unit/service/test_restarts.c - which deaths are followed by another launch, and how soon.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "daemon/service/restart.h"

static struct run_row row_of(int max_restarts, int deaths, int step, const char *reason)
{
    return (struct run_row){.max_restarts = max_restarts,
                            .deaths = deaths,
                            .death_step = step,
                            .death_reason = (char *)reason};
}

static void first_death_is_forgiven(void **state)
{
    struct run_row row = row_of(3, 0, 0, "");
    int deaths;

    (void)state;
    assert_int_equal(restart_judge(&row, 0, "x", false, &deaths), RESTART_AGAIN);
    assert_int_equal(deaths, 1);
}

static void the_same_words_at_the_same_step_are_a_repetition(void **state)
{
    struct run_row row = row_of(3, 1, 7, "x");
    int deaths;

    (void)state;
    assert_int_equal(restart_judge(&row, 7, "x", false, &deaths), RESTART_REPEATS);
    assert_int_equal(restart_judge(&row, 7, "y", false, &deaths), RESTART_AGAIN);
    assert_int_equal(restart_judge(&row, 7, "x", true, &deaths), RESTART_AGAIN);
    assert_int_equal(deaths, 2);
}

static void progress_begins_the_count_anew(void **state)
{
    struct run_row row = row_of(3, 3, 7, "x");
    int deaths;

    (void)state;
    assert_int_equal(restart_judge(&row, 7, "y", true, &deaths), RESTART_SPENT);
    assert_int_equal(restart_judge(&row, 8, "x", false, &deaths), RESTART_AGAIN);
    assert_int_equal(deaths, 1);
}

static void no_restarts_means_none(void **state)
{
    struct run_row row = row_of(0, 0, 0, "");
    int deaths;

    (void)state;
    assert_int_equal(restart_judge(&row, 9, "x", true, &deaths), RESTART_SPENT);
}

static void delays_double_up_to_a_minute(void **state)
{
    (void)state;
    assert_int_equal(restart_delay_ms(1, 1000), 1000);
    assert_int_equal(restart_delay_ms(2, 1000), 2000);
    assert_int_equal(restart_delay_ms(4, 1000), 8000);
    assert_int_equal(restart_delay_ms(1000000, 1000), 60000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_death_is_forgiven),
        cmocka_unit_test(the_same_words_at_the_same_step_are_a_repetition),
        cmocka_unit_test(progress_begins_the_count_anew),
        cmocka_unit_test(no_restarts_means_none),
        cmocka_unit_test(delays_double_up_to_a_minute),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
