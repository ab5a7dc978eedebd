/* worker/ops/attention.c - see attention.h.
 *
 * A block is some queries of a segment and some heads that share their keys: its rows are the
 * queries of its first head, then those of the next, copied to be neighbours, so that each product
 * is one for all heads. Queries of a block need not be neighbours in the example: a block's keys
 * end at the last one that its last query sees, and begin, with a window, at the first one that its
 * first query sees. With P the probabilities of a block, dP = do V^T and D_t = do_t . o_t:
 * dS = P * (dP - D) * slope of the cap,  dq = scale dS K, dk += scale dS^T q,  dv += P^T do.
 *
 * A task of the backward pass is one segment and one key-value head with its H / G query heads, so
 * that dk and dv are summed in one place and in one order; tasks of the forward pass share its
 * blocks.
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

/* At most in a block: few queries waste little on keys that they do not see, many rows cost little
 * for making panels of the keys. */
enum { ROWS = 96, HEADS = 4, QUERIES = 64 };

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

/* Query heads [first, first + n), which share the key head g. */
struct heads {
    int g, first, n;
};

/* Queries [at, at + n) of a segment and the keys at positions [from, from + keys) that they see.
 * rows: queries of all heads. */
struct block {
    struct heads heads;
    int at, n, rows, from, keys;
};

/* A thread's: what is kept of a block. */
struct room {
    float *scores, *dp;   /* (rows, keys) */
    float *q, *d_o, *out; /* (rows, D); out: o, or dq */
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

/* ---- the heads of a group, in sets of about equal size ---- */

static int sets_of_heads(const struct attention *a)
{
    return (a->H / a->G + HEADS - 1) / HEADS;
}

static int heads_at_once(const struct attention *a)
{
    return (a->H / a->G + sets_of_heads(a) - 1) / sets_of_heads(a);
}

/* Set i of group g. */
static struct heads heads_of(const struct attention *a, int g, int i)
{
    int group = a->H / a->G, n = heads_at_once(a), first = i * n;

    return (struct heads){g, g * group + first, group - first < n ? group - first : n};
}

static int queries_at_once(const struct heads *h)
{
    return ROWS / h->n < QUERIES ? ROWS / h->n : QUERIES;
}

/* ---- scratch ---- */

/* Of the largest block. */
static long rows_at_once(const struct attention *a)
{
    struct heads first = heads_of(a, 0, 0), last = heads_of(a, 0, sets_of_heads(a) - 1);
    long rows = (long)first.n * queries_at_once(&first),
         others = (long)last.n * queries_at_once(&last);

    return rows > others ? rows : others;
}

long attention_scratch(const struct attention *a, int longest)
{
    return rows_at_once(a) * (2 * ((longest + 15L) / 16 * 16) + 3L * a->D);
}

static struct room room_of(const struct pass *p, int thread)
{
    long copies = rows_at_once(p->a) * p->a->D, scores = (p->stride - 3 * copies) / 2;
    float *at = p->scratch + thread * p->stride, *behind = at + 2 * scores;

