/* worker/layer.c - see layer.h: the passes. layer_load.c reads a layer, layer_memory.c places what
 * a pass keeps.
 *
 * A branch is added to the residual stream by the product itself (beta 1) where nothing stands
 * between; a norm behind it or a scale takes a step of its own.
 */
#include "worker/layer.h"
#include "worker/ops/gated.h"
#include "worker/ops/gemm.h"
#include "worker/ops/rows.h"
#include <string.h>

/* ---- rows of C numbers ---- */

struct rows {
    float *y;
    const float *x;
    float scale;
    int C;
};

static void add_block(void *arg, int first, int last)
{
    const struct rows *r = arg;
    size_t from = (size_t)first * (size_t)r->C, to = (size_t)last * (size_t)r->C, i;

    for (i = from; i < to; i++)
        r->y[i] += r->scale * r->x[i];
}

/* y += scale x, (T, C) both. */
static void add_scaled(const struct layer_run *run, float *y, const float *x, float scale, int T)
{
    struct rows r = {y, x, scale, run->shape->C};

    rows_run(run->team, add_block, &r, T);
}

static void bias_block(void *arg, int first, int last)
{
    const struct rows *r = arg;

    for (int t = first; t < last; t++)
        for (int c = 0; c < r->C; c++)
            r->y[(size_t)t * (size_t)r->C + (size_t)c] += r->x[c];
}

/* ---- maps ---- */

static struct adapted_scratch adapter_scratch(const struct layer_run *run)
{
    return (struct adapted_scratch){run->scratch->u, run->scratch->dropped};
}

/* y (T, n) = beta y + x W^T + bias, and the adapters of the group. */
static void map_forward(const struct layer_run *run, const struct layer *l, enum group_kind group,
                        float *y, const float *x, float *u, float beta, int T)
{
    int m = group_columns(run->shape, group), n = group_rows(run->shape, group);

    gemm(run->team, GEMM_NT, T, n, m, 1, (struct matrix){x, m}, (struct matrix){l->w[group], m},
         beta, y, n);
    if (l->bias[group]) {
        struct rows r = {y, l->bias[group], 1, n};
        rows_run(run->team, bias_block, &r, T);
    }
    group_forward(run->team, &l->group[group], y, n, u, x, T, run->drop, adapter_scratch(run));
}

/* dx (T, m) = dy W, unless dx is NULL, and the adapters' gradients. */
static void map_backward(const struct layer_run *run, const struct layer *l, enum group_kind group,
                         const struct adapted_slice *grads, float *dx, const float *dy,
                         const float *x, const float *u, int T)
{
    int m = group_columns(run->shape, group), n = group_rows(run->shape, group);

    if (dx)
        gemm(run->team, GEMM_NN, T, m, n, 1, (struct matrix){dy, n},
             (struct matrix){l->w[group], m}, 0, dx, m);
    group_backward(run->team, &l->group[group], grads, dx, dy, n, u, x, T, run->drop,
                   adapter_scratch(run));
}

/* ---- norms that may be missing ---- */

/* The input of a branch: normalised in the scratch, or x itself. */
static const float *before(const struct layer_run *run, const struct rmsnorm *norm, const float *x,
                           float *rstd, int T)
{
    if (!norm->w)
        return x;
    rmsnorm_forward(run->team, norm, run->scratch->h, rstd, x, T);
    return run->scratch->h;
}

static const float *before_again(const struct layer_run *run, const struct rmsnorm *norm,
                                 const float *x, const float *rstd, int T)
{
    if (!norm->w)
        return x;
    rmsnorm_again(run->team, norm, run->scratch->h, x, rstd, T);
    return run->scratch->h;
}

/* Adds to d what dh, the gradient to a branch's input, is to x. */
static void before_backward(const struct layer_run *run, const struct rmsnorm *norm, float *d,
                            const float *dh, const float *x, const float *rstd, int T)
{
    if (norm->w)
        rmsnorm_backward(run->team, norm, d, dh, x, rstd, T);
    else
        add_scaled(run, d, dh, 1, T);
}

