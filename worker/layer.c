/* worker/layer.c - see layer.h. */
#include "worker/layer.h"
#include "worker/ops/gemm.h"
#include "worker/ops/swiglu.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const enum group_kind groups_of[MODULE_KINDS] = {GROUP_QKV, GROUP_QKV, GROUP_QKV, GROUP_O,
                                                        GROUP_GU,  GROUP_GU,  GROUP_DOWN};

enum group_kind group_of(enum module_kind kind)
{
    return groups_of[kind];
}

int layer_shape_open(const struct job_lora *lora, int directions, const struct model_config *config,
                     struct layer_shape *ret, struct err *err)
{
    struct layer_shape s = {
        .C = config->hidden,
        .F = config->intermediate,
        .Q = config->n_heads * config->head_dim,
        .attention = {config->n_heads, config->n_kv_heads, config->head_dim},
        .rank = lora->rank,
        .directions = directions,
        .scale = (float)job_scale(lora),
        .rms_eps = config->rms_eps,
    };
    int kind, rc;

    s.N = s.Q + 2 * config->n_kv_heads * config->head_dim;
    memcpy(s.targets, lora->targets, sizeof(s.targets));
    for (kind = 0; kind < MODULE_KINDS; kind++)
        if (s.targets[kind])
            s.width[groups_of[kind]] += s.rank + s.directions;
    rc = rope_open(config, config->max_positions, &s.rope, err);
    if (rc == 0)
        *ret = s;
    return rc;
}

void layer_shape_close(struct layer_shape *s)
{
    rope_close(&s->rope);
}

static size_t matrix_elements(const struct layer_shape *s, enum group_kind group)
{
    const size_t elements[GROUPS] = {(size_t)s->N * (size_t)s->C, (size_t)s->C * (size_t)s->Q,
                                     (size_t)2 * (size_t)s->F * (size_t)s->C,
                                     (size_t)s->C * (size_t)s->F};

    return elements[group];
}

/* Columns of the group's input. */
static int group_columns(const struct layer_shape *s, enum group_kind group)
{
    return group == GROUP_O ? s->Q : group == GROUP_DOWN ? s->F : s->C;
}

/* First row of a kind within its group's matrix, which is also its first column in the output. */
static int row_of(const struct layer_shape *s, enum module_kind kind)
{
    switch (kind) {
    case MODULE_K:
        return s->Q;
    case MODULE_V:
        return s->Q + s->attention.G * s->attention.D;
    case MODULE_UP:
        return s->F;
    default:
        return 0;
    }
}

const float *layer_matrix(const struct layer_shape *s, const struct layer *l, enum module_kind kind)
{
    enum group_kind group = groups_of[kind];

    return l->w[group] + (size_t)row_of(s, kind) * (size_t)group_columns(s, group);
}

static int read_matrices(const struct layer_shape *s, const struct model *model, struct layer *l,
                         struct err *err)
{
    int kind, group, rc;

    for (group = 0; group < GROUPS; group++) {
        size_t bytes = (matrix_elements(s, group) * sizeof(float) + 63) / 64 * 64;
        l->w[group] = aligned_alloc(64, bytes);
        if (!l->w[group])
            return err_nomem(err, bytes);
    }
    for (kind = 0; kind < MODULE_KINDS; kind++) {
        rc = model_read_module(model, l->index, kind, (float *)layer_matrix(s, l, kind), err);
        if (rc < 0)
            return rc;
    }
    return model_read_norms(model, l->index, l->norm_w, l->norm_w + s->C, err);
}

static int open_groups(const struct layer_shape *s, const struct trainable *trainable,
                       struct layer *l, struct err *err)
{
    int i, group, rc;

