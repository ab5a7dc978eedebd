/* tests/ops/test_rows.c - operations that work row by row: rmsnorm, q and k norms, rope,
 * gated units, dropout, exp, tanh. */
#include "tests/ops/check.h"
#include "worker/ops/dropout.h"
#include "worker/ops/exp.h"
#include "worker/ops/qk_norm.h"
#include "worker/ops/soft_cap.h"
#include "worker/ops/rmsnorm.h"
#include "worker/ops/rope.h"
#include "worker/ops/gated.h"

enum { T = 19, C = 37, F = 29 };

struct context {
    const float *w, *weights;
    int32_t *positions;
    const struct model_config *config;
    enum rope_kind kinds[T];
    enum activation act;
    const struct qk_norm_op *q_norm, *k_norm;
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

static double activate(enum activation act, double g)
{
    switch (act) {
    case ACTIVATION_SILU:
        return g / (1 + exp(-g));
    case ACTIVATION_GELU_TANH:
        return g / 2 * (1 + tanh(sqrt(2 / M_PI) * (g + 0.044715 * g * g * g)));
    default:
        return g / 2 * (1 + erf(g / sqrt(2)));
    }
}

static double gated_reference(const void *arg, const double *gu)
{
    const struct context *c = arg;
    double sum = 0;
    int t, i;

    for (t = 0; t < T; t++)
        for (i = 0; i < F; i++) {
            double g = gu[t * 2 * F + i], u = gu[t * 2 * F + F + i];
            sum += (double)c->weights[t * F + i] * activate(c->act, g) * u;
        }
    return sum;
}

static void check_gated(enum activation act)
{
    struct team *team = new_team(2);
    float *gu = random_floats(T * 2 * F, 1), *dy = random_floats(T * F, 2);
    float *y = random_floats(T * F, 0), *dgu = random_floats(T * 2 * F, 0);
    float *again = random_floats(T * F, 0);
    struct gated gated = {act, F, gu, y, dy, dgu};
    struct context c = {.weights = dy, .act = act};
    double *d, sum = 0;
    int i;

    for (i = 0; i < T * 2 * F; i++)
        gu[i] *= 6;
    d = to_double(gu, T * 2 * F);
    gated_run(team, gated_forward, &gated, T);
    for (i = 0; i < T * F; i++)
        sum += (double)dy[i] * (double)y[i];
    assert_close("sum", 0, sum, gated_reference(&c, d));
    gated.y = again;
    gated_run(team, gated_backward, &gated, T);
    check_gradient("dgu", gated_reference, &c, gu, dgu, T * 2 * F, T * 2 * F);
    assert_memory_equal(y, again, T * F * sizeof(*y));
    team_close(team);
    free(gu), free(dy), free(y), free(dgu), free(d), free(again);
}

static void gated_units_agree_with_central_differences(void **state)
{
    (void)state;
    for (int act = 0; act < ACTIVATIONS; act++)
        check_gated(act);
}

enum { HEADS = 3, HEAD = 10, LD = HEADS * HEAD + 7 };

/* By the definition: number j of a head against number j + pairs, the rest stays. */
static double rope_reference(const void *arg, const double *x)
{
    const struct context *c = arg;
    double sum = 0;
    int t, h, i, pairs = c->config->rope_pairs;

    for (t = 0; t < T; t++)
        for (h = 0; h < HEADS; h++)
            for (i = 0; i < HEAD; i++) {
                const double *v = x + t * LD + h * HEAD;
                const struct rope_angles *a = &c->config->rope[c->kinds[t]];
                int j = i % pairs;
                double angle = c->positions[t] * a->freq[j], turned = i < pairs ? -v[i + pairs] : 0;
                if (i >= pairs && i < 2 * pairs)
                    turned = v[i - pairs];
                sum +=
                    (double)c->weights[t * LD + h * HEAD + i] *
                    (i >= 2 * pairs ? v[i] : a->scale * (v[i] * cos(angle) + turned * sin(angle)));
            }
    return sum;
}

/* Rows of more than 9 tokens are long ones. */
static void check_rope(int pairs, bool local)
{
    struct team *team = new_team(2);
    struct model_config *config = calloc(1, sizeof(*config));
    float *x = random_floats(T * LD, 1), *dy = random_floats(T * LD, 2);
    float *y = random_floats(T * LD, 1), *dx = random_floats(T * LD, 2);
    double *xd = to_double(x, T * LD), sum = 0;
    struct context c = {.weights = dy, .config = config};
    int32_t positions[T], lengths[T];
    struct rope rope;
    struct err err;
    int t, i;

    config->head_dim = HEAD;
    config->rope_pairs = pairs;
    config->rope_long_from = 9;
    for (int kind = 0; kind < ROPE_KINDS; kind++) {
        config->rope[kind].scale = 1 + 0.25 * kind;
        for (i = 0; i < pairs; i++)
            config->rope[kind].freq[i] = pow(1000 + 500 * kind, -1.0 * i / pairs);
    }
    for (t = 0; t < T; t++) {
        positions[t] = t * 5 % 17;
        lengths[t] = 8 + t % 4;
        c.kinds[t] = local ? ROPE_LOCAL : lengths[t] > 9 ? ROPE_LONG : ROPE_MAIN;
    }
    c.positions = positions;
    rope_open(config, &rope);
    assert_int_equal(rope_fit(&rope, 3, &err), 0);
    assert_int_equal(rope_fit(&rope, 17, &err), 0);
    rope_forward(team, &rope, local, y, LD, HEADS, (struct token_positions){positions, lengths}, T);
    for (t = 0; t < T; t++)
        for (i = 0; i < HEADS * HEAD; i++)
            sum += (double)dy[t * LD + i] * (double)y[t * LD + i];
    assert_close("sum", 0, sum, rope_reference(&c, xd));
    rope_backward(team, &rope, local, dx, LD, HEADS, (struct token_positions){positions, lengths},
                  T);
    for (t = 0; t < T; t++) /* columns behind the heads are not rope's */
        memset(dx + t * LD + HEADS * HEAD, 0, (LD - HEADS * HEAD) * sizeof(float));
    check_gradient("dx", rope_reference, &c, x, dx, T * LD, T * LD);
    rope_close(&rope);
    team_close(team);
    free(x), free(dy), free(y), free(dx), free(xd), free(config);
}

static void rope_agrees_with_central_differences(void **state)
{
    (void)state;
    check_rope(HEAD / 2, false);
    check_rope(HEAD / 2, true);
    check_rope(HEAD / 2 - 2, false);
}

enum { NORM_H = 3, NORM_G = 2, NORM_D = 5, NORM_LD = (NORM_H + 2 * NORM_G) * NORM_D };

static double qk_norm_reference(const void *arg, const double *x)
{
    const struct context *c = arg;
    double sum = 0;

    for (int t = 0; t < T; t++)
        for (int i = 0; i < (NORM_H + NORM_G) * NORM_D; i++) {
            bool is_q = i < NORM_H * NORM_D;
            const struct qk_norm_op *n = is_q ? c->q_norm : c->k_norm;
            int size = !n->whole ? NORM_D : (is_q ? NORM_H : NORM_G) * NORM_D;
            int at = is_q ? i : i - NORM_H * NORM_D, first = i - at % size;
            double square = 0;
            for (int k = 0; k < size; k++)
                square += x[t * NORM_LD + first + k] * x[t * NORM_LD + first + k];
            sum += (double)c->weights[t * NORM_LD + i] * x[t * NORM_LD + i] /
                   sqrt(square / size + (double)n->eps) * (double)n->w[at % size];
        }
    return sum;
}

static void check_qk_norm(bool whole)
{
    struct team *team = new_team(2);
    float *x = random_floats(T * NORM_LD, 1), *d = random_floats(T * NORM_LD, 2);
    float *dy = random_floats(T * NORM_LD, 2), *y = random_floats(T * NORM_LD, 1);
    float *raw = random_floats(T * NORM_LD, 3), *rstd = random_floats(T * NORM_LD, 4);
    float *q = random_floats(NORM_H * NORM_D, 5), *k = random_floats(NORM_G * NORM_D, 6);
    float *raw_k = random_floats(T * NORM_LD, 3), *rstd_k = random_floats(T * NORM_LD, 4);
    struct qk_norm_op q_norm = {q, whole, NORM_H, NORM_D, 1e-3f};
    struct qk_norm_op k_norm = {k, whole, NORM_G, NORM_D, 1e-3f};
    struct context c = {.weights = dy, .q_norm = &q_norm, .k_norm = &k_norm};
    double *xd = to_double(x, T * NORM_LD), sum = 0;

    qk_norm_forward(team, &q_norm, y, NORM_LD, raw, rstd, T);
    qk_norm_forward(team, &k_norm, y + NORM_H * NORM_D, NORM_LD, raw_k, rstd_k, T);
    for (int t = 0; t < T; t++)
        for (int i = 0; i < (NORM_H + NORM_G) * NORM_D; i++)
            sum += (double)dy[t * NORM_LD + i] * (double)y[t * NORM_LD + i];
    assert_close("sum", 0, sum, qk_norm_reference(&c, xd));
    qk_norm_backward(team, &q_norm, d, NORM_LD, raw, rstd, T);
    qk_norm_backward(team, &k_norm, d + NORM_H * NORM_D, NORM_LD, raw_k, rstd_k, T);
    for (int t = 0; t < T; t++) /* v is not its */
        memset(d + t * NORM_LD + (NORM_H + NORM_G) * NORM_D, 0, NORM_G * NORM_D * sizeof(float));
    check_gradient("dx", qk_norm_reference, &c, x, d, T * NORM_LD, T * NORM_LD);
    team_close(team);
    free(x), free(d), free(dy), free(y), free(raw), free(rstd), free(q), free(k), free(xd);
    free(raw_k), free(rstd_k);
}

static void qk_norms_agree_with_central_differences(void **state)
{
    (void)state;
    check_qk_norm(false);
    check_qk_norm(true);
}

static void tanh_is_right_over_its_range(void **state)
{
    const struct exp_range range = exp_range();
    double worst = 0;

    (void)state;
    for (float x = -20; x < 20; x += 0.00037f)
        if (x != 0)
            worst = fmax(worst, fabs((double)tanh_f32(x, range) / tanh((double)x) - 1));
    if (worst > 5 * 0x1p-24)
        fail_msg("tanh is off by %g", worst);
    assert_true(tanh_f32(0, range) == 0 && tanh_f32(100, range) == 1 &&
                tanh_f32(-100, range) == -1);
    assert_true(isnan(tanh_f32(NAN, range)));
}

static void exp_is_right_over_its_range(void **state)
{
    const struct exp_range range = exp_range();
    double worst = 0;
    int i;

    (void)state;
    for (i = -869000; i < 879000; i++) {
        float x = (float)i * 1e-4f;
        double error = fabs((double)exp_f32(x, range) / exp((double)x) - 1);
        worst = error > worst ? error : worst;
    }
    assert_true(worst < 1.5 * 0x1p-23);
    assert_true(exp_f32(0, range) == 1.0f);
    assert_true(isnan(exp_f32(NAN, range)));
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
        cmocka_unit_test(gated_units_agree_with_central_differences),
        cmocka_unit_test(rope_agrees_with_central_differences),
        cmocka_unit_test(qk_norms_agree_with_central_differences),
        cmocka_unit_test(exp_is_right_over_its_range),
        cmocka_unit_test(tanh_is_right_over_its_range),
        cmocka_unit_test(dropout_keeps_the_mean_and_scales),
        cmocka_unit_test(dropout_does_not_depend_on_packing),
        cmocka_unit_test(dropout_backward_uses_the_same_mask),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
