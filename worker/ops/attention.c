/* worker/ops/attention.c - see attention.h.
 *
 * A task is one segment and one key-value head with its H / G query heads, so that dk and dv are
 * summed in one place and in one order. With P the probabilities of a block of queries, dP = do V^T
 * and D_t = do_t . o_t:   dS = P * (dP - D) * slope of the cap,  dq = scale dS K,
 * dk += scale dS^T q,  dv += P^T do. With a window a block of queries begins at the first key that
 * its first query sees.
 */
#include "worker/ops/attention.h"
#include "worker/ops/exp.h"
#include "worker/ops/gemm.h"
#include "worker/ops/soft_cap.h"
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

long attention_scratch(int longest)
{
    long wide = (longest + 15L) / 16 * 16;

    return 2L * BLOCK * wide;
}

static int row_width(const struct attention *a)
{
    return (a->H + 2 * a->G) * a->D;
}

/* The first key that query t sees. */
static int first_key(const struct attention *a, int t)
{
    return a->window && t >= a->window ? t - a->window + 1 : 0;
}

/* Scores become capped ones; scale is in them then. */
static void cap_row(const struct attention *a, float *s, int n)
{
    int i;

#pragma omp simd
    for (i = 0; i < n; i++)
        s[i] = soft_cap(s[i] * a->scale, a->cap);
}

/* Softmax of n scores, scaled. Returns the log-sum-exp. */
static float softmax(float *s, int n, float scale)
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
    return most * scale + (float)log(sum);
}

/* Of a row of `width` scores those of [begin, end) are visible: the others become 0. */
static void clear_hidden(float *s, int begin, int end, int width)
{
    memset(s, 0, (size_t)begin * sizeof(*s));
    memset(s + end, 0, (size_t)(width - end) * sizeof(*s));
}

static float softmax_row(const struct attention *a, float *s, int begin, int end, int width)
{
    float lse;

    if (a->cap > 0)
        cap_row(a, s + begin, end - begin);
    lse = softmax(s + begin, end - begin, a->cap > 0 ? 1 : a->scale);
    clear_hidden(s, begin, end, width);
    return lse;
}

