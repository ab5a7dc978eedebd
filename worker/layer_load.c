/* worker/layer_load.c - see layer.h: a layer's weights, read and put together. */
#include "worker/layer.h"
#include <stdlib.h>
#include <string.h>

static const enum group_kind groups_of[MODULE_KINDS] = {
    [MODULE_Q] = GROUP_QKV,   [MODULE_K] = GROUP_QKV,      [MODULE_V] = GROUP_QKV,
    [MODULE_QKV] = GROUP_QKV, [MODULE_O] = GROUP_O,        [MODULE_GATE] = GROUP_GU,
    [MODULE_UP] = GROUP_GU,   [MODULE_GATE_UP] = GROUP_GU, [MODULE_DOWN] = GROUP_DOWN,
};

enum group_kind group_of(enum module_kind kind)
{
    return groups_of[kind];
}

/* Columns of u: what the maps of a group in one layer take. */
static int width_of(const struct trainable *t, int layer, enum group_kind group)
{
    int width = 0;

    for (int i = 0; i < t->n; i++)
        if (t->maps[i].layer == layer && groups_of[t->maps[i].kind] == group)
            width += t->maps[i].rank + t->directions;
    return width;
}

void layer_shape_open(const struct trainable *trainable, int first, int last,
                      const struct model_config *config, struct layer_shape *ret)
{
    struct layer_shape s = {
        .config = config,
        .C = config->hidden,
        .F = config->intermediate,
        .Q = config->n_heads * config->head_dim,
        .H = config->n_heads,
        .G = config->n_kv_heads,
        .D = config->head_dim,
        .residual = (float)config->residual_scale,
    };

    s.N = s.Q + 2 * s.G * s.D;
    for (int layer = first; layer < last; layer++) {
        for (int group = 0; group < GROUPS; group++) {
            int width = width_of(trainable, layer, group);
            s.width[group] = width > s.width[group] ? width : s.width[group];
        }
    }
    rope_open(config, &s.rope);
    *ret = s;
}

void layer_shape_close(struct layer_shape *s)
{
    rope_close(&s->rope);
}

int group_columns(const struct layer_shape *s, enum group_kind group)
{
    return group == GROUP_O ? s->Q : group == GROUP_DOWN ? s->F : s->C;
}

int group_rows(const struct layer_shape *s, enum group_kind group)
{
    return group == GROUP_QKV ? s->N : group == GROUP_GU ? 2 * s->F : s->C;
}

/* First row of a kind within its group's matrix, which is also its first column in the output. */
static int row_of(const struct layer_shape *s, enum module_kind kind)
{
    switch (kind) {
    case MODULE_K:
        return s->Q;
    case MODULE_V:
        return s->Q + s->G * s->D;
    case MODULE_UP:
        return s->F;
    default:
        return 0;
    }
}

struct weight_rows layer_matrix(const struct layer_shape *s, const struct layer *l,
                                enum module_kind kind)
{
    int rows, columns;

    model_module_shape(s->config, kind, &rows, &columns);
    return (struct weight_rows){&l->w[groups_of[kind]], row_of(s, kind), rows};
}

/* ---- reading ---- */

static int read_biases(const struct layer_shape *s, const struct model *model, struct layer *l,
                       struct err *err)
{
    int rc = 0;

    for (int kind = 0; kind < MODULE_KINDS && rc == 0; kind++) {
        enum group_kind group = groups_of[kind];
        if (!s->config->biases[kind])
            continue;
        if (!l->bias[group])
            l->bias[group] = calloc((size_t)group_rows(s, group), sizeof(float));
        if (!l->bias[group])
            return err_nomem(err, (size_t)group_rows(s, group) * sizeof(float));
        rc = model_read_bias(model, l->index, kind, l->bias[group] + row_of(s, kind), err);
    }
    return rc;
}

static int read_maps(const struct layer_shape *s, const struct model *model, struct layer *l,
                     struct err *err)
{
    int rc = 0;

