/* worker/stage_load.c - reads a stage's share of the model. Layers are read by the whole team, one
 * a task; each tensor is hashed as it lies in memory, so that the hash does not depend on the
 * file's format. */
#include "worker/stage.h"
#include <stdlib.h>
#include <xxhash.h>

static void add_hash(uint64_t sum[2], const float *values, size_t n, uint64_t place)
{
    XXH128_hash_t h = XXH3_128bits_withSeed(values, n * sizeof(float), place);

    sum[0] += h.low64;
    sum[1] += h.high64;
}

static void add_weight_hash(uint64_t sum[2], const struct weight_rows *rows, uint64_t place)
{
    uint64_t h[2];

    weight_hash(rows, place, h);
    sum[0] += h[0];
    sum[1] += h[1];
}

struct loading {
    struct stage *stage;
    const struct model *model;
    struct err *errs;      /* one a layer; code 0: fine */
    uint64_t (*hashes)[2]; /* one a layer */
};

static void hash_layer(const struct stage *s, const struct layer *l, uint64_t hash[2])
{
    uint64_t place = 16 * (uint64_t)(l->index + 1);
    int kind, group;

    for (kind = 0; kind < MODULE_KINDS; kind++) {
        struct weight_rows rows;
        if (!model_has_module(&s->config, kind))
            continue;
        rows = layer_matrix(&s->shape, l, kind);
        add_weight_hash(hash, &rows, place + (uint64_t)module_kind_slot(kind));
    }
    add_hash(hash, l->norms, layer_norm_numbers(&s->config), place + MODULE_SLOTS);
    for (group = 0; group < GROUPS; group++)
        if (l->bias[group])
            add_hash(hash, l->bias[group], (size_t)group_rows(&s->shape, group),
                     place + MODULE_SLOTS + 1 + (uint64_t)group);
}

static void load_task(void *arg, int i, int thread)
{
    struct loading *loading = arg;
    struct stage *s = loading->stage;
    struct err *err = &loading->errs[i];

    (void)thread;
    err->code = 0;
    if (layer_load(&s->shape, loading->model, s->first + i, s->trainable, &s->layers[i], err) == 0)
        hash_layer(s, &s->layers[i], loading->hashes[i]);
}

static int load_layers(struct stage *s, const struct model *model, struct err *err)
{
    int n = s->last - s->first, i, rc = 0;
    struct loading loading = {.stage = s, .model = model};

    s->layers = calloc((size_t)n, sizeof(*s->layers));
    loading.errs = calloc((size_t)n, sizeof(*loading.errs));
    loading.hashes = calloc((size_t)n, sizeof(*loading.hashes));
    if (!s->layers || !loading.errs || !loading.hashes)
        rc = err_nomem(err, (size_t)n * sizeof(*loading.errs));
    else
        team_run(s->team, load_task, &loading, n);
    for (i = 0; i < n && rc == 0; i++) {
        if (loading.errs[i].code)
            rc = err_set(err, loading.errs[i].code, "%s", loading.errs[i].text);
        s->hash[0] += loading.hashes[i][0];
        s->hash[1] += loading.hashes[i][1];
    }
    free(loading.errs);
    free(loading.hashes);
    return rc;
}

static int load_head(struct stage *s, const struct model *model, struct err *err)
{
    size_t C = (size_t)s->shape.C;
    int rc = 0;

    if (!s->config.tied)
        rc = model_read_head(model, &s->untied, err);
    if (rc < 0)
        return rc;
    if (!s->config.tied)
        add_weight_hash(s->hash, &(struct weight_rows){&s->untied, 0, s->untied.rows}, 2);
    s->final_norm_w = malloc(C * sizeof(float));
    if (!s->final_norm_w)
        return err_nomem(err, C * sizeof(float));
    rc = model_read_final_norm(model, s->final_norm_w, err);
    if (rc == 0)
        add_hash(s->hash, s->final_norm_w, C, 3);
    return rc;
}

static int load_ends(struct stage *s, const struct model *model, struct err *err)
{
    struct head head = stage_head(s);
    int rc = 0;

    if (s->is_first || s->config.tied)
        rc = model_read_embedding(model, &s->embedding, err);
    if (rc == 0 && s->is_first)
        add_weight_hash(s->hash, &(struct weight_rows){&s->embedding, 0, s->embedding.rows}, 1);
    if (rc < 0 || !s->is_last)
        return rc;
    s->logits = malloc(head_scratch(&head) * sizeof(float));
    if (!s->logits)
        return err_nomem(err, head_scratch(&head) * sizeof(float));
    return load_head(s, model, err);
}

int stage_open(double dropout, uint64_t seed, const struct model *model,
               const struct trainable *trainable, int first, int last, struct team *team,
               struct stage **ret_stage, struct err *err)
{
    int layers = model_config(model)->n_layers, rc;
    struct stage *s;

    if (first < 0 || first >= last || last > layers)
        return err_set(err, ERR_INVALID, "%s has %d layers: there are no layers %d to %d in it",
                       model_path(model), layers, first, last - 1);
    s = calloc(1, sizeof(*s));
    if (!s)
        return err_nomem(err, sizeof(*s));
    s->team = team;
    work_clock_start(&s->clock, WORK_ROWS);
    s->dropout = dropout;
    s->seed = seed;
    s->trainable = trainable;
    s->config = *model_config(model);
    s->first = first;
    s->last = last;
    s->lowest = trainable->n ? trainable->maps[0].layer : layers;
    s->is_first = first == 0;
    s->is_last = last == s->config.n_layers;
    trainable_slice(trainable, first, last, &s->map_first, &s->map_last, &s->begin, &s->end);
    layer_shape_open(trainable, first, last, &s->config, &s->shape);
    rc = load_layers(s, model, err);
    if (rc == 0 && (s->is_first || s->is_last))
        rc = load_ends(s, model, err);
    if (rc < 0) {
        stage_close(s);
        return rc;
    }
    *ret_stage = s;
    return 0;
}

void stage_close(struct stage *s)
{
    int i;

    if (!s)
        return;
    for (i = 0; s->layers && i < s->last - s->first; i++)
        layer_close(&s->layers[i]);
    free(s->layers);
    weight_close(&s->untied);
    weight_close(&s->embedding);
    free(s->final_norm_w);
    free(s->logits);
    free(s->normed);
    free(s->scratch.memory);
    free(s->again.memory);
    layer_shape_close(&s->shape);
    free(s);
}

void stage_use_bf16(struct stage *s)
{
    s->shape.bf16 = true;
    for (int i = 0; i < s->last - s->first; i++)
        for (int group = 0; group < GROUPS; group++)
            s->layers[i].w[group].bf16 = true;
    s->embedding.bf16 = s->untied.bf16 = true;
}
