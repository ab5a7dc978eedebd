/* tests/ops/test_rows.c - operations that work row by row: rmsnorm, rope, swiglu, dropout, exp. */
#include "tests/ops/check.h"
#include "worker/ops/dropout.h"
#include "worker/ops/exp.h"
#include "worker/ops/rmsnorm.h"
#include "worker/ops/rope.h"
#include "worker/ops/swiglu.h"

enum { T = 19, C = 37, F = 29 };

struct context {
    const float *w, *weights;
    int32_t *positions;
    const struct model_config *config;
};

static double rmsnorm_reference(const void *arg, const double *x)
{
    const struct context *c = arg;
    double sum = 0;
    int t, i;

    for (t = 0; t < T; t++) {
        double square = 0;
        for (i = 0; i < C; i++)
            square += x[t * C + i] * x[t * C + i];
        for (i = 0; i < C; i++)
            sum += (double)c->weights[t * C + i] * x[t * C + i] * (double)c->w[i] /
                   sqrt(square / C + 1e-5);
    }
    return sum;
}

static void rmsnorm_agrees_with_central_differences(void **state)
{
    struct team *team = new_team(2);
    float *x = random_floats(T * C, 1), *w = random_floats(C, 2), *dy = random_floats(T * C, 3);
    float *y = random_floats(T * C, 0), *dx = calloc(T * C, sizeof(float)), rstd[T];
    struct rmsnorm n = {w, C, 1e-5f};
    struct context c = {.w = w, .weights = dy};
    double *xd = to_double(x, T * C), sum = 0;
    int i;

    (void)state;
    rmsnorm_forward(team, &n, y, rstd, x, T);
    for (i = 0; i < T * C; i++)
        sum += (double)dy[i] * (double)y[i];
    assert_close("sum", 0, sum, rmsnorm_reference(&c, xd));
    rmsnorm_backward(team, &n, dx, dy, x, rstd, T);
    check_gradient("dx", rmsnorm_reference, &c, x, dx, T * C, T * C);
    team_close(team);
    free(x), free(w), free(dy), free(y), free(dx), free(xd);
}

static void rmsnorm_made_again_is_the_same(void **state)
{
    struct team *team = new_team(1);
    float *x = random_floats(T * C, 1), *w = random_floats(C, 2), rstd[T];
    float *y = random_floats(T * C, 3), *again = random_floats(T * C, 4);
    struct rmsnorm n = {w, C, 1e-5f};

    (void)state;
    rmsnorm_forward(team, &n, y, rstd, x, T);
    rmsnorm_again(team, &n, again, x, rstd, T);
    assert_memory_equal(y, again, T * C * sizeof(float));
    team_close(team);
    free(x), free(w), free(y), free(again);
}

static double swiglu_reference(const void *arg, const double *gu)
{
    const struct context *c = arg;
    double sum = 0;
    int t, i;

    for (t = 0; t < T; t++)
        for (i = 0; i < F; i++) {
            double g = gu[t * 2 * F + i], u = gu[t * 2 * F + F + i];
            sum += (double)c->weights[t * F + i] * g / (1 + exp(-g)) * u;
        }
    return sum;
}

static void swiglu_agrees_with_central_differences(void **state)
{
    struct team *team = new_team(2);
    float *gu = random_floats(T * 2 * F, 1), *dy = random_floats(T * F, 2);
    float *y = random_floats(T * F, 0), *dgu = random_floats(T * 2 * F, 0);
    struct context c = {.weights = dy};
    double *d, sum = 0;
    int i;

    (void)state;
    for (i = 0; i < T * 2 * F; i++)
        gu[i] *= 6;
    d = to_double(gu, T * 2 * F);
    swiglu_forward(team, y, gu, T, F);
    for (i = 0; i < T * F; i++)
        sum += (double)dy[i] * (double)y[i];
    assert_close("sum", 0, sum, swiglu_reference(&c, d));
    swiglu_backward(team, dgu, dy, gu, T, F);
    check_gradient("dgu", swiglu_reference, &c, gu, dgu, T * 2 * F, T * 2 * F);
    team_close(team);
    free(gu), free(dy), free(y), free(dgu), free(d);
}

enum { HEADS = 3, HEAD = 10, LD = HEADS * HEAD + 7 };

static double rope_reference(const void *arg, const double *x)
{
    const struct context *c = arg;
    double sum = 0;
    int t, h, i;

    for (t = 0; t < T; t++)
        for (h = 0; h < HEADS; h++)
            for (i = 0; i < HEAD; i++) {
                const double *v = x + t * LD + h * HEAD;
                int half = HEAD / 2, j = i % half;
                double angle = c->positions[t] * pow(c->config->rope_theta, -2.0 * j / HEAD);
                double turned = i < half ? -v[i + half] : v[i - half];
                sum += (double)c->weights[t * LD + h * HEAD + i] *
                       (v[i] * cos(angle) + turned * sin(angle));
            }
    return sum;
}