static void forward_head(const struct pass *p, int first, int rows, int h, float *scores)
{
    const struct attention *a = p->a;
    int D = a->D, ld = row_width(a), g = h / (a->H / a->G), at, t;
    const float *base = p->qkv + (size_t)first * ld;
    const float *q = base + (size_t)h * D;
    struct matrix k = {base + (size_t)(a->H + g) * D, ld};
    struct matrix v = {base + (size_t)(a->H + a->G + g) * D, ld};
    float *o = p->o + (size_t)first * a->H * D + (size_t)h * D;

    for (at = 0; at < rows; at += BLOCK) {
        int n = rows - at < BLOCK ? rows - at : BLOCK, from = first_key(a, at);
        int keys = at + n - from;
        struct matrix seen_k = {k.at + (size_t)from * ld, ld};
        struct matrix seen_v = {v.at + (size_t)from * ld, ld};
        gemm_one(GEMM_NT, n, keys, D, 1, (struct matrix){q + (size_t)at * ld, ld}, seen_k, 0,
                 scores, keys);
        for (t = 0; t < n; t++) {
            float lse = softmax_row(a, scores + (size_t)t * keys, first_key(a, at + t) - from,
                                    at + t + 1 - from, keys);
            if (p->lse)
                p->lse[(size_t)(first + at + t) * a->H + h] = lse;
        }
        gemm_one(GEMM_NN, n, D, keys, 1, (struct matrix){scores, keys}, seen_v, 0,
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

/* dS of n scores s and dp, in dp; s becomes P. */
static void softmax_back(float *s, float *dp, int n, float scale, float lse, float pull)
{
    int i;

#pragma omp simd
    for (i = 0; i < n; i++) {
        s[i] = exp_f32(s[i] * scale - lse);
        dp[i] = s[i] * (dp[i] - pull) * scale;
    }
}

static void softmax_back_capped(const struct attention *a, float *s, float *dp, int n, float lse,
                                float pull)
{
    int i;

#pragma omp simd
    for (i = 0; i < n; i++) {
        float capped = soft_cap(s[i] * a->scale, a->cap);
        s[i] = exp_f32(capped - lse);
        dp[i] = s[i] * (dp[i] - pull) * soft_cap_slope(capped, a->cap) * a->scale;
    }
}

/* Of a row of `width` scores those of [begin, end) are visible. */
static void backward_row(const struct attention *a, float *s, float *dp, int begin, int end,
                         int width, float lse, float pull)
{
    if (a->cap > 0)
        softmax_back_capped(a, s + begin, dp + begin, end - begin, lse, pull);
    else
        softmax_back(s + begin, dp + begin, end - begin, a->scale, lse, pull);
    clear_hidden(s, begin, end, width);
    clear_hidden(dp, begin, end, width);
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
    float *dbase = p->dqkv + (size_t)first * ld;
    float *s = scratch, *dp;

    for (at = 0; at < rows; at += BLOCK) {
        int n = rows - at < BLOCK ? rows - at : BLOCK, from = first_key(a, at);
        int keys = at + n - from;
        const float *seen = base + (size_t)from * ld;
        float *dseen = dbase + (size_t)from * ld;
        struct matrix q = {base + (size_t)at * ld + (size_t)h * D, ld};
        struct matrix d_o = {p->d_o + (size_t)(first + at) * ldo + (size_t)h * D, ldo};
        const float *o = p->kept_o + (size_t)(first + at) * ldo + (size_t)h * D;
        /* The last rows of a group's k and v see no earlier block: those are summed from zero. */
        int fresh = h % group == 0 ? at : at + n;
        dp = s + (size_t)n * keys;
        gemm_one(GEMM_NT, n, keys, D, 1, q, (struct matrix){seen + ko, ld}, 0, s, keys);
        gemm_one(GEMM_NT, n, keys, D, 1, d_o, (struct matrix){seen + vo, ld}, 0, dp, keys);
        for (t = 0; t < n; t++)
            backward_row(a, s + (size_t)t * keys, dp + (size_t)t * keys,
                         first_key(a, at + t) - from, at + t + 1 - from, keys,
                         p->kept_lse[(size_t)(first + at + t) * a->H + h],
                         dot(d_o.at + (size_t)t * ldo, o + (size_t)t * ldo, D));
        gemm_one(GEMM_NN, n, D, keys, 1, (struct matrix){dp, keys}, (struct matrix){seen + ko, ld},
                 0, dbase + (size_t)at * ld + (size_t)h * D, ld);
        for (t = fresh; t < at + n; t++) {
            memset(dbase + (size_t)t * ld + ko, 0, (size_t)D * sizeof(float));
            memset(dbase + (size_t)t * ld + vo, 0, (size_t)D * sizeof(float));
        }
        gemm_one(GEMM_TN, keys, D, n, 1, (struct matrix){dp, keys}, q, 1, dseen + ko, ld);
        gemm_one(GEMM_TN, keys, D, n, 1, (struct matrix){s, keys}, d_o, 1, dseen + vo, ld);
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
    int D = a->D, row = i / a->H, h = i % a->H, g = h / (a->H / a->G), s, d;
    int from = first_key(a, p->len[row] - 1), n = p->len[row] - from;
    size_t skipped = (size_t)from * (size_t)(a->G * D) + (size_t)(g * D);
    const float *q = p->qkv + (size_t)row * row_width(a) + (size_t)h * D;
    const float *k = p->keys[row] + skipped, *v = p->values[row] + skipped;
    float *o = p->o + ((size_t)row * a->H + h) * D, *scores = p->scratch + thread * p->stride;

    for (s = 0; s < n; s++)
        scores[s] = dot(q, k + (size_t)s * a->G * D, D);
    softmax_row(a, scores, 0, n, n);
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
