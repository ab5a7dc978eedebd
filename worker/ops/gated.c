/* worker/ops/gated.c - see gated.h. With s = sig(z(g)), act(g) = g s and
 * d act / dg = s + g s (1 - s) z'(g); for silu z is g. */
#include "worker/ops/gated.h"
#include "worker/ops/exp.h"
#include "worker/ops/rows.h"
#include <math.h>
#include <stddef.h>

struct pass {
    enum activation act;
    float *out;
    const float *dy, *gu;
    int F;
};

static const float tanh_factor = 1.59576912f; /* 2 sqrt(2 / pi) */
static const float tanh_cube = 0.044715f;

/* ---- forward: rows of F ---- */

static void silu_row(float *restrict y, const float *g, const float *u, int F)
{
    int i;

#pragma omp simd
    for (i = 0; i < F; i++)
        y[i] = g[i] / (1.0f + exp_f32(-g[i])) * u[i];
}

static void gelu_tanh_row(float *restrict y, const float *g, const float *u, int F)
{
    int i;

#pragma omp simd
    for (i = 0; i < F; i++) {
        float z = tanh_factor * (g[i] + tanh_cube * g[i] * g[i] * g[i]);
        y[i] = g[i] / (1.0f + exp_f32(-z)) * u[i];
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

static void forward_block(void *arg, int first, int last)
{
    static void (*const rows[ACTIVATIONS])(float *restrict, const float *, const float *, int) = {
        [ACTIVATION_SILU] = silu_row,
        [ACTIVATION_GELU_TANH] = gelu_tanh_row,
        [ACTIVATION_GELU] = gelu_row,
    };
    const struct pass *p = arg;
    int F = p->F, t;

    for (t = first; t < last; t++) {
        const float *g = p->gu + (size_t)t * 2 * F;
        rows[p->act](p->out + (size_t)t * F, g, g + F, F);
    }
}

void gated_forward(struct team *team, enum activation act, float *y, const float *gu, int T, int F)
{
    struct pass p = {act, y, NULL, gu, F};

    rows_run(team, forward_block, &p, T);
}

/* ---- backward: dg and du may be g and u ---- */

static void silu_row_back(float *dg, float *du, const float *dy, const float *g, const float *u,
                          int F)
{
    int i;

#pragma omp simd
    for (i = 0; i < F; i++) {
        float gi = g[i], ui = u[i], sig = 1.0f / (1.0f + exp_f32(-gi));
        du[i] = dy[i] * gi * sig;
        dg[i] = dy[i] * ui * sig * (1.0f + gi * (1.0f - sig));
    }
}

static void gelu_tanh_row_back(float *dg, float *du, const float *dy, const float *g,
                               const float *u, int F)
{
    int i;

#pragma omp simd
    for (i = 0; i < F; i++) {
        float gi = g[i], ui = u[i], square = tanh_cube * gi * gi;
        float sig = 1.0f / (1.0f + exp_f32(-tanh_factor * gi * (1.0f + square)));
        float slope = tanh_factor * (1.0f + 3.0f * square);
        du[i] = dy[i] * gi * sig;
        dg[i] = dy[i] * ui * sig * (1.0f + gi * (1.0f - sig) * slope);
    }
}

static void gelu_row_back(float *dg, float *du, const float *dy, const float *g, const float *u,
                          int F)
{
    int i;

    for (i = 0; i < F; i++) {
        float gi = g[i], ui = u[i], share = normal_share(gi);
        float density = 0.398942280f * exp_f32(-0.5f * gi * gi);
        du[i] = dy[i] * gi * share;
        dg[i] = dy[i] * ui * (share + gi * density);
    }
}

static void backward_block(void *arg, int first, int last)
{
    static void (*const rows[ACTIVATIONS])(float *, float *, const float *, const float *,
                                           const float *, int) = {
        [ACTIVATION_SILU] = silu_row_back,
        [ACTIVATION_GELU_TANH] = gelu_tanh_row_back,
        [ACTIVATION_GELU] = gelu_row_back,
    };
    const struct pass *p = arg;
    int F = p->F, t;

    for (t = first; t < last; t++) {
        const float *g = p->gu + (size_t)t * 2 * F;
        float *dg = p->out + (size_t)t * 2 * F;
        rows[p->act](dg, dg + F, p->dy + (size_t)t * F, g, g + F, F);
    }
}

void gated_backward(struct team *team, enum activation act, float *dgu, const float *dy,
                    const float *gu, int T, int F)
{
    struct pass p = {act, dgu, dy, gu, F};

    rows_run(team, backward_block, &p, T);
}
