/* worker/ops/swiglu.c - see swiglu.h. d silu(g) / dg = sig (1 + g (1 - sig)), sig = 1 / (1 + e^-g).
 */
#include "worker/ops/swiglu.h"
#include "worker/ops/exp.h"
#include "worker/ops/rows.h"
#include <stddef.h>

struct pass {
    float *out;
    const float *dy, *gu;
    int F;
};

static void forward_block(void *arg, int first, int last)
{
    const struct pass *p = arg;
    int F = p->F, t, i;

    for (t = first; t < last; t++) {
        const float *g = p->gu + (size_t)t * 2 * F, *u = g + F;
        float *restrict y = p->out + (size_t)t * F;
#pragma omp simd
        for (i = 0; i < F; i++)
            y[i] = g[i] / (1.0f + exp_f32(-g[i])) * u[i];
    }
}

void swiglu_forward(struct team *team, float *y, const float *gu, int T, int F)
{
    struct pass p = {y, NULL, gu, F};

    rows_run(team, forward_block, &p, T);
}

static void backward_block(void *arg, int first, int last)
{
    const struct pass *p = arg;
    int F = p->F, t, i;

    for (t = first; t < last; t++) {
        const float *g = p->gu + (size_t)t * 2 * F, *u = g + F, *dy = p->dy + (size_t)t * F;
        float *dg = p->out + (size_t)t * 2 * F, *du = dg + F;
#pragma omp simd
        for (i = 0; i < F; i++) {
            float gi = g[i], ui = u[i], sig = 1.0f / (1.0f + exp_f32(-gi));
            du[i] = dy[i] * gi * sig;
            dg[i] = dy[i] * ui * sig * (1.0f + gi * (1.0f - sig));
        }
    }
}

void swiglu_backward(struct team *team, float *dgu, const float *dy, const float *gu, int T, int F)
{
    struct pass p = {dgu, dy, gu, F};

    rows_run(team, backward_block, &p, T);
}