/* ---- branches ---- */

struct branch {
    enum group_kind group;
    const struct rmsnorm *norm; /* behind it */
    float *raw, *rstd;          /* kept for the norm's way back */
};

static bool is_plain(const struct layer_run *run, const struct branch *b)
{
    return !b->norm->w && run->shape->residual == 1;
}

/* y = x + residual * norm(map(in)) */
static void branch_forward(const struct layer_run *run, const struct layer *l,
                           const struct branch *b, float *y, const float *x, const float *in,
                           float *u, int T)
{
    float *raw = b->norm->w ? b->raw : run->scratch->dbranch, *h = run->scratch->dbranch;

    memcpy(y, x, (size_t)T * (size_t)run->shape->C * sizeof(float));
    if (is_plain(run, b)) {
        map_forward(run, l, b->group, y, in, u, 1, T);
        return;
    }
    map_forward(run, l, b->group, raw, in, u, 0, T);
    if (b->norm->w)
        rmsnorm_forward(run->team, b->norm, h, b->rstd, raw, T);
    add_scaled(run, y, h, run->shape->residual, T);
}

/* The gradient to the map's output, given that to y. */
static const float *branch_backward(const struct layer_run *run, const struct branch *b,
                                    const float *d, int T)
{
    const struct layer_shape *s = run->shape;
    float *dbranch = run->scratch->dbranch, *dnorm = run->scratch->dh;
    size_t bytes = (size_t)T * (size_t)s->C * sizeof(float);

    if (is_plain(run, b))
        return d;
    memset(dbranch, 0, bytes);
    if (!b->norm->w) {
        add_scaled(run, dbranch, d, s->residual, T);
        return dbranch;
    }
    memset(dnorm, 0, bytes);
    add_scaled(run, dnorm, d, s->residual, T);
    rmsnorm_backward(run->team, b->norm, dbranch, dnorm, b->raw, b->rstd, T);
    return dbranch;
}

static struct branch attention_branch(const struct layer *l, const struct layer_acts *a)
{
    return (struct branch){GROUP_O, &l->post1, a->branch1, a->branch_rstd1};
}

static struct branch mlp_branch(const struct layer *l, const struct layer_acts *a)
{
    return (struct branch){GROUP_DOWN, &l->post2, a->branch2, a->branch_rstd2};
}

/* ---- forward ---- */

void layer_project(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                   struct token_positions at, int T)
{
    const struct layer_shape *s = run->shape;
    const float *h = before(run, &l->pre1, a->x, a->rstd1, T);

    map_forward(run, l, GROUP_QKV, a->qkv, h, a->u[GROUP_QKV], 0, T);
    if (l->qk.q)
        qk_norm_forward(run->team, &l->qk, a->qkv, s->N, a->raw, a->qk_rstd, T);
    if (l->rotated)
        rope_forward(run->team, &s->rope, l->local_rope, a->qkv, s->N, s->H + s->G, at, T);
}

void layer_attend(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                  struct segments segments)
{
    attention_forward(run->team, &l->attention, a->att, a->lse, a->qkv, segments,
                      run->scratch->attention, run->scratch->attention_stride);
}

void layer_finish(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                  float *y, int T)
{
    const struct layer_shape *s = run->shape;
    struct branch attention = attention_branch(l, a), mlp = mlp_branch(l, a);
    const float *h;

    branch_forward(run, l, &attention, a->m, a->x, a->att, a->u[GROUP_O], T);
    h = before(run, &l->pre2, a->m, a->rstd2, T);
    map_forward(run, l, GROUP_GU, a->gu, h, a->u[GROUP_GU], 0, T);
    gated_forward(run->team, s->config->activation, run->scratch->act, a->gu, T, s->F);
    branch_forward(run, l, &mlp, y, a->m, run->scratch->act, a->u[GROUP_DOWN], T);
}

/* ---- backward ---- */

