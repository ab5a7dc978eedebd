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

/* dst (n, C): those rows of src. */
static void copy_rows(const struct layer_run *run, float *dst, const float *src,
                      const struct batch_rows *rows)
{
    size_t C = (size_t)run->shape->C, size = C * sizeof(float);

    if (!rows->at)
        memcpy(dst, src, (size_t)rows->n * size);
    for (int i = 0; rows->at && i < rows->n; i++)
        memcpy(dst + (size_t)i * C, src + (size_t)rows->at[i] * C, size);
}

/* dst at those rows += src (n, C). */
static void add_rows(const struct layer_run *run, float *dst, const float *src,
                     const struct batch_rows *rows)
{
    size_t C = (size_t)run->shape->C;

    for (int i = 0; i < rows->n; i++) {
        float *row = dst + (size_t)rows->at[i] * C;
        for (size_t c = 0; c < C; c++)
            row[c] += src[(size_t)i * C + c];
    }
}

/* d (n, C) of some rows becomes (T, C), 0 in the others. No row moves up, so the last is first. */
static void spread_rows(const struct layer_run *run, float *d, struct layer_rows rows)
{
    size_t C = (size_t)run->shape->C, size = C * sizeof(float);
    int i = rows.some->n - 1;

    for (int t = rows.all->n - 1; rows.some->at && t >= 0; t--) {
        if (i < 0 || rows.some->at[i] != t)
            memset(d + (size_t)t * C, 0, size);
        else if (i-- != t)
            memcpy(d + (size_t)t * C, d + (size_t)(i + 1) * C, size);
    }
}

/* ---- maps ---- */

static struct adapted_scratch adapter_scratch(const struct layer_run *run)
{
    return (struct adapted_scratch){run->scratch->u, run->scratch->some_u, run->scratch->dropped};
}

/* The dropout at the rows of a map's input, or NULL. */
static const struct dropout *dropout_at(const struct layer_run *run, const struct batch_rows *rows,
                                        struct dropout *memory)
{
    if (!run->drop)
        return NULL;
    *memory = *run->drop;
    memory->rows = rows->rows;
    memory->positions = rows->positions;
    return memory;
}

/* The whole output of a map at all rows of its input. */
static struct adapted_part whole_part(const struct layer_run *run, enum group_kind group,
                                      const float *y, int n)
{
    int columns = group_rows(run->shape, group);

    return (struct adapted_part){0, columns, n, NULL, (float *)y, columns};
}

/* q, k and v, or their gradients, as parts: one, or k and v at all rows and q at some. */
static int qkv_parts(const struct layer_run *run, struct attention_arrays qkv,
                     struct layer_rows rows, struct adapted_part ret[2])
{
    int Q = run->shape->Q, N = run->shape->N;

    if (!rows.some->at) {
        ret[0] = whole_part(run, GROUP_QKV, qkv.q, rows.all->n);
        return 1;
    }
    ret[0] = (struct adapted_part){Q, N, rows.all->n, NULL, qkv.kv, qkv.ldkv};
    ret[1] = (struct adapted_part){0, Q, rows.some->n, rows.some->at, qkv.q, qkv.ldq};
    return 2;
}

/* What follows on the product of a branch's map, of all rows. */
struct behind {
    void (*finish)(const void *arg, int first, int last, int column, int columns);
    const void *arg;
    bool halves;
};

static const struct behind nothing_behind;

/* y of each part = beta y + x W^T + bias, and the adapters of the group. x has the rows `in`. */
static void map_forward(const struct layer_run *run, const struct layer *l, enum group_kind group,
                        const struct adapted_part *parts, int n_parts, const float *x, float *u,
                        float beta, const struct batch_rows *in, struct behind behind)
{
    int m = group_columns(run->shape, group);
    struct dropout memory;

    work_clock_turn(run->clock, WORK_ADAPTERS);
    group_down(run->team, &l->group[group], u, x, in->n, dropout_at(run, in, &memory),
               adapter_scratch(run));
    work_clock_turn(run->clock, WORK_ROWS);
    for (int i = 0; i < n_parts; i++) {
        const struct adapted_part *p = &parts[i];
        struct gemm_then then = {.rounded = run->scratch->rounded,
                                 .finish = behind.finish,
                                 .arg = behind.arg,
                                 .halves = behind.halves,
                                 .bias = l->bias[group] ? l->bias[group] + p->first : NULL};
        const float *rows = x;
        if (p->at) {
            copy_rows(run, run->scratch->dbranch, x, &(struct batch_rows){.n = p->n, .at = p->at});
            rows = run->scratch->dbranch;
        }
        then.n = group_up(&l->group[group], p, adapter_scratch(run), then.terms);
        work_clock_turn(run->clock, WORK_PRODUCTS);
        gemm_weight_then(run->team, GEMM_NT, p->n, &l->w[group], p->first, p->last,
                         (struct matrix){rows, m}, beta, p->y, p->ldy, &then);
        work_clock_turn(run->clock, WORK_ROWS);
    }
}

