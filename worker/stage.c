/* worker/stage.c - see stage.h: the passes of a stage. Loading is in stage_load.c. */
#include "worker/stage.h"
#include "worker/ops/rmsnorm.h"
#include <stdlib.h>
#include <string.h>

static struct layer *layer_of(struct stage *s, int index)
{
    return &s->layers[index - s->first];
}

static struct adapted_group *find_map(struct stage *s, int index, int *ret_i)
{
    const struct trainable_map *map = &s->trainable->maps[index];
    struct adapted_group *g = &layer_of(s, map->layer)->group[group_of(map->kind)];

    for (*ret_i = 0; g->maps[*ret_i].index != index;)
        ++*ret_i;
    return g;
}

void stage_load(struct stage *s, const float *slice)
{
    int m, i;

    for (m = s->map_first; m < s->map_last; m++) {
        const struct trainable_map *map = &s->trainable->maps[m];
        struct adapted_group *g = find_map(s, m, &i);
        group_load(g, i, slice + (map->a - s->begin), slice + (map->b - s->begin),
                   slice + (map->c - s->begin));
    }
}

void stage_direct(struct stage *s, int index, const float *U, const float *V)
{
    int i;
    struct adapted_group *g = find_map(s, index, &i);

    group_direct(g, i, U, V);
}

static size_t place_slot(struct stage *s, int T, struct stage_slot *slot)
{
    size_t layer = layer_acts_floats(&s->shape, T), n = (size_t)(s->last - s->first), i;

    for (i = 0; slot->memory && i < n; i++)
        layer_acts_place(&s->shape, T, slot->memory + i * layer, &slot->acts[i]);
    if (slot->memory)
        slot->y = slot->memory + n * layer;
    return n * layer + (size_t)T * (size_t)s->shape.C;
}

int slot_fit(struct stage *s, struct stage_slot *slot, const struct batch *batch, struct err *err)
{
    struct stage_slot nowhere = {0};
    size_t floats = place_slot(s, batch->T, &nowhere);

    if (!slot->acts)
        slot->acts = calloc((size_t)(s->last - s->first), sizeof(*slot->acts));
    if (!slot->acts)
        return err_nomem(err, (size_t)(s->last - s->first) * sizeof(*slot->acts));
    if (floats > slot->floats) {
        free(slot->memory);
        slot->floats = 0;
        slot->memory = aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64);
        if (!slot->memory)
            return err_nomem(err, floats * sizeof(float));
        slot->floats = floats;
    }
    place_slot(s, batch->T, slot);
    return 0;
}

int stage_fit(struct stage *s, const struct batch *batches, int n, struct err *err)
{
    int i, T = 0, longest = 0, rc;

    for (i = 0; i < n; i++) {
        T = batches[i].T > T ? batches[i].T : T;
        longest = batches[i].longest > longest ? batches[i].longest : longest;
    }
    rc = rope_fit(&s->shape.rope, longest, err);
    if (rc < 0)
        return rc;
    return layer_scratch_fit(&s->scratch, &s->shape, team_threads(s->team), T, longest, err);
}

void slot_free(struct stage_slot *slot)
{
    free(slot->memory);
    free(slot->acts);
    *slot = (struct stage_slot){0};
}

void stage_embed(const struct stage *s, const int32_t *ids, int T, float *x)
{
    size_t C = (size_t)s->shape.C, i;
    float scale = (float)s->config.embedding_scale;
    int t;

    for (t = 0; t < T; t++)
        memcpy(x + (size_t)t * C, s->embedding + (size_t)ids[t] * C, C * sizeof(float));
    for (i = 0; scale != 1 && i < (size_t)T * C; i++)
        x[i] *= scale;
}

struct head stage_head(const struct stage *s)
{
    return (struct head){s->head_w, s->config.vocab, s->shape.C, (float)s->config.logit_scale,
                         (float)s->config.logit_cap};
}

struct rmsnorm stage_final_norm(const struct stage *s)
{
    return (struct rmsnorm){s->final_norm_w, s->shape.C, (float)s->config.rms_eps};
}

/* The dropout of a pass, or NULL where there is none. */
static const struct dropout *dropout_of(const struct stage *s, const struct batch *batch,
                                        const struct stage_pass *pass, struct dropout *memory)
{
    if (!pass->train || s->dropout <= 0)
        return NULL;
    *memory = (struct dropout){
        .p = (float)s->dropout,
        .key = rng_key(s->seed, RNG_DROPOUT),
        .step = (uint32_t)pass->step,
        .rows = batch->rows,
        .positions = batch->positions,
    };
    return memory;
}

