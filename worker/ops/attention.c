/* worker/ops/attention.c - see attention.h.
 *
 * A task is one segment and one key-value head with its H / G query heads, so that dk and dv are
 * summed in one place and in one order. Queries of a block need not be neighbours: a block's keys
 * end at the last one that its last query sees. With P the probabilities of a block of queries, dP
 * = do V^T and D_t = do_t . o_t:   dS = P * (dP - D) * slope of the cap,  dq = scale dS K, dk +=
 * scale dS^T q,  dv += P^T do. With a window a block of queries begins at the first key that its
 * first query sees.
 *
 * Keys are numbered by their positions in the example. Those of a segment that continues others lie
 * in several runs of rows, and a product over keys is one product a run. The gradients to inherited
 * keys and values go to memory of the segment's own, and are then added where they belong, in the
 * order of the segments, so that sums do not depend on who computed what first.
 */
#include "worker/ops/attention.h"
#include "worker/ops/exp.h"
#include "worker/ops/gemm.h"
#include "worker/ops/soft_cap.h"
#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { BLOCK = 64 }; /* queries at a time */

struct pass {
    const struct attention *a;
    struct attention_arrays in, d;
    struct attention_rows rows;
    float *o, *lse;
    const float *d_o, *kept_o, *kept_lse;
    float *scratch;
    long stride;
    float *inherited; /* (sum of depths, 2 G D) */
};

/* A segment of a pass. */
struct segment {
    int index;
    int depth;           /* the position of its first key */
    int first_key, keys; /* rows of keys and values */
    int first, n;        /* rows of queries */
    const int32_t *positions;
};

/* Keys at positions [at, at + n), in rows that begin at `row`. */
struct run {
    int row, at, n;
};

/* Queries at..at + n of a segment and the keys at positions [from, from + keys) that they see. */
struct block {
    int at, n, from, keys;
};

static int length(const struct segments *s, int i)
{
    return s->starts[i + 1] - s->starts[i];
}

static int parent(const struct segments *s, int i)
{
    return s->parents ? s->parents[i] : -1;
}

int segment_depth(const struct segments *s, int i)
{
    int depth = 0;

    while ((i = parent(s, i)) >= 0)
        depth += length(s, i);
    return depth;
}

long segments_inherited(const struct segments *s)
{
    long sum = 0;

    for (int i = 0; s->parents && i < s->n; i++)
        sum += segment_depth(s, i);
    return sum;
}

size_t attention_inherited(const struct attention *a, long inherited)
{
    return (size_t)inherited * 2 * (size_t)(a->G * a->D);
}

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
    const struct exp_range range = exp_range();
    int i;

#pragma omp simd
    for (i = 0; i < n; i++)
        s[i] = soft_cap(s[i] * a->scale, a->cap, range);
}