/* dx (T, m) = what the parts' dy is to the input: the first part's product, with the adapters of
 * all, then that of the rows of the second. */
static void map_input_backward(const struct layer_run *run, const struct layer *l,
                               enum group_kind group, float *dx, const struct adapted_part *parts,
                               int n_parts, struct behind behind)
{
    int m = group_columns(run->shape, group);
    struct gemm_then then = {
        .rounded = run->scratch->rounded, .finish = behind.finish, .arg = behind.arg};
    const struct gemm_then only_rounded = {.rounded = run->scratch->rounded};

    if (!run->drop)
        then.n = group_down_backward(&l->group[group], adapter_scratch(run), then.terms);
    for (int i = 0; i < n_parts; i++) {
        const struct adapted_part *p = &parts[i];
        work_clock_turn(run->clock, WORK_PRODUCTS);
        gemm_weight_then(run->team, GEMM_NN, p->n, &l->w[group], p->first, p->last,
                         (struct matrix){p->y, p->ldy}, 0, p->at ? run->scratch->dbranch : dx, m,
                         p->at ? &only_rounded : &then);
        work_clock_turn(run->clock, WORK_ROWS);
        if (p->at)
            add_rows(run, dx, run->scratch->dbranch, &(struct batch_rows){.n = p->n, .at = p->at});
    }
}

/* dx (T, m) = dy W, unless dx is NULL, and the adapters' gradients. With dropout dx is complete
 * only afterwards: nothing may follow on its product then. */