static void rope_agrees_with_central_differences(void **state)
{
    struct team *team = new_team(2);
    struct model_config config = {.head_dim = HEAD, .rope_theta = 1000};
    float *x = random_floats(T * LD, 1), *dy = random_floats(T * LD, 2);
    float *y = random_floats(T * LD, 1), *dx = random_floats(T * LD, 2);
    double *xd = to_double(x, T * LD), sum = 0;
    struct context c = {.weights = dy, .config = &config};
    int32_t positions[T];
    struct rope rope;
    struct err err;
    int t, i;

    (void)state;
    for (t = 0; t < T; t++)
        positions[t] = t * 5 % 17;
    c.positions = positions;
    assert_int_equal(rope_open(&config, 17, &rope, &err), 0);
    rope_forward(team, &rope, y, LD, HEADS, positions, T);
    for (t = 0; t < T; t++)
        for (i = 0; i < HEADS * HEAD; i++)
            sum += (double)dy[t * LD + i] * (double)y[t * LD + i];
    assert_close("sum", 0, sum, rope_reference(&c, xd));
    rope_backward(team, &rope, dx, LD, HEADS, positions, T);
    for (t = 0; t < T; t++) /* columns behind the heads are not rope's */
        memset(dx + t * LD + HEADS * HEAD, 0, (LD - HEADS * HEAD) * sizeof(float));
    check_gradient("dx", rope_reference, &c, x, dx, T * LD, T * LD);
    rope_close(&rope);
    team_close(team);
    free(x), free(dy), free(y), free(dx), free(xd);
}

static void exp_is_right_over_its_range(void **state)
{
    double worst = 0;
    int i;

    (void)state;
    for (i = -869000; i < 879000; i++) {
        float x = (float)i * 1e-4f;
        double error = fabs((double)exp_f32(x) / exp((double)x) - 1);
        worst = error > worst ? error : worst;
    }
    assert_true(worst < 1.5 * 0x1p-23);
    assert_true(exp_f32(0) == 1.0f);
    assert_true(isnan(exp_f32(NAN)));
}

static struct dropout dropout_of(float p, const int32_t *rows, const int32_t *positions)
{
    return (struct dropout){p, rng_key(3, RNG_DROPOUT), 11, 5, rows, positions};
}

static void dropout_keeps_the_mean_and_scales(void **state)
{
    enum { ROWS = 200, WIDE = 331 };
    struct team *team = new_team(2);
    float *x = malloc(ROWS * WIDE * sizeof(float)), *y = malloc(ROWS * WIDE * sizeof(float));
    int32_t rows[ROWS], positions[ROWS];
    struct dropout d = dropout_of(0.25f, rows, positions);
    int i, kept = 0;

    (void)state;
    for (i = 0; i < ROWS; i++) {
        rows[i] = i / 50;
        positions[i] = i % 50;
    }
    for (i = 0; i < ROWS * WIDE; i++)
        x[i] = 3;
    dropout_forward(team, &d, y, x, ROWS, WIDE);
    for (i = 0; i < ROWS * WIDE; i++) {
        kept += y[i] != 0;
        assert_true(y[i] == 0 || y[i] == 4);
    }
    /* 66,200 draws: five standard deviations are 0.0084 */
    assert_true(fabs(kept / (double)(ROWS * WIDE) - 0.75) < 0.0084);
    team_close(team);
    free(x), free(y);
}

static void dropout_does_not_depend_on_packing(void **state)
{
    struct team *team = new_team(1);
    float *x = random_floats(2 * C, 1), *together = random_floats(2 * C, 0);
    float *apart = random_floats(2 * C, 0);
    int32_t rows[2] = {8, 3}, positions[2] = {4, 9};
    struct dropout d = dropout_of(0.5f, rows, positions);

    (void)state;
    dropout_forward(team, &d, together, x, 2, C);
    d = dropout_of(0.5f, rows + 1, positions + 1);
    dropout_forward(team, &d, apart, x + C, 1, C);
    assert_memory_equal(together + C, apart, C * sizeof(float));
    team_close(team);
    free(x), free(together), free(apart);
}

static void dropout_backward_uses_the_same_mask(void **state)
{
    struct team *team = new_team(1);
    float *x = random_floats(C, 1), *y = random_floats(C, 0), *dx = calloc(C, sizeof(float));
    int32_t row = 1, position = 2;
    struct dropout d = dropout_of(0.5f, &row, &position);
    int i;

    (void)state;
    dropout_forward(team, &d, y, x, 1, C);
    dropout_backward(team, &d, dx, x, 1, C);
    for (i = 0; i < C; i++)
        assert_true(dx[i] == y[i]);
    team_close(team);
    free(x), free(y), free(dx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rmsnorm_agrees_with_central_differences),
        cmocka_unit_test(rmsnorm_made_again_is_the_same),
        cmocka_unit_test(swiglu_agrees_with_central_differences),
        cmocka_unit_test(rope_agrees_with_central_differences),
        cmocka_unit_test(exp_is_right_over_its_range),
        cmocka_unit_test(dropout_keeps_the_mean_and_scales),
        cmocka_unit_test(dropout_does_not_depend_on_packing),
        cmocka_unit_test(dropout_backward_uses_the_same_mask),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