/* Softmax of n scores, scaled. Returns the log-sum-exp. */
static float softmax(float *s, int n, float scale)
{
    const struct exp_range range = exp_range();
    float most = s[0], inv;
    double sum = 0;
    int i;

#pragma omp simd reduction(max : most)
    for (i = 0; i < n; i++)
        most = s[i] > most ? s[i] : most;
#pragma omp simd reduction(+ : sum)
    for (i = 0; i < n; i++) {
        s[i] = exp_f32((s[i] - most) * scale, range);
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

    return (struct segment){.index = i,
                            .depth = segment_depth(&p->rows.keys, i),
                            .first_key = keys[0],
                            .keys = keys[1] - keys[0],
                            .first = queries[0],
                            .n = queries[1] - queries[0],
                            .positions = p->rows.positions + queries[0]};
}

/* The runs of a block's keys, from the segment's own to the root's: next_run() until it is false.
 */
struct runs {
    const struct segments *keys;
    int segment, depth; /* the next one's */
    int from, end;      /* positions that are left */
};

static struct runs runs_of(const struct pass *p, const struct segment *s, const struct block *b)
{
    return (struct runs){&p->rows.keys, s->index, s->depth, b->from, b->from + b->keys};
}

static bool next_run(struct runs *r, struct run *ret)
{
    int at = r->depth > r->from ? r->depth : r->from;

    if (r->segment < 0 || r->end <= r->from)
        return false;
    *ret = (struct run){r->keys->starts[r->segment] + at - r->depth, at, r->end - at};
    r->end = at;
    r->segment = parent(r->keys, r->segment);
    if (r->segment >= 0)
        r->depth -= length(r->keys, r->segment);
    return true;
}

static struct block block_at(const struct attention *a, const struct segment *s, int at)
{
    int n = s->n - at < BLOCK ? s->n - at : BLOCK, from = first_key(a, s->positions[at]);

    return (struct block){at, n, from, s->positions[at + n - 1] + 1 - from};
}

/* scores (b->n, b->keys) = x (b->n, D) y^T, with y of each key in its row of `of`. */
static void product_to_keys(const struct pass *p, const struct segment *s, const struct block *b,
                            struct matrix x, struct matrix of, float *scores)
{
    struct runs runs = runs_of(p, s, b);
    struct run r;

    while (next_run(&runs, &r))
        gemm_one(GEMM_NT, b->n, r.n, p->a->D, 1, x,
                 (struct matrix){of.at + (size_t)r.row * (size_t)of.ld, of.ld}, 0,
                 scores + (r.at - b->from), b->keys);
}

/* out (b->n, D) = scores (b->n, b->keys) y. */
static void product_over_keys(const struct pass *p, const struct segment *s, const struct block *b,
                              const float *scores, struct matrix of, float *out, int ldout)
{
    struct runs runs = runs_of(p, s, b);
    float beta = 0;
    struct run r;

    for (; next_run(&runs, &r); beta = 1)
        gemm_one(GEMM_NN, b->n, p->a->D, r.n, 1,
                 (struct matrix){scores + (r.at - b->from), b->keys},
                 (struct matrix){of.at + (size_t)r.row * (size_t)of.ld, of.ld}, beta, out, ldout);
}

static void forward_head(const struct pass *p, const struct segment *s, int h, float *scores)
{
    const struct attention *a = p->a;
    int D = a->D, ldq = p->in.ldq, ldo = a->H * D, g = h / (a->H / a->G), at, t;
    const float *q = p->in.q + (size_t)s->first * ldq + (size_t)h * D;
    struct matrix k = {p->in.kv + (size_t)g * D, p->in.ldkv}, v = {k.at + (size_t)a->G * D, k.ld};
    float *o = p->o + (size_t)s->first * ldo + (size_t)h * D;

    for (at = 0; at < s->n; at += BLOCK) {
        struct block b = block_at(a, s, at);
        product_to_keys(p, s, &b, (struct matrix){q + (size_t)at * ldq, ldq}, k, scores);
        for (t = 0; t < b.n; t++) {
            int position = s->positions[at + t];
            float lse = softmax_row(a, scores + (size_t)t * b.keys, first_key(a, position) - b.from,
                                    position + 1 - b.from, b.keys);
            if (p->lse)
                p->lse[(size_t)(s->first + at + t) * a->H + h] = lse;
        }
        product_over_keys(p, s, &b, scores, v, o + (size_t)at * ldo, ldo);
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
    const struct exp_range range = exp_range();
    int i;

#pragma omp simd
    for (i = 0; i < n; i++) {
        s[i] = exp_f32(s[i] * scale - lse, range);
        dp[i] = s[i] * (dp[i] - pull) * scale;
    }
}

static void softmax_back_capped(const struct attention *a, float *s, float *dp, int n, float lse,
                                float pull)
{
    const struct exp_range range = exp_range();
    int i;

#pragma omp simd
    for (i = 0; i < n; i++) {
        float capped = soft_cap(s[i] * a->scale, a->cap, range);
        s[i] = exp_f32(capped - lse, range);
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

/* Where gradients to keys and values are summed: of the segment's own, and of what it inherits. */
struct sums {
    float *own, *inherited; /* dk of position `depth`, and of position 0; dv lies G D behind */
    int ld, ld_inherited;
};

static struct sums sums_of(const struct pass *p, const struct segment *s, int g)
{
    const struct attention *a = p->a;
    long before = 0;

    for (int i = 0; p->rows.keys.parents && i < s->index; i++)
        before += segment_depth(&p->rows.keys, i);
    return (struct sums){p->d.kv + (size_t)s->first_key * p->d.ldkv + (size_t)g * a->D,
                         s->depth ? p->inherited + attention_inherited(a, before) + (size_t)g * a->D
                                  : NULL,
                         p->d.ldkv, 2 * a->G * a->D};
}

static void clear_rows(const struct attention *a, float *dk, int ld, int n)
{
    size_t size = (size_t)a->D * sizeof(float);

    for (int t = 0; t < n; t++) {
        memset(dk + (size_t)t * ld, 0, size);
        memset(dk + (size_t)t * ld + (size_t)a->G * a->D, 0, size);
    }
}

/* dk += ds^T x over the keys of a block, ds (b->n, b->keys); or dv, `behind` dk. */
static void add_to_keys(const struct attention *a, const struct segment *s, const struct block *b,
                        const struct sums *sums, size_t behind, const float *ds, struct matrix x)
{
    int own = b->from > s->depth ? b->from : s->depth, inherited = own - b->from;

    gemm_one(GEMM_TN, b->keys - inherited, a->D, b->n, 1, (struct matrix){ds + inherited, b->keys},
             x, 1, sums->own + behind + (size_t)(own - s->depth) * sums->ld, sums->ld);
    if (inherited > 0)
        gemm_one(GEMM_TN, inherited, a->D, b->n, 1, (struct matrix){ds, b->keys}, x, 1,
                 sums->inherited + behind + (size_t)b->from * sums->ld_inherited,
                 sums->ld_inherited);
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
static void backward_head(const struct pass *p, const struct segment *seg, const struct sums *sums,
                          int h, float *s)
{
    const struct attention *a = p->a;
    int D = a->D, g = h / (a->H / a->G), at, ldq = p->in.ldq, ldo = a->H * D;
    struct matrix k = {p->in.kv + (size_t)g * D, p->in.ldkv}, v = {k.at + (size_t)a->G * D, k.ld};

    for (at = 0; at < seg->n; at += BLOCK) {
        struct block b = block_at(a, seg, at);
        size_t row = (size_t)seg->first + (size_t)at, query = (size_t)h * D;
        float *dp = s + (size_t)b.n * b.keys;
        struct matrix q = {p->in.q + row * ldq + query, ldq};
        struct matrix d_o = {p->d_o + row * ldo + query, ldo};
        product_to_keys(p, seg, &b, q, k, s);
        product_to_keys(p, seg, &b, d_o, v, dp);
        backward_rows(p, seg, &b, h, s, dp);
        product_over_keys(p, seg, &b, dp, k, p->d.q + row * p->d.ldq + query, p->d.ldq);
        add_to_keys(a, seg, &b, sums, 0, dp, q);
        add_to_keys(a, seg, &b, sums, (size_t)a->G * D, s, d_o);
    }
}

static void backward_task(void *arg, int i, int thread)
{
    const struct pass *p = arg;
    int group = p->a->H / p->a->G, g = i % p->a->G, h;
    struct segment s = segment_of(p, i / p->a->G);
    struct sums sums = sums_of(p, &s, g);

    clear_rows(p->a, sums.own, sums.ld, s.keys);
    if (s.depth)
        clear_rows(p->a, sums.inherited, sums.ld_inherited, s.depth);
    for (h = g * group; h < (g + 1) * group; h++)
        backward_head(p, &s, &sums, h, p->scratch + thread * p->stride);
}

/* Adds to a segment's gradients what those that continue it have for it: those are the segments
 * behind it that are deeper. */
static void inherit_task(void *arg, int i, int thread)
{
    const struct pass *p = arg;
    const struct segments *keys = &p->rows.keys;
    int depth = segment_depth(keys, i), n = length(keys, i);
    size_t wide = 2 * (size_t)(p->a->G * p->a->D);

    (void)thread;
    for (int j = i + 1; j < keys->n && segment_depth(keys, j) > depth; j++) {
        struct segment s = segment_of(p, j);
        const float *inherited = sums_of(p, &s, 0).inherited, *from;
        float *to = p->d.kv + (size_t)keys->starts[i] * p->d.ldkv;
        assert(inherited);
        from = inherited + (size_t)depth * wide;
        for (int t = 0; t < n; t++)
            for (size_t c = 0; c < wide; c++)
                to[(size_t)t * p->d.ldkv + c] += from[(size_t)t * wide + c];
    }
}

void attention_backward(struct team *team, const struct attention *a, struct attention_arrays d,
                        const float *d_o, struct attention_arrays in, const float *o,
                        const float *lse, struct attention_rows rows, float *scratch, long stride,
                        float *inherited)
{
    struct pass p = {.a = a,
                     .in = in,
                     .d = d,
                     .rows = rows,
                     .d_o = d_o,
                     .kept_o = o,
                     .kept_lse = lse,
                     .scratch = scratch,
                     .stride = stride,
                     .inherited = inherited};

    team_run(team, backward_task, &p, rows.keys.n * a->G);
    if (rows.keys.parents)
        team_run(team, inherit_task, &p, rows.keys.n);
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