void stage_forward(struct stage *s, struct stage_slot *slot, const struct batch *batch,
                   const struct stage_pass *pass, const float *x)
{
    struct dropout memory;
    struct layer_run run = {s->team, &s->shape, &s->scratch, dropout_of(s, batch, pass, &memory)};
    int i, n = s->last - s->first, T = batch->T;

    if (s->is_first)
        stage_embed(s, batch->ids, T, slot->acts[0].x);
    else
        memcpy(slot->acts[0].x, x, (size_t)T * (size_t)s->shape.C * sizeof(float));
    for (i = 0; i < n; i++) {
        layer_project(&run, &s->layers[i], &slot->acts[i],
                      (struct token_positions){batch->positions, batch->lengths}, T);
        layer_attend(&run, &s->layers[i], &slot->acts[i], batch->segments);
        layer_finish(&run, &s->layers[i], &slot->acts[i], i + 1 < n ? slot->acts[i + 1].x : slot->y,
                     T);
    }
}

static int fit_gathered(struct stage *s, int n, struct err *err)
{
    size_t floats = 3 * (size_t)(n + 1) * (size_t)s->shape.C + (size_t)n;

    if (floats <= s->gathered_floats)
        return 0;
    free(s->gathered);
    s->gathered_floats = 0;
    s->gathered = malloc(floats * sizeof(float));
    if (!s->gathered)
        return err_nomem(err, floats * sizeof(float));
    s->gathered_floats = floats;
    return 0;
}

/* Only rows with a target go through the final norm, the head and back; the others' gradient is 0.
 */
int stage_loss(struct stage *s, struct stage_slot *slot, const struct batch *batch, float weight,
               double *ret_loss, struct err *err)
{
    struct rmsnorm norm = stage_final_norm(s);
    struct head head = stage_head(s);
    size_t C = (size_t)s->shape.C, size = C * sizeof(float);
    int n = batch->n_trained, i, rc = fit_gathered(s, n, err);
    float *x, *h, *dh, *rstd;

    if (rc < 0)
        return rc;
    x = s->gathered;
    h = x + (size_t)n * C;
    dh = h + (size_t)n * C;
    rstd = dh + (size_t)n * C;
    for (i = 0; i < n; i++)
        memcpy(x + (size_t)i * C, slot->y + (size_t)batch->trained[i] * C, size);
    rmsnorm_forward(s->team, &norm, h, rstd, x, n);
    *ret_loss = loss_forward_backward(s->team, &head, weight != 0 ? dh : NULL, h, batch->targets, n,
                                      weight, s->logits);
    if (weight == 0)
        return 0;
    memset(h, 0, (size_t)n * size);
    rmsnorm_backward(s->team, &norm, h, dh, x, rstd, n);
    memset(slot->y, 0, (size_t)batch->T * size);
    for (i = 0; i < n; i++)
        memcpy(slot->y + (size_t)batch->trained[i] * C, h + (size_t)i * C, size);
    return 0;
}

/* Where the gradients of layer l's adapters go in the slice. */
static void point_grads(const struct stage *s, const struct layer *l, float *grads,
                        struct adapted_slice ret[GROUPS][GROUP_MAX])
{
    int group, i;

    for (group = 0; group < GROUPS; group++) {
        for (i = 0; i < l->group[group].n; i++) {
            const struct trainable_map *map = &s->trainable->maps[l->group[group].maps[i].index];
            ret[group][i] =
                (struct adapted_slice){grads + (map->a - s->begin), grads + (map->b - s->begin),
                                       grads + (map->c - s->begin)};
        }
    }
}

void stage_backward(struct stage *s, struct stage_slot *slot, const struct batch *batch,
                    const struct stage_pass *pass, float *d, float *grads)
{
    struct dropout memory;
    struct layer_run run = {s->team, &s->shape, &s->scratch, dropout_of(s, batch, pass, &memory)};
    struct adapted_slice slices[GROUPS][GROUP_MAX];
    int i;

    for (i = s->last - s->first - 1; i >= 0; i--) {
        point_grads(s, &s->layers[i], grads, slices);
        layer_backward(&run, &s->layers[i], &slot->acts[i], batch, slices, s->first + i > 0, d);
    }
}
