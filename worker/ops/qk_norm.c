/* worker/ops/qk_norm.c - see qk_norm.h. A run is what is normalised as one: a head, or all of them.
 */
#include "worker/ops/qk_norm.h"
#include "worker/ops/dot.h"
#include "worker/ops/rows.h"
#include <math.h>
#include <stddef.h>
#include <string.h>

struct pass {
    const struct qk_norm_op *n;
    float *qkv; /* or dqkv */
    int ld;
    float *raw, *rstd;
};

struct run {
    size_t at; /* in the row */
    int size;
    const float *w;
};

static int runs_of(const struct qk_norm_op *n)
{
    return n->whole ? 2 : n->H + n->G;
}

static struct run run_of(const struct qk_norm_op *n, int i)
{
    if (!n->whole)
        return (struct run){(size_t)i * (size_t)n->D, n->D, i < n->H ? n->q : n->k};
    if (i == 0)
        return (struct run){0, n->H * n->D, n->q};
    return (struct run){(size_t)n->H * (size_t)n->D, n->G * n->D, n->k};
}

static void forward_block(void *arg, int first, int last)
{
    const struct pass *p = arg;
    const struct qk_norm_op *n = p->n;
    size_t width = (size_t)(n->H + n->G) * (size_t)n->D;

    for (int t = first; t < last; t++) {
        float *row = p->qkv + (size_t)t * (size_t)p->ld, *raw = p->raw + (size_t)t * width;
        memcpy(raw, row, width * sizeof(float));
        for (int i = 0; i < runs_of(n); i++) {
            struct run r = run_of(n, i);
            const float *x = raw + r.at;
            float rstd = (float)(1 / sqrt(dot_double(x, x, r.size) / r.size + n->eps));
            p->rstd[t * (n->H + n->G) + i] = rstd;
            for (int c = 0; c < r.size; c++)
                row[r.at + (size_t)c] = x[c] * rstd * r.w[c];
        }
    }
}

void qk_norm_forward(struct team *team, const struct qk_norm_op *n, float *qkv, int ld, float *raw,
                     float *rstd, int T)
{
    struct pass p = {n, qkv, ld, raw, rstd};

    rows_run(team, forward_block, &p, T);
}

/* dx_c = rstd (g_c - x_c rstd^2 mean(g x)), g = dy w: rmsnorm.c. */
static void run_back(float *dy, const float *x, const float *w, float rstd, int size)
{
    double sum = 0;
    float pull;
    int c;

#pragma omp simd reduction(+ : sum)
    for (c = 0; c < size; c++)
        sum += (double)(dy[c] * w[c]) * x[c];
    pull = (float)(sum / size * rstd * rstd);
    for (c = 0; c < size; c++)
        dy[c] = rstd * (dy[c] * w[c] - x[c] * pull);
}

static void backward_block(void *arg, int first, int last)
{
    const struct pass *p = arg;
    const struct qk_norm_op *n = p->n;
    size_t width = (size_t)(n->H + n->G) * (size_t)n->D;

    for (int t = first; t < last; t++)
        for (int i = 0; i < runs_of(n); i++) {
            struct run r = run_of(n, i);
            run_back(p->qkv + (size_t)t * (size_t)p->ld + r.at, p->raw + (size_t)t * width + r.at,
                     r.w, p->rstd[t * (n->H + n->G) + i], r.size);
        }
}

void qk_norm_backward(struct team *team, const struct qk_norm_op *n, float *dqkv, int ld,
                      const float *raw, const float *rstd, int T)
{
    struct pass p = {n, dqkv, ld, (float *)raw, (float *)rstd};

    rows_run(team, backward_block, &p, T);
}
