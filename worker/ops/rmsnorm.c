/* worker/ops/rmsnorm.c - see rmsnorm.h.
 *
 * With g_c = dy_c w_c:  dx_c = rstd (g_c - x_c rstd^2 mean_c(g_c x_c)).
 */
#include "worker/ops/rmsnorm.h"
#include "worker/ops/dot.h"
#include "worker/ops/rows.h"
#include <math.h>
#include <stddef.h>

struct pass {
    const struct rmsnorm *n;
    float *y;    /* or dx */
    float *rstd; /* written by the forward pass, or NULL */
    const float *x;
    const float *kept; /* rstd as kept */
    const float *dy;
};

static void scale_row(float *y, const float *x, const float *w, float rstd, int C)
{
    int c;

    for (c = 0; c < C; c++)
        y[c] = x[c] * rstd * w[c];
}

static void forward_block(void *arg, int first, int last)
{
    const struct pass *p = arg;
    int C = p->n->C, t;

    for (t = first; t < last; t++) {
        const float *x = p->x + (size_t)t * C;
        float rstd = p->kept ? p->kept[t] : (float)(1 / sqrt(dot_double(x, x, C) / C + p->n->eps));
        scale_row(p->y + (size_t)t * C, x, p->n->w, rstd, C);
        if (p->rstd)
            p->rstd[t] = rstd;
    }
}

void rmsnorm_forward(struct team *team, const struct rmsnorm *n, float *y, float *rstd,
                     const float *x, int T)
{
    struct pass p = {.n = n, .y = y, .rstd = rstd, .x = x};

    rows_run(team, forward_block, &p, T);
}

void rmsnorm_again(struct team *team, const struct rmsnorm *n, float *y, const float *x,
                   const float *rstd, int T)
{
    struct pass p = {.n = n, .y = y, .x = x, .kept = rstd};

    rows_run(team, forward_block, &p, T);
}

static void backward_block(void *arg, int first, int last)
{
    const struct pass *p = arg;
    const float *w = p->n->w;
    int C = p->n->C, t, c;

    for (t = first; t < last; t++) {
        const float *x = p->x + (size_t)t * C, *dy = p->dy + (size_t)t * C;
        float *dx = p->y + (size_t)t * C, rstd = p->kept[t], pull;
        double sum = 0;
#pragma omp simd reduction(+ : sum)
        for (c = 0; c < C; c++)
            sum += (double)(dy[c] * w[c]) * x[c];
        pull = (float)(sum / C * rstd * rstd);
        for (c = 0; c < C; c++)
            dx[c] += rstd * (dy[c] * w[c] - x[c] * pull);
    }
}

void rmsnorm_backward(struct team *team, const struct rmsnorm *n, float *dx, const float *dy,
                      const float *x, const float *rstd, int T)
{
    struct pass p = {.n = n, .y = dx, .x = x, .kept = rstd, .dy = dy};

    rows_run(team, backward_block, &p, T);
}
