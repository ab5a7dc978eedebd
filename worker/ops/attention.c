/* worker/ops/attention.c - see attention.h.
 *
 * A task is one segment and one key-value head with its H / G query heads, so that dk and dv are
 * summed in one place and in one order. With P the probabilities of a block of queries, dP = do V^T
 * and D_t = do_t . o_t:   dS = P * (dP - D),  dq = dS K / sqrt(D),  dk += dS^T q / sqrt(D),  dv +=
 * P^T do.
 */
#include "worker/ops/attention.h"
#include "worker/ops/exp.h"
#include "worker/ops/gemm.h"
#include <math.h>
#include <stddef.h>
#include <string.h>

enum { BLOCK = 128 }; /* queries at a time */

struct pass {
    const struct attention *a;
    float *o, *lse, *dqkv;
    const float *d_o, *kept_o, *kept_lse;
    const float *qkv;
    struct segments segments;
    float *scratch;
    long stride;
};

long attention_scratch(const struct attention *a, int longest)
{
    long wide = (longest + 15L) / 16 * 16;

    (void)a;
    return 2L * BLOCK * wide;
}

static int row_width(const struct attention *a)
{
    return (a->H + 2 * a->G) * a->D;
}

/* Softmax of row t over its first n scores, scaled; the rest, up to `width`, becomes 0. Returns the
 * log-sum-exp. */
static float softmax_row(float *s, int n, int width, float scale)
{
    float most = s[0], inv;
    double sum = 0;
    int i;

#pragma omp simd reduction(max : most)
    for (i = 0; i < n; i++)
        most = s[i] > most ? s[i] : most;
#pragma omp simd reduction(+ : sum)
    for (i = 0; i < n; i++) {
        s[i] = exp_f32((s[i] - most) * scale);
        sum += (double)s[i];
    }
    inv = (float)(1 / sum);
    for (i = 0; i < n; i++)
        s[i] *= inv;
    memset(s + n, 0, (size_t)(width - n) * sizeof(*s));
    return most * scale + (float)log(sum);
}

static void forward_head(const struct pass *p, int first, int rows, int h, float *scores)
{
    const struct attention *a = p->a;
    int D = a->D, ld = row_width(a), g = h / (a->H / a->G), at, t;
    const float *base = p->qkv + (size_t)first * ld;
    const float *q = base + (size_t)h * D;
    struct matrix k = {base + (size_t)(a->H + g) * D, ld};
    struct matrix v = {base + (size_t)(a->H + a->G + g) * D, ld};
    float *o = p->o + (size_t)first * a->H * D + (size_t)h * D, scale = 1 / sqrtf((float)D);

    for (at = 0; at < rows; at += BLOCK) {
        int n = rows - at < BLOCK ? rows - at : BLOCK, keys = at + n;
        gemm_one(GEMM_NT, n, keys, D, 1, (struct matrix){q + (size_t)at * ld, ld}, k, 0, scores,
                 keys);
        for (t = 0; t < n; t++) {
            float lse = softmax_row(scores + (size_t)t * keys, at + t + 1, keys, scale);
            if (p->lse)
                p->lse[(size_t)(first + at + t) * a->H + h] = lse;
        }
        gemm_one(GEMM_NN, n, D, keys, 1, (struct matrix){scores, keys}, v, 0,
                 o + (size_t)at * a->H * D, a->H * D);
    }
}

static void forward_task(void *arg, int i, int thread)
{
    const struct pass *p = arg;
    int first = p->segments.starts[i / p->a->H];
    int rows = p->segments.starts[i / p->a->H + 1] - first;

    forward_head(p, first, rows, i % p->a->H, p->scratch + thread * p->stride);
}

void attention_forward(struct team *team, const struct attention *a, float *o, float *lse,
                       const float *qkv, struct segments segments, float *scratch, long stride)
{
    struct pass p = {.a = a,
                     .o = o,
                     .lse = lse,
                     .qkv = qkv,
                     .segments = segments,
                     .scratch = scratch,
                     .stride = stride};

    team_run(team, forward_task, &p, segments.n * a->H);
}

/* dS of one query row from its scores s and dp, in dp; s becomes P. n keys are visible of `width`.
 */
static void backward_row(float *s, float *dp, int n, int width, float scale, float lse, float pull)
{
    int i;

#pragma omp simd
    for (i = 0; i < n; i++) {
        s[i] = exp_f32(s[i] * scale - lse);
        dp[i] = s[i] * (dp[i] - pull) * scale;
    }
    memset(s + n, 0, (size_t)(width - n) * sizeof(*s));
    memset(dp + n, 0, (size_t)(width - n) * sizeof(*dp));
}

