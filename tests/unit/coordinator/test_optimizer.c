/* tests/unit/coordinator/test_optimizer.c - the optimizer against torch.optim.AdamW and
 * transformers.get_scheduler: numbers follow by hand from their documented formulas. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "core/tree.h"
#include "daemon/coordinator/optimizer.h"
#include <math.h>
#include <stdlib.h>

enum { STEPS = 20 };

static struct job_optimizer with(enum job_schedule schedule)
{
    return (struct job_optimizer){.learning_rate = 1e-3,
                                  .schedule = schedule,
                                  .warmup_steps = 4,
                                  .beta1 = 0.9,
                                  .beta2 = 0.999,
                                  .epsilon = 1e-8,
                                  .clip_norm = 1};
}

static void assert_near(double got, double want)
{
    if (fabs(got - want) > 1e-12)
        fail_msg("%.15g should be %.15g", got, want);
}

static void warm_up_starts_at_zero_and_schedules_follow_it(void **state)
{
    struct job_optimizer linear = with(SCHEDULE_LINEAR), cosine = with(SCHEDULE_COSINE);
    struct job_optimizer flat = with(SCHEDULE_CONSTANT);
    struct job_optimizer warm = with(SCHEDULE_CONSTANT_WITH_WARMUP);
    struct job_optimizer root = with(SCHEDULE_INVERSE_SQRT), line = with(SCHEDULE_POLYNOMIAL);

    (void)state;
    assert_near(learning_rate_at(&linear, STEPS, 1), 0);
    assert_near(learning_rate_at(&linear, STEPS, 3), 0.5e-3);
    assert_near(learning_rate_at(&linear, STEPS, 5), 1e-3);
    assert_near(learning_rate_at(&linear, STEPS, 13), 0.5e-3);
    assert_near(learning_rate_at(&linear, STEPS, 20), 1e-3 / 16);
    assert_near(learning_rate_at(&cosine, STEPS, 13), 0.5e-3);
    assert_near(learning_rate_at(&cosine, STEPS, 9), 0.5e-3 * (1 + sqrt(0.5)));
    assert_near(learning_rate_at(&flat, STEPS, 1), 1e-3);
    assert_near(learning_rate_at(&warm, STEPS, 2), 0.25e-3);
    assert_near(learning_rate_at(&warm, STEPS, 19), 1e-3);
    assert_near(learning_rate_at(&root, STEPS, 17), 0.5e-3);
    assert_near(learning_rate_at(&line, STEPS, 13), (1e-3 - 1e-7) * 0.5 + 1e-7);
}

/* AdamW's first step moves every number by the rate against the sign of its gradient (m / sqrt(v)
 * is 1 after correction), and shrinks it by rate * decay. */
static void first_step_of_adamw_is_the_sign(void **state)
{
    struct job_optimizer optimizer = with(SCHEDULE_CONSTANT);
    float g[3] = {0.5f, -2e-3f, 40}, p[3] = {1, 2, 3}, m[3] = {0}, v[3] = {0};

    (void)state;
    optimizer.weight_decay = 0.1;
    adamw_step(&optimizer, 0.01, 1, 1, g, p, m, v, 3);
    assert_true(fabs((double)p[0] - (1 * (1 - 0.001) - 0.01)) < 1e-6);
    assert_true(fabs((double)p[1] - (2 * (1 - 0.001) + 0.01)) < 1e-6);
    assert_true(fabs((double)p[2] - (3 * (1 - 0.001) - 0.01)) < 1e-6);
}

/* Two steps written out: m = 0.9 * 0.1 g1 + 0.1 g2 and so on. */
static void second_step_of_adamw_is_the_formula(void **state)
{
    struct job_optimizer optimizer = with(SCHEDULE_CONSTANT);
    float g1 = 0.5f, g2 = -0.25f, p = 0, m = 0, v = 0;
    double m2 = 0.9 * 0.1 * 0.5 - 0.1 * 0.25, v2 = 0.999 * 0.001 * 0.25 + 0.001 * 0.0625;
    double want = -0.01 - 0.01 * (m2 / (1 - 0.81)) / (sqrt(v2 / (1 - 0.998001)) + 1e-8);

    (void)state;
    adamw_step(&optimizer, 0.01, 1, 1, &g1, &p, &m, &v, 1);
    adamw_step(&optimizer, 0.01, 2, 1, &g2, &p, &m, &v, 1);
    assert_true(fabs((double)p - want) < 1e-8);
}

static void clipping_scales_only_large_gradients(void **state)
{
    struct job_optimizer optimizer = with(SCHEDULE_CONSTANT);
    float g[2] = {3, 4};

    (void)state;
    assert_near(gradient_norm(g, 2), 5);
    assert_near(clip_factor(&optimizer, 5), 1 / (5 + 1e-6));
    assert_near(clip_factor(&optimizer, 0.5), 1);
    optimizer.clip_norm = 0;
    assert_near(clip_factor(&optimizer, 5), 1);
}

/* Numbers whose sum depends on the order: only the tree's own order gives the tree's result. */
static float leaf_value(int i)
{
    return i % 3 == 0 ? 1e8f : i % 3 == 1 ? 1.0f / (float)(i + 1) : -1e8f;
}

static float sum_of(int first, int last)
{
    int n = last - first, half = 1;

    if (n == 1)
        return leaf_value(first);
    while (half * 2 < n)
        half *= 2;
    return sum_of(first, first + half) + sum_of(first + half, last);
}

static void tree_sums_like_a_tree_for_every_number_of_leaves(void **state)
{
    struct grad_tree tree = {.n = 1};
    float *leaf;
    int n, i;

    (void)state;
    for (n = 1; n < 40; n++) {
        tree_begin(&tree);
        assert_null(tree_sum(&tree));
        for (i = 0; i < n; i++) {
            assert_int_equal(tree_leaf(&tree, &leaf, NULL), 0);
            *leaf = leaf_value(i);
            tree_push(&tree);
        }
        assert_true(*tree_sum(&tree) == sum_of(0, n));
    }
    tree_free(&tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(warm_up_starts_at_zero_and_schedules_follow_it),
        cmocka_unit_test(first_step_of_adamw_is_the_sign),
        cmocka_unit_test(second_step_of_adamw_is_the_formula),
        cmocka_unit_test(clipping_scales_only_large_gradients),
        cmocka_unit_test(tree_sums_like_a_tree_for_every_number_of_leaves),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
