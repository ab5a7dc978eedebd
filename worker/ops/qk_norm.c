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
    float *x; /* or the gradient */
    int ld;
    float *raw, *rstd;
};

static int runs_of(const struct qk_norm_op *n)
{
    return n->whole ? 1 : n->heads;
}

static void forward_block(void *arg, int first, int last)
{
    const struct pass *p = arg;
    const struct qk_norm_op *n = p->n;
    int width = n->heads * n->D, runs = runs_of(n), size = width / runs;

    for (int t = first; t < last; t++) {
        float *row = p->x + (size_t)t * (size_t)p->ld, *raw = p->raw + (size_t)t * (size_t)width;
        memcpy(raw, row, (size_t)width * sizeof(float));
        for (int i = 0; i < runs; i++) {
            const float *x = raw + (size_t)i * (size_t)size;
            float rstd = (float)(1 / sqrt(dot_double(x, x, size) / size + n->eps));
            p->rstd[t * n->heads + i] = rstd;
            for (int c = 0; c < size; c++)
                row[i * size + c] = x[c] * rstd * n->w[c];
        }
    }
}

void qk_norm_forward(struct team *team, const struct qk_norm_op *n, float *x, int ld, float *raw,
                     float *rstd, int T)
{
    struct pass p = {n, x, ld, raw, rstd};

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
    int width = n->heads * n->D, runs = runs_of(n), size = width / runs;

    for (int t = first; t < last; t++)
        for (int i = 0; i < runs; i++)
            run_back(p->x + (size_t)t * (size_t)p->ld + (size_t)i * (size_t)size,
                     p->raw + (size_t)t * (size_t)width + (size_t)i * (size_t)size, n->w,
                     p->rstd[t * n->heads + i], size);
}

void qk_norm_backward(struct team *team, const struct qk_norm_op *n, float *d, int ld,
                      const float *raw, const float *rstd, int T)
{
    struct pass p = {n, d, ld, (float *)raw, (float *)rstd};

    rows_run(team, backward_block, &p, T);
}