static float dot(const float *a, const float *b, int n)
{
    float sum = 0;
    int i;

#pragma omp simd reduction(+ : sum)
    for (i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Query head h of one segment; adds to dk and dv unless it is the first of its group. */
static void backward_head(const struct pass *p, int first, int rows, int h, float *scratch)
{
    const struct attention *a = p->a;
    int D = a->D, ld = row_width(a), group = a->H / a->G, g = h / group, at, t;
    int ko = (a->H + g) * D, vo = (a->H + a->G + g) * D, ldo = a->H * D;
    const float *base = p->qkv + (size_t)first * ld;
    float *dbase = p->dqkv + (size_t)first * ld, scale = 1 / sqrtf((float)D);
    float *s = scratch, *dp;

    for (at = 0; at < rows; at += BLOCK) {
        int n = rows - at < BLOCK ? rows - at : BLOCK, keys = at + n;
        struct matrix q = {base + (size_t)at * ld + (size_t)h * D, ld};
        struct matrix d_o = {p->d_o + (size_t)(first + at) * ldo + (size_t)h * D, ldo};
        const float *o = p->kept_o + (size_t)(first + at) * ldo + (size_t)h * D;
        /* The last rows of a group's k and v see no earlier block: those are summed from zero. */
        int fresh = h % group == 0 ? at : keys;
        dp = s + (size_t)n * keys;
        gemm_one(GEMM_NT, n, keys, D, 1, q, (struct matrix){base + ko, ld}, 0, s, keys);
        gemm_one(GEMM_NT, n, keys, D, 1, d_o, (struct matrix){base + vo, ld}, 0, dp, keys);
        for (t = 0; t < n; t++)
            backward_row(s + (size_t)t * keys, dp + (size_t)t * keys, at + t + 1, keys, scale,
                         p->kept_lse[(size_t)(first + at + t) * a->H + h],
                         dot(d_o.at + (size_t)t * ldo, o + (size_t)t * ldo, D));
        gemm_one(GEMM_NN, n, D, keys, 1, (struct matrix){dp, keys}, (struct matrix){base + ko, ld},
                 0, dbase + (size_t)at * ld + (size_t)h * D, ld);
        for (t = fresh; t < keys; t++) {
            memset(dbase + (size_t)t * ld + ko, 0, (size_t)D * sizeof(float));
            memset(dbase + (size_t)t * ld + vo, 0, (size_t)D * sizeof(float));
        }
        gemm_one(GEMM_TN, keys, D, n, 1, (struct matrix){dp, keys}, q, 1, dbase + ko, ld);
        gemm_one(GEMM_TN, keys, D, n, 1, (struct matrix){s, keys}, d_o, 1, dbase + vo, ld);
    }
}

static void backward_task(void *arg, int i, int thread)
{
    const struct pass *p = arg;
    int group = p->a->H / p->a->G, g = i % p->a->G, h;
    int first = p->segments.starts[i / p->a->G];
    int rows = p->segments.starts[i / p->a->G + 1] - first;

    for (h = g * group; h < (g + 1) * group; h++)
        backward_head(p, first, rows, h, p->scratch + thread * p->stride);
}

void attention_backward(struct team *team, const struct attention *a, float *dqkv, const float *d_o,
                        const float *qkv, const float *o, const float *lse,
                        struct segments segments, float *scratch, long stride)
{
    struct pass p = {.a = a,
                     .dqkv = dqkv,
                     .d_o = d_o,
                     .kept_o = o,
                     .kept_lse = lse,
                     .qkv = qkv,
                     .segments = segments,
                     .scratch = scratch,
                     .stride = stride};

    team_run(team, backward_task, &p, segments.n * a->G);
}

struct cached {
    const struct attention *a;
    float *o;
    const float *qkv;
    const float *const *keys, *const *values;
    const int *len;
    float *scratch;
    long stride;
};

static void cached_task(void *arg, int i, int thread)
{
    const struct cached *p = arg;
    const struct attention *a = p->a;
    int D = a->D, row = i / a->H, h = i % a->H, g = h / (a->H / a->G), n = p->len[row], s, d;
    const float *q = p->qkv + (size_t)row * row_width(a) + (size_t)h * D;
    const float *k = p->keys[row] + (size_t)g * D, *v = p->values[row] + (size_t)g * D;
    float *o = p->o + ((size_t)row * a->H + h) * D, *scores = p->scratch + thread * p->stride;

    for (s = 0; s < n; s++)
        scores[s] = dot(q, k + (size_t)s * a->G * D, D);
    softmax_row(scores, n, n, 1 / sqrtf((float)D));
    memset(o, 0, (size_t)D * sizeof(*o));
    for (s = 0; s < n; s++)
        for (d = 0; d < D; d++)
            o[d] += scores[s] * v[(size_t)s * a->G * D + d];
}

void attention_cached(struct team *team, const struct attention *a, float *o, const float *qkv,
                      int n, const float *const *keys, const float *const *values, const int *len,
                      float *scratch, long stride)
{
    struct cached p = {a, o, qkv, keys, values, len, scratch, stride};

    team_run(team, cached_task, &p, n * a->H);
}