static void map_backward(const struct layer_run *run, const struct layer *l, enum group_kind group,
                         const struct adapted_slice *grads, float *dx,
                         const struct adapted_part *parts, int n_parts, const float *x,
                         const float *u, const struct batch_rows *in, struct behind behind)
{
    struct dropout memory;

    work_clock_turn(run->clock, WORK_ADAPTERS);
    group_up_backward(run->team, &l->group[group], grads, parts, n_parts, u, in->n,
                      adapter_scratch(run));
    if (dx)
        map_input_backward(run, l, group, dx, parts, n_parts, behind);
    work_clock_turn(run->clock, WORK_ADAPTERS);
    group_input_backward(run->team, &l->group[group], grads, dx, x, in->n,
                         dropout_at(run, in, &memory), adapter_scratch(run));
    work_clock_turn(run->clock, WORK_ROWS);
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

/* What a branch adds, before its scale: norm(map(in)), in the scratch. */
static const float *branch_output(const struct layer_run *run, const struct layer *l,
                                  const struct branch *b, const float *in, float *u,
                                  const struct batch_rows *rows)
{
    float *raw = b->norm->w ? b->raw : run->scratch->dbranch, *h = run->scratch->dbranch;
    struct adapted_part part = whole_part(run, b->group, raw, rows->n);

    map_forward(run, l, b->group, &part, 1, in, u, 0, rows, nothing_behind);
    if (b->norm->w)
        rmsnorm_forward(run->team, b->norm, h, b->rstd, raw, rows->n);
    return h;
}

/* y = y + residual * norm(map(in)) */
static void branch_forward(const struct layer_run *run, const struct layer *l,
                           const struct branch *b, float *y, const float *in, float *u,
                           const struct batch_rows *rows)
{
    struct adapted_part part = whole_part(run, b->group, y, rows->n);

    if (is_plain(run, b))
        map_forward(run, l, b->group, &part, 1, in, u, 1, rows, nothing_behind);
    else
        add_scaled(run, y, branch_output(run, l, b, in, u, rows), run->shape->residual, rows->n);
}

/* What the branch's way back needs of its way forward: nothing that needs the map where no norm
 * stands behind. */
static void branch_again(const struct layer_run *run, const struct layer *l, const struct branch *b,
                         const float *in, float *u, const struct batch_rows *rows)
{
    struct dropout memory;

    if (b->norm->w)
        branch_output(run, l, b, in, u, rows);
    else
        group_down(run->team, &l->group[b->group], u, in, rows->n, dropout_at(run, rows, &memory),
                   adapter_scratch(run));
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

static struct token_positions token_positions(const struct batch_rows *rows)
{
    return (struct token_positions){rows->positions, rows->lengths};
}

void layer_project(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                   struct layer_rows rows)
{
    const struct layer_shape *s = run->shape;
    const struct batch_rows *all = rows.all, *some = rows.some;
    const float *h = before(run, &l->pre1, a->x, a->rstd1, all->n);
    struct adapted_part parts[2];
    int n = qkv_parts(run, a->qkv, rows, parts);

    map_forward(run, l, GROUP_QKV, parts, n, h, a->u[GROUP_QKV], 0, all, nothing_behind);
    if (l->q_norm.w)
        qk_norm_forward(run->team, &l->q_norm, a->qkv.q, a->qkv.ldq, a->raw_q, a->q_rstd, some->n);
    if (l->k_norm.w)
        qk_norm_forward(run->team, &l->k_norm, a->qkv.kv, a->qkv.ldkv, a->raw_k, a->k_rstd, all->n);
    if (!l->rotated)
        return;
    rope_forward(run->team, &s->rope, l->local_rope, a->qkv.q, a->qkv.ldq, s->H,
                 token_positions(some), some->n);
    rope_forward(run->team, &s->rope, l->local_rope, a->qkv.kv, a->qkv.ldkv, s->G,
                 token_positions(all), all->n);
}

static struct attention_rows attention_rows(struct layer_rows rows)
{
    return (struct attention_rows){rows.all->segments, rows.some->segments, rows.some->positions};
}

void layer_attend(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                  struct layer_rows rows)
{
    work_clock_turn(run->clock, WORK_ATTENTION);
    attention_forward(run->team, &l->attention, a->att, a->lse, a->qkv, attention_rows(rows),
                      run->scratch->attention, run->scratch->attention_stride);
    work_clock_turn(run->clock, WORK_ROWS);
}

/* The residual stream behind attention, and act(g) u in the scratch. */
static void add_attention(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                          struct layer_rows rows)
{
    const struct layer_shape *s = run->shape;
    const struct batch_rows *some = rows.some;
    struct branch attention = attention_branch(l, a);
    struct adapted_part gu = whole_part(run, GROUP_GU, a->gu, some->n);
    struct gated gated = {
        .act = s->config->activation, .F = s->F, .gu = a->gu, .y = run->scratch->act};
    const float *h;

    copy_rows(run, a->m, a->x, some);
    branch_forward(run, l, &attention, a->m, a->att, a->u[GROUP_O], some);
    h = before(run, &l->pre2, a->m, a->rstd2, some->n);
    map_forward(run, l, GROUP_GU, &gu, 1, h, a->u[GROUP_GU], 0, some,
                (struct behind){gated_forward, &gated, true});
}

void layer_finish(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                  float *y, struct layer_rows rows)
{
    const struct batch_rows *some = rows.some;
    struct branch mlp = mlp_branch(l, a);

    add_attention(run, l, a, rows);
    memcpy(y, a->m, (size_t)some->n * (size_t)run->shape->C * sizeof(float));
    branch_forward(run, l, &mlp, y, run->scratch->act, a->u[GROUP_DOWN], some);
}

void layer_again(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                 struct layer_rows rows)
{
    struct branch mlp = mlp_branch(l, a);

    layer_project(run, l, a, rows);
    layer_attend(run, l, a, rows);
    add_attention(run, l, a, rows);
    branch_again(run, l, &mlp, run->scratch->act, a->u[GROUP_DOWN], rows.some);
}

/* ---- backward ---- */

/* A branch's input is made again for the gradients of its adapters alone. */
static bool is_adapted(const struct layer *l, enum group_kind group)
{
    return l->group[group].n > 0;
}

/* d: gradient to y in, gradient to m out. `below`: something further down is adapted. The gate's
 * way back follows on the product that makes the gradient to its output, and makes that output
 * again for the adapters behind it; where it cannot follow, each is a pass of its own. */
static void mlp_backward(const struct layer_run *run, const struct layer *l,
                         const struct layer_acts *a, const struct batch_rows *rows,
                         struct adapted_slice grads[][GROUP_MAX], bool below_gu, bool below_down,
                         float *d)
{
    const struct layer_shape *s = run->shape;
    struct layer_scratch *w = run->scratch;
    struct branch mlp = mlp_branch(l, a);
    int n = rows->n;
    const float *dbranch = branch_backward(run, &mlp, d, n), *h = NULL;
    struct adapted_part down = whole_part(run, GROUP_DOWN, dbranch, n);
    struct adapted_part gu = whole_part(run, GROUP_GU, w->wide, n);
    bool again = is_adapted(l, GROUP_DOWN), follows = below_down && !run->drop;
    struct gated gated = {s->config->activation, s->F,    a->gu,
                          again ? w->act : NULL, w->dact, w->wide};

    if (again && !follows)
        gated_run(run->team, gated_forward, &gated, n);
    map_backward(run, l, GROUP_DOWN, grads[GROUP_DOWN], below_down ? w->dact : NULL, &down, 1,
                 w->act, a->u[GROUP_DOWN], rows,
                 follows ? (struct behind){gated_backward, &gated, false} : nothing_behind);
    if (!below_down)
        return;
    gated.y = NULL;
    if (!follows)
        gated_run(run->team, gated_backward, &gated, n);
    if (is_adapted(l, GROUP_GU))
        h = before_again(run, &l->pre2, a->m, a->rstd2, n);
    map_backward(run, l, GROUP_GU, grads[GROUP_GU], below_gu ? w->dh : NULL, &gu, 1, h,
                 a->u[GROUP_GU], rows, nothing_behind);
    if (below_gu)
        before_backward(run, &l->pre2, d, w->dh, a->m, a->rstd2, n);
}

/* The gradient to attention's output in w->dact becomes that to the projections in d. */
static void attention_core_backward(const struct layer_run *run, const struct layer *l,
                                    const struct layer_acts *a, struct layer_rows rows,
                                    struct attention_arrays d)
{
    const struct layer_shape *s = run->shape;
    struct layer_scratch *w = run->scratch;
    const struct batch_rows *all = rows.all, *some = rows.some;

    work_clock_turn(run->clock, WORK_ATTENTION);
    attention_backward(run->team, &l->attention, d, w->dact, a->qkv, a->att, a->lse,
                       attention_rows(rows), w->attention, w->attention_stride, w->inherited);
    work_clock_turn(run->clock, WORK_ROWS);
    if (l->rotated) {
        rope_backward(run->team, &s->rope, l->local_rope, d.q, d.ldq, s->H, token_positions(some),
                      some->n);
        rope_backward(run->team, &s->rope, l->local_rope, d.kv, d.ldkv, s->G, token_positions(all),
                      all->n);
    }
    if (l->q_norm.w)
        qk_norm_backward(run->team, &l->q_norm, d.q, d.ldq, a->raw_q, a->q_rstd, some->n);
    if (l->k_norm.w)
        qk_norm_backward(run->team, &l->k_norm, d.kv, d.ldkv, a->raw_k, a->k_rstd, all->n);
}

/* Where the gradients to q, k and v go, laid out as the forward pass has them. */
static struct attention_arrays dqkv_place(const struct layer_run *run, const struct layer_acts *a,
                                          struct layer_rows rows)
{
    const struct layer_shape *s = run->shape;
    float *wide = run->scratch->wide;
    size_t q = rows.some->at ? (size_t)rows.some->n * (size_t)s->Q : (size_t)s->Q;

    return (struct attention_arrays){wide, wide + q, a->qkv.ldq, a->qkv.ldkv};
}

/* d: gradient to m in, gradient to x out. */
static void attention_half_backward(const struct layer_run *run, const struct layer *l,
                                    const struct layer_acts *a, struct layer_rows rows,
                                    struct adapted_slice grads[][GROUP_MAX], bool below_qkv,
                                    bool below_o, float *d)
{
    struct layer_scratch *w = run->scratch;
    struct branch attention = attention_branch(l, a);
    struct attention_arrays dqkv = dqkv_place(run, a, rows);
    const float *dbranch = branch_backward(run, &attention, d, rows.some->n), *h = NULL;
    struct adapted_part o = whole_part(run, GROUP_O, dbranch, rows.some->n), parts[2];
    int n = qkv_parts(run, dqkv, rows, parts);

    map_backward(run, l, GROUP_O, grads[GROUP_O], below_o ? w->dact : NULL, &o, 1, a->att,
                 a->u[GROUP_O], rows.some, nothing_behind);
    if (!below_o)
        return;
    attention_core_backward(run, l, a, rows, dqkv);
    if (is_adapted(l, GROUP_QKV))
        h = before_again(run, &l->pre1, a->x, a->rstd1, rows.all->n);
    map_backward(run, l, GROUP_QKV, grads[GROUP_QKV], below_qkv ? w->dh : NULL, parts, n, h,
                 a->u[GROUP_QKV], rows.all, nothing_behind);
    if (!below_qkv)
        return;
    spread_rows(run, d, rows);
    before_backward(run, &l->pre1, d, w->dh, a->x, a->rstd1, rows.all->n);
}

void layer_backward(const struct layer_run *run, const struct layer *l, const struct layer_acts *a,
                    struct layer_rows rows, struct adapted_slice grads[GROUPS][GROUP_MAX],
                    bool want_dx, float *d)
{
    bool below[GROUPS + 1] = {want_dx}; /* something before this group needs a gradient */
    int group;

    for (group = 0; group < GROUPS; group++)
        below[group + 1] = below[group] || is_adapted(l, group);
    mlp_backward(run, l, a, rows.some, grads, below[GROUP_GU], below[GROUP_DOWN], d);
    if (below[GROUP_GU])
        attention_half_backward(run, l, a, rows, grads, below[GROUP_QKV], below[GROUP_O], d);
}
