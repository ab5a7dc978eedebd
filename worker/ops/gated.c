/* worker/ops/gated.c - see gated.h. With s = sig(z(g)), act(g) = g s and
 * d act / dg = s + g s (1 - s) z'(g); for silu z is g. */
#include "worker/ops/gated.h"
#include "worker/ops/exp.h"
#include "worker/ops/rows.h"
#include <math.h>
#include <stddef.h>

static const float tanh_factor = 1.59576912f; /* 2 sqrt(2 / pi) */
static const float tanh_cube = 0.044715f;

/* ---- forward: rows of F ---- */

static void silu_row(float *restrict y, const float *g, const float *u, int F)
{
    const struct exp_range range = exp_range();
    int i;

#pragma omp simd
    for (i = 0; i < F; i++)
        y[i] = g[i] / (1.0f + exp_f32(-g[i], range)) * u[i];
}

static void gelu_tanh_row(float *restrict y, const float *g, const float *u, int F)
{
    const struct exp_range range = exp_range();
    int i;

#pragma omp simd
    for (i = 0; i < F; i++) {
        float z = tanh_factor * (g[i] + tanh_cube * g[i] * g[i] * g[i]);
        y[i] = g[i] / (1.0f + exp_f32(-z, range)) * u[i];
    }
}

static float normal_share(float g)
{
    return 0.5f * erfcf(-g * 0.707106781f);
}

static void gelu_row(float *restrict y, const float *g, const float *u, int F)
{
    int i;

    for (i = 0; i < F; i++)
        y[i] = g[i] * normal_share(g[i]) * u[i];
}

void gated_forward(const void *gated, int first, int last, int column, int columns)
{
    static void (*const rows[ACTIVATIONS])(float *restrict, const float *, const float *, int) = {
        [ACTIVATION_SILU] = silu_row,
        [ACTIVATION_GELU_TANH] = gelu_tanh_row,
        [ACTIVATION_GELU] = gelu_row,
    };
    const struct gated *p = gated;
    int F = p->F;

    for (int t = first; t < last; t++) {
        const float *g = p->gu + (size_t)t * 2 * (size_t)F + column;
        rows[p->act](p->y + (size_t)t * (size_t)F + column, g, g + F, columns);
    }
}

/* ---- backward: dg and du may be g and u ---- */

static void silu_row_back(float *dg, float *du, const float *dy, const float *g, const float *u,
                          int F)
{
    const struct exp_range range = exp_range();
    int i;

#pragma omp simd
    for (i = 0; i < F; i++) {
        float gi = g[i], ui = u[i], sig = 1.0f / (1.0f + exp_f32(-gi, range));
        du[i] = dy[i] * gi * sig;
        dg[i] = dy[i] * ui * sig * (1.0f + gi * (1.0f - sig));
    }
}

static void gelu_tanh_row_back(float *dg, float *du, const float *dy, const float *g,
                               const float *u, int F)
{
    const struct exp_range range = exp_range();
    int i;

#pragma omp simd
    for (i = 0; i < F; i++) {
        float gi = g[i], ui = u[i], square = tanh_cube * gi * gi;
        float sig = 1.0f / (1.0f + exp_f32(-tanh_factor * gi * (1.0f + square), range));
        float slope = tanh_factor * (1.0f + 3.0f * square);
        du[i] = dy[i] * gi * sig;
        dg[i] = dy[i] * ui * sig * (1.0f + gi * (1.0f - sig) * slope);
    }
}

static void gelu_row_back(float *dg, float *du, const float *dy, const float *g, const float *u,
                          int F)
{
    const struct exp_range range = exp_range();
    int i;

    for (i = 0; i < F; i++) {
        float gi = g[i], ui = u[i], share = normal_share(gi);
        float density = 0.398942280f * exp_f32(-0.5f * gi * gi, range);
        du[i] = dy[i] * gi * share;
        dg[i] = dy[i] * ui * (share + gi * density);
    }
}

void gated_backward(const void *gated, int first, int last, int column, int columns)
{
    static void (*const rows[ACTIVATIONS])(float *, float *, const float *, const float *,
                                           const float *, int) = {
        [ACTIVATION_SILU] = silu_row_back,
        [ACTIVATION_GELU_TANH] = gelu_tanh_row_back,
        [ACTIVATION_GELU] = gelu_row_back,
    };
    const struct gated *p = gated;
    int F = p->F;

    for (int t = first; t < last; t++) {
        const float *g = p->gu + (size_t)t * 2 * (size_t)F + column;
        float *dg = p->dgu + (size_t)t * 2 * (size_t)F + column;
        if (p->y)
            gated_forward(gated, t, t + 1, column, columns);
        rows[p->act](dg, dg + F, p->dy + (size_t)t * (size_t)F + column, g, g + F, columns);
    }
}

struct whole_pass {
    void (*pass)(const void *gated, int first, int last, int column, int columns);
    const struct gated *gated;
};

static void whole_block(void *arg, int first, int last)
{
    const struct whole_pass *w = arg;

    w->pass(w->gated, first, last, 0, w->gated->F);
}

void gated_run(struct team *team, void (*pass)(const void *gated, int, int, int, int),
               const struct gated *gated, int T)
{
    struct whole_pass w = {pass, gated};

    rows_run(team, whole_block, &w, T);
}