    assert(scores > 0);
    return (struct room){at, at + scores, behind, behind + copies, behind + 2 * copies};
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

static struct block block_at(const struct attention *a, const struct segment *s, struct heads h,
                             int at)
{
    int most = queries_at_once(&h), n = s->n - at < most ? s->n - at : most;
    int from = first_key(a, s->positions[at]);

    return (struct block){h, at, n, n * h.n, from, s->positions[at + n - 1] + 1 - from};
}

/* Copies the block's rows to out. x: head 0 of the segment's first query. */
static void gather(const struct block *b, int D, const float *x, int ld, float *out)
{
    for (int h = b->heads.first; h < b->heads.first + b->heads.n; h++)
        for (int t = b->at; t < b->at + b->n; t++, out += D)
            memcpy(out, x + (size_t)t * (size_t)ld + (size_t)h * (size_t)D,
                   (size_t)D * sizeof(float));
}

static void scatter(const struct block *b, int D, const float *rows, float *x, int ld)
{
    for (int h = b->heads.first; h < b->heads.first + b->heads.n; h++)
        for (int t = b->at; t < b->at + b->n; t++, rows += D)
            memcpy(x + (size_t)t * (size_t)ld + (size_t)h * (size_t)D, rows,
                   (size_t)D * sizeof(float));
}

/* A key head's keys, or its values, which lie `behind` them. */
static struct matrix keys_of(const struct pass *p, int g, size_t behind)
{
    return (struct matrix){p->in.kv + behind + (size_t)g * (size_t)p->a->D, p->in.ldkv};
}

/* From a head's key to its value. */
static size_t behind_keys(const struct attention *a)
{
    return (size_t)a->G * (size_t)a->D;
}

/* scores (b->rows, b->keys) = x (b->rows, D) y^T, with y of each key in its row of `of`. */
static void product_to_keys(const struct pass *p, const struct segment *s, const struct block *b,
                            const float *x, struct matrix of, float *scores)
{
    struct runs runs = runs_of(p, s, b);
    struct run r;

    while (next_run(&runs, &r))
        gemm_one(GEMM_NT, b->rows, r.n, p->a->D, 1, (struct matrix){x, p->a->D},
                 (struct matrix){of.at + (size_t)r.row * (size_t)of.ld, of.ld}, 0,
                 scores + (r.at - b->from), b->keys);
}

/* out (b->rows, D) = scores (b->rows, b->keys) y. */
static void product_over_keys(const struct pass *p, const struct segment *s, const struct block *b,
                              const float *scores, struct matrix of, float *out)
{
    struct runs runs = runs_of(p, s, b);
    float beta = 0;
    struct run r;

    for (; next_run(&runs, &r); beta = 1)
        gemm_one(GEMM_NN, b->rows, p->a->D, r.n, 1,
                 (struct matrix){scores + (r.at - b->from), b->keys},
                 (struct matrix){of.at + (size_t)r.row * (size_t)of.ld, of.ld}, beta, out, p->a->D);
}

/* What row i of a block is. */
struct place {
    size_t row;     /* of o and lse: query * H + head */
    int begin, end; /* of the block's keys: those that it sees */
};

static struct place place_of(const struct attention *a, const struct segment *s,
                             const struct block *b, int i)
{
    int query = b->at + i % b->n, position = s->positions[query];

    return (struct place){(size_t)(s->first + query) * (size_t)a->H +
                              (size_t)(b->heads.first + i / b->n),
                          first_key(a, position) - b->from, position + 1 - b->from};
}

static void forward_block(const struct pass *p, const struct segment *s, const struct block *b,
                          const struct room *room)
{
    const struct attention *a = p->a;
    int D = a->D, ldo = a->H * D;

    gather(b, D, p->in.q + (size_t)s->first * (size_t)p->in.ldq, p->in.ldq, room->q);
    product_to_keys(p, s, b, room->q, keys_of(p, b->heads.g, 0), room->scores);
    for (int i = 0; i < b->rows; i++) {
        struct place at = place_of(a, s, b, i);
        float lse =
            softmax_row(a, room->scores + (size_t)i * (size_t)b->keys, at.begin, at.end, b->keys);
        if (p->lse)
            p->lse[at.row] = lse;
    }
    product_over_keys(p, s, b, room->scores, keys_of(p, b->heads.g, behind_keys(a)), room->out);
    scatter(b, D, room->out, p->o + (size_t)s->first * (size_t)ldo, ldo);
}

/* A task is a segment and a head: those of the n heads of a set do each n-th of its blocks. */
static void forward_task(void *arg, int i, int thread)
{
    const struct pass *p = arg;
    const struct attention *a = p->a;
    struct segment s = segment_of(p, i / a->H);
    struct room room = room_of(p, thread);
    int head = i % a->H, group = a->H / a->G, in_group = head % group;
    struct heads heads = heads_of(a, head / group, in_group / heads_at_once(a));
    int most = queries_at_once(&heads);

    for (int at = (head - heads.first) * most; at < s.n; at += heads.n * most) {
        struct block b = block_at(a, &s, heads, at);
        forward_block(p, &s, &b, &room);
    }
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

/* dk += ds^T x over the keys of a block, ds (b->rows, b->keys), x (b->rows, D); or dv, `behind` dk.
 */
static void add_to_keys(const struct attention *a, const struct segment *s, const struct block *b,
                        const struct sums *sums, size_t behind, const float *ds, const float *x)
{
    int own = b->from > s->depth ? b->from : s->depth, inherited = own - b->from;
    struct matrix rows = {x, a->D};

    gemm_one(GEMM_TN, b->keys - inherited, a->D, b->rows, 1,
             (struct matrix){ds + inherited, b->keys}, rows, 1,
             sums->own + behind + (size_t)(own - s->depth) * sums->ld, sums->ld);
    if (inherited > 0)
        gemm_one(GEMM_TN, inherited, a->D, b->rows, 1, (struct matrix){ds, b->keys}, rows, 1,
                 sums->inherited + behind + (size_t)b->from * sums->ld_inherited,
                 sums->ld_inherited);
}

/* P of a block in its scores, dS in its dp, which come as scores and dP. */
static void backward_rows(const struct pass *p, const struct segment *s, const struct block *b,
                          const struct room *room)
{
    const struct attention *a = p->a;
    size_t D = (size_t)a->D, keys = (size_t)b->keys;

    for (int i = 0; i < b->rows; i++) {
        struct place at = place_of(a, s, b, i);
        float pull = dot(room->d_o + (size_t)i * D, p->kept_o + at.row * D, a->D);
        backward_row(a, room->scores + (size_t)i * keys, room->dp + (size_t)i * keys, at.begin,
                     at.end, b->keys, p->kept_lse[at.row], pull);
    }
}

/* Adds to dk and dv. */
static void backward_block(const struct pass *p, const struct segment *s, const struct block *b,
                           const struct sums *sums, const struct room *room)
{
    const struct attention *a = p->a;
    int D = a->D, ldo = a->H * D;
    struct matrix k = keys_of(p, b->heads.g, 0), v = keys_of(p, b->heads.g, behind_keys(a));

    gather(b, D, p->in.q + (size_t)s->first * (size_t)p->in.ldq, p->in.ldq, room->q);
    gather(b, D, p->d_o + (size_t)s->first * (size_t)ldo, ldo, room->d_o);
    product_to_keys(p, s, b, room->q, k, room->scores);
    product_to_keys(p, s, b, room->d_o, v, room->dp);
    backward_rows(p, s, b, room);
    product_over_keys(p, s, b, room->dp, k, room->out);
    scatter(b, D, room->out, p->d.q + (size_t)s->first * (size_t)p->d.ldq, p->d.ldq);
    add_to_keys(a, s, b, sums, 0, room->dp, room->q);
    add_to_keys(a, s, b, sums, behind_keys(a), room->scores, room->d_o);
}

static void backward_task(void *arg, int i, int thread)
{
    const struct pass *p = arg;
    const struct attention *a = p->a;
    int g = i % a->G;
    struct segment s = segment_of(p, i / a->G);
    struct sums sums = sums_of(p, &s, g);
    struct room room = room_of(p, thread);

    clear_rows(a, sums.own, sums.ld, s.keys);
    if (s.depth)
        clear_rows(a, sums.inherited, sums.ld_inherited, s.depth);
    for (int set = 0; set < sets_of_heads(a); set++) {
        struct heads heads = heads_of(a, g, set);
        for (int at = 0; at < s.n; at += queries_at_once(&heads)) {
            struct block b = block_at(a, &s, heads, at);
            backward_block(p, &s, &b, &sums, &room);
        }
    }
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