/* d: gradient to y in, gradient to m out. `below`: something further down is adapted. */
static void mlp_backward(const struct layer_run *run, const struct layer *l,
                         const struct layer_acts *a, struct adapted_slice grads[][GROUP_MAX],
                         bool below_gu, bool below_down, float *d, int T)
{
    const struct layer_shape *s = run->shape;
    struct layer_scratch *w = run->scratch;
    struct branch mlp = mlp_branch(l, a);
    const float *dbranch = branch_backward(run, &mlp, d, T), *h;

    gated_forward(run->team, s->config->activation, w->act, a->gu, T, s->F);
    map_backward(run, l, GROUP_DOWN, grads[GROUP_DOWN], below_down ? w->dact : NULL, dbranch,
                 w->act, a->u[GROUP_DOWN], T);
    if (!below_down)
        return;
    gated_backward(run->team, s->config->activation, w->wide, w->dact, a->gu, T, s->F);
    h = before_again(run, &l->pre2, a->m, a->rstd2, T);
    map_backward(run, l, GROUP_GU, grads[GROUP_GU], below_gu ? w->dh : NULL, w->wide, h,
                 a->u[GROUP_GU], T);
    if (below_gu)
        before_backward(run, &l->pre2, d, w->dh, a->m, a->rstd2, T);
}

/* The gradient to attention's output in w->dact becomes that to the projections in w->wide. */
static void attention_core_backward(const struct layer_run *run, const struct layer *l,
                                    const struct layer_acts *a, const struct batch *batch)
{
    const struct layer_shape *s = run->shape;
    struct layer_scratch *w = run->scratch;
    struct token_positions at = {batch->positions, batch->lengths};

    attention_backward(run->team, &l->attention, w->wide, w->dact, a->qkv, a->att, a->lse,
                       batch->segments, w->attention, w->attention_stride);
    if (l->rotated)
        rope_backward(run->team, &s->rope, l->local_rope, w->wide, s->N, s->H + s->G, at, batch->T);
    if (l->qk.q)
        qk_norm_backward(run->team, &l->qk, w->wide, s->N, a->raw, a->qk_rstd, batch->T);
}

/* d: gradient to m in, gradient to x out. */
static void attention_half_backward(const struct layer_run *run, const struct layer *l,
                                    const struct layer_acts *a, const struct batch *batch,
                                    struct adapted_slice grads[][GROUP_MAX], bool below_qkv,
                                    bool below_o, float *d)
{
    struct layer_scratch *w = run->scratch;
    struct branch attention = attention_branch(l, a);
    int T = batch->T;
    const float *dbranch = branch_backward(run, &attention, d, T), *h;

    map_backward(run, l, GROUP_O, grads[GROUP_O], below_o ? w->dact : NULL, dbranch, a->att,
                 a->u[GROUP_O], T);
    if (!below_o)
        return;
    attention_core_backward(run, l, a, batch);
    h = before_again(run, &l->pre1, a->x, a->rstd1, T);
    map_backward(run, l, GROUP_QKV, grads[GROUP_QKV], below_qkv ? w->dh : NULL, w->wide, h,
                 a->u[GROUP_QKV], T);
    if (below_qkv)
        before_backward(run, &l->pre1, d, w->dh, a->x, a->rstd1, T);
}

void layer_backward(const struct layer_run *run, const struct layer *l, const struct layer_acts *a,
                    const struct batch *batch, struct adapted_slice grads[GROUPS][GROUP_MAX],
                    bool want_dx, float *d)
{
    bool below[GROUPS + 1] = {want_dx}; /* something before this group needs a gradient */
    int group;

    for (group = 0; group < GROUPS; group++)
        below[group + 1] = below[group] || l->group[group].n > 0;
    mlp_backward(run, l, a, grads, below[GROUP_GU], below[GROUP_DOWN], d, batch->T);
    if (below[GROUP_GU])
        attention_half_backward(run, l, a, batch, grads, below[GROUP_QKV], below[GROUP_O], d);
}
