/* tests/unit/job/test_evaluations.c - which step is the best, when there was a gain, and the text
 * that a checkpoint has of it. */
#include "core/job/evaluations.h"
#include "tests/unit/support.h"
#include <math.h>

struct measured {
    double loss;
    int best, without_gain; /* afterwards */
};

static void add_all(const struct measured *of, int n, double least_gain)
{
    struct evaluations e = {0};

    for (int i = 0; i < n; i++) {
        bool best = evaluations_add(&e, i + 1, of[i].loss, least_gain);
        assert_int_equal(e.best_step, of[i].best);
        assert_int_equal(best, of[i].best == i + 1);
        assert_int_equal(e.without_gain, of[i].without_gain);
    }
}

static void lowest_is_the_best_and_of_equal_ones_the_first(void **state)
{
    const struct measured of[] = {{3, 1, 0}, {2, 2, 0}, {2, 2, 1}, {NAN, 2, 2}, {1.9, 5, 0}};

    (void)state;
    add_all(of, 5, 0);
}

/* Small steps add up to a gain: each is compared with the last gain, not with the best. */
static void gains_are_measured_from_the_last_one(void **state)
{
    const struct measured of[] = {{3, 1, 0}, {2.75, 2, 1}, {2.5, 3, 2}, {2.25, 4, 0}, {2, 5, 1}};

    (void)state;
    add_all(of, 5, 0.5);
}

static void what_is_not_finite_is_no_start(void **state)
{
    const struct measured of[] = {{INFINITY, 0, 1}, {NAN, 0, 2}, {5, 3, 0}};

    (void)state;
    add_all(of, 3, 0);
}

static void text_reads_back_and_others_are_refused(void **state)
{
    const struct evaluations e = {7, 1.0 / 3, 0.1, 2, "0123456789abcdef0123456789abcdef"};
    static const char *const wrong[] = {"",
                                        "7",
                                        "7 1 1 0 ",
                                        "7 1 1 -1 ab",
                                        "0 1 1 0 ab",
                                        "7 nan 1 0 ab",
                                        "7 1 inf 0 ab",
                                        "07 1 1 0 ab",
                                        "7 1 1 0 ab ",
                                        "9 1 1 0 ab"};
    char text[EVALUATIONS_TEXT_MAX];
    struct evaluations back;

    (void)state;
    evaluations_print(&e, text, sizeof(text));
    assert_true(evaluations_parse(text, 8, &back));
    assert_int_equal(back.best_step, e.best_step);
    assert_true(back.best_loss == e.best_loss && back.gain_loss == e.gain_loss);
    assert_int_equal(back.without_gain, e.without_gain);
    assert_string_equal(back.data, e.data);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_false(evaluations_parse(wrong[i], 8, &back));
    assert_true(evaluations_parse("7 1 1 0 ab", 8, &back));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lowest_is_the_best_and_of_equal_ones_the_first),
        cmocka_unit_test(gains_are_measured_from_the_last_one),
        cmocka_unit_test(what_is_not_finite_is_no_start),
        cmocka_unit_test(text_reads_back_and_others_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