    for (i = 0; i < trainable->n; i++) {
        const struct trainable_map *map = &trainable->maps[i];
        struct adapted_group *g = &l->group[groups_of[map->kind]];
        if (map->layer != l->index)
            continue;
        g->maps[g->n++] = (struct adapted_map){
            .rows = map->rows,
            .y_at = row_of(s, map->kind),
            .index = i,
            .module = (unsigned)(map->layer * MODULE_KINDS + (int)map->kind),
        };
    }
    for (group = 0; group < GROUPS; group++) {
        rc = group_open(&l->group[group], group_columns(s, group), s->rank, s->directions, s->scale,
                        err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int layer_load(const struct layer_shape *s, const struct model *model, int index,
               const struct trainable *trainable, struct layer *ret, struct err *err)
{
    struct layer l = {.index = index};
    int rc;

    l.norm_w = malloc(2 * (size_t)s->C * sizeof(float));
    rc = l.norm_w ? read_matrices(s, model, &l, err) : err_nomem(err, 2 * (size_t)s->C);
    if (rc == 0)
        rc = open_groups(s, trainable, &l, err);
    if (rc < 0) {
        layer_close(&l);
        return rc;
    }
    l.norm1 = (struct rmsnorm){l.norm_w, s->C, (float)s->rms_eps};
    l.norm2 = (struct rmsnorm){l.norm_w + s->C, s->C, (float)s->rms_eps};
    *ret = l;
    return 0;
}

void layer_close(struct layer *l)
{
    int group;

    for (group = 0; group < GROUPS; group++) {
        free(l->w[group]);
        group_close(&l->group[group]);
    }
    free(l->norm_w);
    *l = (struct layer){0};
}

/* Hands out consecutive runs of floats, each on a cache line of its own; with at NULL it only
 * counts. */
struct placer {
    float *at;
    size_t used;
};

static float *place(struct placer *p, size_t floats)
{
    float *here = p->at ? p->at + p->used : NULL;

    p->used += (floats + 15) / 16 * 16;
    return here;
}

static size_t place_acts(const struct layer_shape *s, size_t T, float *memory, struct layer_acts *a)
{
    struct placer p = {memory, 0};
    int group;

    a->x = place(&p, T * (size_t)s->C);
    a->rstd1 = place(&p, T);
    a->rstd2 = place(&p, T);
    a->qkv = place(&p, T * (size_t)s->N);
    a->lse = place(&p, T * (size_t)s->attention.H);
    a->att = place(&p, T * (size_t)s->Q);
    a->m = place(&p, T * (size_t)s->C);
    a->gu = place(&p, T * 2 * (size_t)s->F);
    for (group = 0; group < GROUPS; group++)
        a->u[group] = place(&p, T * (size_t)s->width[group]);
    return p.used;
}

size_t layer_acts_floats(const struct layer_shape *s, int T)
{
    struct layer_acts nowhere;

    return place_acts(s, (size_t)T, NULL, &nowhere);
}

void layer_acts_place(const struct layer_shape *s, int T, float *memory, struct layer_acts *ret)
{
    place_acts(s, (size_t)T, memory, ret);
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

static size_t place_scratch(const struct layer_shape *s, int threads, size_t T,
                            struct layer_scratch *scratch)
{
    struct placer p = {scratch->memory, 0};
    int group, width = 0;

    for (group = 0; group < GROUPS; group++)
        width = larger(width, s->width[group]);
    scratch->h = place(&p, T * (size_t)s->C);
    scratch->dh = place(&p, T * (size_t)s->C);
    scratch->act = place(&p, T * (size_t)s->F);
    scratch->dact = place(&p, T * (size_t)larger(s->F, s->Q));
    scratch->wide = place(&p, T * (size_t)larger(2 * s->F, s->N));
    scratch->u = place(&p, T * (size_t)width);
    scratch->dropped = place(&p, T * (size_t)larger(larger(s->C, s->F), s->Q));
    scratch->attention = place(&p, (size_t)threads * (size_t)scratch->attention_stride);
    return p.used;
}

int layer_scratch_fit(struct layer_scratch *scratch, const struct layer_shape *s, int threads,
                      int T, int longest, struct err *err)
{
    struct layer_scratch new = {.attention_stride = attention_scratch(&s->attention, longest)};
    size_t floats = place_scratch(s, threads, (size_t)T, &new);

    new.memory = scratch->memory;
    new.floats = scratch->floats;
    if (floats > scratch->floats) {
        new.memory = aligned_alloc(64, floats * sizeof(float));
        new.floats = floats;
        if (!new.memory)
            return err_nomem(err, floats * sizeof(float));
        free(scratch->memory);
    }
    place_scratch(s, threads, (size_t)T, &new);
    *scratch = new;
    return 0;
}

static struct adapted_scratch adapter_scratch(const struct layer_run *run)
{
    return (struct adapted_scratch){run->scratch->u, run->scratch->dropped};
}

/* y (T, n) = beta y + x W^T, and the adapters of the group. */
static void map_forward(const struct layer_run *run, const struct layer *l, enum group_kind group,
                        float *y, int n, const float *x, float *u, float beta, int T)
{
    int m = group_columns(run->shape, group);

    gemm(run->team, GEMM_NT, T, n, m, 1, (struct matrix){x, m}, (struct matrix){l->w[group], m},
         beta, y, n);
    group_forward(run->team, &l->group[group], y, n, u, x, T, run->drop, adapter_scratch(run));
}

/* dx (T, m) = dy W, unless dx is NULL, and the adapters' gradients. */
static void map_backward(const struct layer_run *run, const struct layer *l, enum group_kind group,
                         const struct adapted_slice *grads, float *dx, const float *dy, int n,
                         const float *x, const float *u, int T)
{
    int m = group_columns(run->shape, group);

    if (dx)
        gemm(run->team, GEMM_NN, T, m, n, 1, (struct matrix){dy, n},
             (struct matrix){l->w[group], m}, 0, dx, m);
    group_backward(run->team, &l->group[group], grads, dx, dy, n, u, x, T, run->drop,
                   adapter_scratch(run));
}

void layer_project(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                   const int32_t *positions, int T)
{
    const struct layer_shape *s = run->shape;

    rmsnorm_forward(run->team, &l->norm1, run->scratch->h, a->rstd1, a->x, T);
    map_forward(run, l, GROUP_QKV, a->qkv, s->N, run->scratch->h, a->u[GROUP_QKV], 0, T);
    rope_forward(run->team, &s->rope, a->qkv, s->N, s->attention.H + s->attention.G, positions, T);
}

void layer_attend(const struct layer_run *run, struct layer_acts *a, struct segments segments)
{
    attention_forward(run->team, &run->shape->attention, a->att, a->lse, a->qkv, segments,
                      run->scratch->attention, run->scratch->attention_stride);
}

void layer_finish(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                  float *y, int T)
{
    const struct layer_shape *s = run->shape;
    size_t residual = (size_t)T * (size_t)s->C * sizeof(float);

    memcpy(a->m, a->x, residual);
    map_forward(run, l, GROUP_O, a->m, s->C, a->att, a->u[GROUP_O], 1, T);
    rmsnorm_forward(run->team, &l->norm2, run->scratch->h, a->rstd2, a->m, T);
    map_forward(run, l, GROUP_GU, a->gu, 2 * s->F, run->scratch->h, a->u[GROUP_GU], 0, T);
    swiglu_forward(run->team, run->scratch->act, a->gu, T, s->F);
    memcpy(y, a->m, residual);
    map_forward(run, l, GROUP_DOWN, y, s->C, run->scratch->act, a->u[GROUP_DOWN], 1, T);
}

/* d: gradient to y in, gradient to m out. `below`: something further down is adapted. */
static void mlp_backward(const struct layer_run *run, const struct layer *l,
                         const struct layer_acts *a, struct adapted_slice grads[][GROUP_MAX],
                         bool below_gu, bool below_down, float *d, int T)
{
    const struct layer_shape *s = run->shape;
    struct layer_scratch *w = run->scratch;

    swiglu_forward(run->team, w->act, a->gu, T, s->F);
    map_backward(run, l, GROUP_DOWN, grads[GROUP_DOWN], below_down ? w->dact : NULL, d, s->C,
                 w->act, a->u[GROUP_DOWN], T);
    if (!below_down)
        return;
    swiglu_backward(run->team, w->wide, w->dact, a->gu, T, s->F);
    rmsnorm_again(run->team, &l->norm2, w->h, a->m, a->rstd2, T);
    map_backward(run, l, GROUP_GU, grads[GROUP_GU], below_gu ? w->dh : NULL, w->wide, 2 * s->F,
                 w->h, a->u[GROUP_GU], T);
    if (below_gu)
        rmsnorm_backward(run->team, &l->norm2, d, w->dh, a->m, a->rstd2, T);
}

/* d: gradient to m in, gradient to x out. */
static void attention_half_backward(const struct layer_run *run, const struct layer *l,
                                    const struct layer_acts *a, const struct batch *batch,
                                    struct adapted_slice grads[][GROUP_MAX], bool below_qkv,
                                    bool below_o, float *d)
{
    const struct layer_shape *s = run->shape;
    struct layer_scratch *w = run->scratch;
    int T = batch->T;

    map_backward(run, l, GROUP_O, grads[GROUP_O], below_o ? w->dact : NULL, d, s->C, a->att,
                 a->u[GROUP_O], T);
    if (!below_o)
        return;
    attention_backward(run->team, &s->attention, w->wide, w->dact, a->qkv, a->att, a->lse,
                       batch->segments, w->attention, w->attention_stride);
    rope_backward(run->team, &s->rope, w->wide, s->N, s->attention.H + s->attention.G,
                  batch->positions, T);
    rmsnorm_again(run->team, &l->norm1, w->h, a->x, a->rstd1, T);
    map_backward(run, l, GROUP_QKV, grads[GROUP_QKV], below_qkv ? w->dh : NULL, w->wide, s->N, w->h,
                 a->u[GROUP_QKV], T);
    if (below_qkv)
        rmsnorm_backward(run->team, &l->norm1, d, w->dh, a->x, a->rstd1, T);
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