    for (int group = 0; group < GROUPS && rc == 0; group++) {
        enum module_kind kinds[WEIGHT_PIECES_MAX];
        int n = 0;
        for (int kind = 0; kind < MODULE_KINDS; kind++)
            if ((int)groups_of[kind] == group && model_has_module(s->config, kind))
                kinds[n++] = kind;
        rc = model_read_modules(model, l->index, kinds, n, &l->w[group], err);
    }
    return rc == 0 ? read_biases(s, model, l, err) : rc;
}

size_t layer_norm_numbers(const struct model_config *c)
{
    size_t n = 0;

    for (int kind = 0; kind < NORM_KINDS; kind++)
        n += (size_t)model_norm_size(c, kind);
    return n;
}

static int read_norms(const struct layer_shape *s, const struct model *model, struct layer *l,
                      struct err *err)
{
    const struct model_config *c = s->config;
    const float *w[NORM_KINDS] = {NULL};
    bool whole = c->qk_norm == QK_NORM_WHOLE;
    size_t at = 0;
    int rc = 0;

    l->norms = malloc(layer_norm_numbers(c) * sizeof(float) + 1);
    if (!l->norms)
        return err_nomem(err, layer_norm_numbers(c) * sizeof(float));
    for (int kind = 0; kind < NORM_KINDS && rc == 0; kind++) {
        if (!model_norm_size(c, kind))
            continue;
        rc = model_read_norm(model, l->index, kind, l->norms + at, err);
        w[kind] = l->norms + at;
        at += (size_t)model_norm_size(c, kind);
    }
    l->pre1 = (struct rmsnorm){w[NORM_PRE_ATTENTION], s->C, (float)c->rms_eps};
    l->post1 = (struct rmsnorm){w[NORM_POST_ATTENTION], s->C, (float)c->rms_eps};
    l->pre2 = (struct rmsnorm){w[NORM_PRE_MLP], s->C, (float)c->rms_eps};
    l->post2 = (struct rmsnorm){w[NORM_POST_MLP], s->C, (float)c->rms_eps};
    l->q_norm = (struct qk_norm_op){w[NORM_Q], whole, s->H, s->D, (float)c->rms_eps};
    l->k_norm = (struct qk_norm_op){w[NORM_K], whole, s->G, s->D, (float)c->rms_eps};
    return rc;
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
            .r = map->rank,
            .scale = (float)map->scale,
            .y_at = row_of(s, map->kind),
            .index = i,
            .module = (unsigned)(map->layer * MODULE_SLOTS + module_kind_slot(map->kind)),
        };
    }
    for (group = 0; group < GROUPS; group++) {
        rc = group_open(&l->group[group], group_columns(s, group), trainable->directions, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int layer_load(const struct layer_shape *s, const struct model *model, int index,
               const struct trainable *trainable, struct layer *ret, struct err *err)
{
    const struct model_config *c = s->config;
    struct layer l = {.index = index};
    int rc = read_maps(s, model, &l, err);

    if (rc == 0)
        rc = read_norms(s, model, &l, err);
    if (rc == 0)
        rc = open_groups(s, trainable, &l, err);
    if (rc < 0) {
        layer_close(&l);
        return rc;
    }
    l.rotated = c->layers[index] & LAYER_ROPE;
    l.local_rope = c->layers[index] & LAYER_ROPE_LOCAL;
    l.attention = (struct attention){s->H,
                                     s->G,
                                     s->D,
                                     (float)c->attention_scale,
                                     (float)c->attention_cap,
                                     c->layers[index] & LAYER_WINDOW ? c->window : 0};
    *ret = l;
    return 0;
}

void layer_close(struct layer *l)
{
    int group;

    for (group = 0; group < GROUPS; group++) {
        weight_close(&l->w[group]);
        free(l->bias[group]);
        group_close(&l->group[group]);
    }
    free(l->norms);
    *l = (struct layer){0};
}
