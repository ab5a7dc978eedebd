/* worker/ops/attention.c - see attention.h.
 *
 * A task is one segment and one key-value head with its H / G query heads, so that dk and dv are
 * summed in one place and in one order. Queries of a block need not be neighbours: a block's keys
 * end at the last one that its last query sees. With P the probabilities of a block of queries, dP
 * = do V^T and D_t = do_t . o_t:   dS = P * (dP - D) * slope of the cap,  dq = scale dS K, dk +=
 * scale dS^T q,  dv += P^T do. With a window a block of queries begins at the first key that its
 * first query sees.
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
    struct attention_arrays in, d;
    struct attention_rows rows;
    float *o, *lse;
    const float *d_o, *kept_o, *kept_lse;
    float *scratch;
    long stride;
};

/* A segment of a pass. */
struct segment {
    int first_key, keys; /* rows of keys and values */
    int first, n;        /* rows of queries */
    const int32_t *positions;
};

/* Queries at..at + n of a segment and the keys [from, from + keys) of it that they see. */
struct block {
    int at, n, from, keys;
};

long attention_scratch(int longest)
{
    long wide = (longest + 15L) / 16 * 16;

    return 2L * BLOCK * wide;
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

static struct segment segment_of(const struct pass *p, int i)
{
    const int32_t *keys = p->rows.keys.starts + i, *queries = p->rows.queries.starts + i;

    return (struct segment){keys[0], keys[1] - keys[0], queries[0], queries[1] - queries[0],
                            p->rows.positions + queries[0]};
}

static struct block block_at(const struct attention *a, const struct segment *s, int at)
{
    int n = s->n - at < BLOCK ? s->n - at : BLOCK, from = first_key(a, s->positions[at]);

    return (struct block){at, n, from, s->positions[at + n - 1] + 1 - from};
}

static void forward_head(const struct pass *p, const struct segment *s, int h, float *scores)
{
    const struct attention *a = p->a;
    int D = a->D, ldq = p->in.ldq, ldkv = p->in.ldkv, ldo = a->H * D, g = h / (a->H / a->G), at, t;
    const float *q = p->in.q + (size_t)s->first * ldq + (size_t)h * D;
    const float *k = p->in.kv + (size_t)s->first_key * ldkv + (size_t)g * D;
    const float *v = k + (size_t)a->G * D;
    float *o = p->o + (size_t)s->first * ldo + (size_t)h * D;

    for (at = 0; at < s->n; at += BLOCK) {
        struct block b = block_at(a, s, at);
        gemm_one(GEMM_NT, b.n, b.keys, D, 1, (struct matrix){q + (size_t)at * ldq, ldq},
                 (struct matrix){k + (size_t)b.from * ldkv, ldkv}, 0, scores, b.keys);
        for (t = 0; t < b.n; t++) {
            int position = s->positions[at + t];
            float lse = softmax_row(a, scores + (size_t)t * b.keys, first_key(a, position) - b.from,
                                    position + 1 - b.from, b.keys);
            if (p->lse)
                p->lse[(size_t)(s->first + at + t) * a->H + h] = lse;
        }
        gemm_one(GEMM_NN, b.n, D, b.keys, 1, (struct matrix){scores, b.keys},
                 (struct matrix){v + (size_t)b.from * ldkv, ldkv}, 0, o + (size_t)at * ldo, ldo);
    }
}

static void forward_task(void *arg, int i, int thread)
{
    const struct pass *p = arg;
    struct segment s = segment_of(p, i / p->a->H);

    forward_head(p, &s, i % p->a->H, p->scratch + thread * p->stride);
}

void attention_forward(struct team *team, const struct attention *a, float *o, float *lse,
                       struct attention_arrays in, struct attention_rows rows, float *scratch,
                       long stride)
{
    struct pass p = {
        .a = a, .in = in, .rows = rows, .o = o, .lse = lse, .scratch = scratch, .stride = stride};

    team_run(team, forward_task, &p, rows.keys.n * a->H);
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

/* Sets dk and dv of a key-value head to 0 in all rows of a segment. */
static void clear_keys(const struct pass *p, const struct segment *s, int g)
{
    const struct attention *a = p->a;
    size_t size = (size_t)a->D * sizeof(float);

    for (int t = 0; t < s->keys; t++) {
        float *dk = p->d.kv + (size_t)(s->first_key + t) * p->d.ldkv + (size_t)g * a->D;
        memset(dk, 0, size);
        memset(dk + (size_t)a->G * a->D, 0, size);
    }
}

/* P of a block of queries in s, dS in dp, which come as scores and dP. */
static void backward_rows(const struct pass *p, const struct segment *seg, const struct block *b,
                          int h, float *s, float *dp)
{
    const struct attention *a = p->a;

    for (int t = 0; t < b->n; t++) {
        int position = seg->positions[b->at + t];
        size_t row = (size_t)(seg->first + b->at + t) * a->H + h;
        backward_row(a, s + (size_t)t * b->keys, dp + (size_t)t * b->keys,
                     first_key(a, position) - b->from, position + 1 - b->from, b->keys,
                     p->kept_lse[row], dot(p->d_o + row * a->D, p->kept_o + row * a->D, a->D));
    }
}

/* Query head h of one segment; adds to dk and dv. */
static void backward_head(const struct pass *p, const struct segment *seg, int h, float *s)
{
    const struct attention *a = p->a;
    int D = a->D, g = h / (a->H / a->G), at, ldq = p->in.ldq, ldkv = p->in.ldkv, ldo = a->H * D;
    size_t query = (size_t)h * D, key = (size_t)g * D, value = key + (size_t)a->G * D;

    for (at = 0; at < seg->n; at += BLOCK) {
        struct block b = block_at(a, seg, at);
        size_t row = (size_t)seg->first + (size_t)at,
               seen = (size_t)seg->first_key + (size_t)b.from;
        const float *kv = p->in.kv + seen * ldkv;
        float *dkv = p->d.kv + seen * p->d.ldkv, *dp = s + (size_t)b.n * b.keys;
        struct matrix q = {p->in.q + row * ldq + query, ldq};
        struct matrix d_o = {p->d_o + row * ldo + query, ldo};
        gemm_one(GEMM_NT, b.n, b.keys, D, 1, q, (struct matrix){kv + key, ldkv}, 0, s, b.keys);
        gemm_one(GEMM_NT, b.n, b.keys, D, 1, d_o, (struct matrix){kv + value, ldkv}, 0, dp, b.keys);
        backward_rows(p, seg, &b, h, s, dp);
        gemm_one(GEMM_NN, b.n, D, b.keys, 1, (struct matrix){dp, b.keys},
                 (struct matrix){kv + key, ldkv}, 0, p->d.q + row * p->d.ldq + query, p->d.ldq);
        gemm_one(GEMM_TN, b.keys, D, b.n, 1, (struct matrix){dp, b.keys}, q, 1, dkv + key,
                 p->d.ldkv);
        gemm_one(GEMM_TN, b.keys, D, b.n, 1, (struct matrix){s, b.keys}, d_o, 1, dkv + value,
                 p->d.ldkv);
    }
}

static void backward_task(void *arg, int i, int thread)
{
    const struct pass *p = arg;
    int group = p->a->H / p->a->G, g = i % p->a->G, h;
    struct segment s = segment_of(p, i / p->a->G);

    clear_keys(p, &s, g);
    for (h = g * group; h < (g + 1) * group; h++)
        backward_head(p, &s, h, p->scratch + thread * p->stride);
}

void attention_backward(struct team *team, const struct attention *a, struct attention_arrays d,
                        const float *d_o, struct attention_arrays in, const float *o,
                        const float *lse, struct attention_rows rows, float *scratch, long stride)
{
    struct pass p = {.a = a,
                     .in = in,
                     .d = d,
                     .rows = rows,
                     .d_o = d_o,
                     .kept_o = o,
                     .kept_lse = lse,
                     .scratch = scratch,
                     .stride = stride};

    team_run(team, backward_task, &p, rows.keys.n * a->G);
}

struct cached {
    const struct attention *a;
    float *o;
    const float *q;
    int ldq;
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
    const float *q = p->q + (size_t)row * p->ldq + (size_t)h * D;
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

void attention_cached(struct team *team, const struct attention *a, float *o, const float *q,
                      int ldq, int n, const float *const *keys, const float *const *values,
                      const int *len, float *scratch, long stride)
{
    struct cached p = {a, o, q, ldq, keys, values, len, scratch, stride};

    team_run(team, cached_task, &p, n * a->H);
}
