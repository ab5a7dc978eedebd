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

bool stage_has_backward(const struct stage *s)
{
    return s->lowest < s->last;
}

bool stage_passes_gradient(const struct stage *s)
{
    return s->lowest < s->first;
}

/* The rows of a pass through layer i of the stage: all are asked for, or in the model's last layer
 * the trained ones. Where every row is trained the two are the same. */
static struct layer_rows rows_of(const struct stage *s, int i, const struct batch *batch)
{
    bool some = s->is_last && s->first + i + 1 == s->last && batch->trained.n < batch->T;

    return (struct layer_rows){&batch->all, some ? &batch->trained : &batch->all};
}

void stage_make_again(struct stage *s, int n)
{
    s->n_again = n;
}

/* Whether layer i of the stage is made again for its backward pass. */
static bool is_made_again(const struct stage *s, int i)
{
    int from = s->lowest > s->first ? s->lowest - s->first : 0;

    return i >= from && i < from + s->n_again;
}

/* Places what is kept of layer i, n of its rows wanted. Returns the floats of the slot that it
 * takes from `used` on. Layers without a backward pass use the memory of the one before, one after
 * the other: each one's output goes where its input is. Of those that are made again only the
 * input has its own. */
static size_t place_layer(const struct stage *s, int i, int T, int n, size_t used,
                          struct stage_slot *slot)
{
    float *own = slot->memory ? slot->memory + used : NULL;

    if (i > 0 && s->first + i < s->lowest && n == T) {
        slot->acts[i] = slot->acts[i - 1];
        return 0;
    }
    if (is_made_again(s, i)) {
        layer_acts_place(&s->shape, T, n, s->again.memory, &slot->acts[i]);
        slot->acts[i].x = own;
        return (size_t)T * (size_t)s->shape.C;
    }
    layer_acts_place(&s->shape, T, n, own, &slot->acts[i]);
    return layer_acts_floats(&s->shape, T, n);
}

static size_t place_slot(const struct stage *s, const struct batch *batch, struct stage_slot *slot)
{
    size_t used = 0;

    for (int i = 0; i < s->last - s->first; i++)
        used += place_layer(s, i, batch->T, rows_of(s, i, batch).some->n, used, slot);
    slot->y = slot->memory ? slot->memory + used : NULL;
    return used + (size_t)batch->T * (size_t)s->shape.C;
}

int slot_fit(struct stage *s, struct stage_slot *slot, const struct batch *batch, struct err *err)
{
    size_t floats;

    if (!slot->acts)
        slot->acts = calloc((size_t)(s->last - s->first), sizeof(*slot->acts));
    if (!slot->acts)
        return err_nomem(err, (size_t)(s->last - s->first) * sizeof(*slot->acts));
    floats = place_slot(s, batch, slot);
    if (floats <= slot->floats)
        return 0;
    free(slot->memory);
    slot->floats = 0;
    slot->memory = aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64);
    if (!slot->memory)
        return err_nomem(err, floats * sizeof(float));
    slot->floats = floats;
    place_slot(s, batch, slot);
    return 0;
}

/* Memory for a layer that is made again, of T rows. */
static int fit_again(struct stage *s, int T, struct err *err)
{
    size_t floats = s->n_again ? layer_acts_floats(&s->shape, T, T) : 0;

    s->again.slot = NULL;
    if (floats <= s->again.floats)
        return 0;
    free(s->again.memory);
    s->again.floats = 0;
    s->again.memory = aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64);
    if (!s->again.memory)
        return err_nomem(err, floats * sizeof(float));
    s->again.floats = floats;
    return 0;
}

int stage_fit(struct stage *s, const struct batch *batches, int n, struct err *err)
{
    int i, T = 0, longest = 0, rc;
    long inherited = 0;

    for (i = 0; i < n; i++) {
        T = batches[i].T > T ? batches[i].T : T;
        longest = batches[i].longest > longest ? batches[i].longest : longest;
        inherited = batches[i].inherited > inherited ? batches[i].inherited : inherited;
    }
    rc = rope_fit(&s->shape.rope, longest, err);
    if (rc == 0)
        rc = fit_again(s, T, err);
    if (rc < 0)
        return rc;
    return layer_scratch_fit(&s->scratch, &s->shape, team_threads(s->team), T, longest, inherited,
                             err);
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
        weight_read(&s->embedding, ids[t], 0, (int)C, x + (size_t)t * C);
    for (i = 0; scale != 1 && i < (size_t)T * C; i++)
        x[i] *= scale;
}

struct head stage_head(const struct stage *s)
{
    return (struct head){s->config.tied ? &s->embedding : &s->untied, s->config.vocab, s->shape.C,
                         (float)s->config.logit_scale, (float)s->config.logit_cap};
}

struct rmsnorm stage_final_norm(const struct stage *s)
{
    return (struct rmsnorm){s->final_norm_w, s->shape.C, (float)s->config.rms_eps};
}

/* The dropout of a pass, or NULL where there is none. */
static const struct dropout *dropout_of(const struct stage *s, const struct stage_pass *pass,
                                        struct dropout *memory)
{
    if (!pass->train || s->dropout <= 0)
        return NULL;
    *memory = (struct dropout){
        .p = (float)s->dropout,
        .key = rng_key(s->seed, RNG_DROPOUT),
        .step = (uint32_t)pass->step,
    };
    return memory;
}

static void pause_between_layers(const struct stage *s)
{
    if (s->between_layers)
        s->between_layers(s->context);
}

static void note_made(struct stage *s, const struct stage_slot *slot, int i)
{
    s->again.slot = slot;
    s->again.layer = i;
}

/* Has what layer i's backward pass needs in place; the last to be made may still be there. */
static void make_again(struct stage *s, const struct layer_run *run, struct stage_slot *slot, int i,
                       struct layer_rows rows)
{
    if (!is_made_again(s, i) || (s->again.slot == slot && s->again.layer == i))
        return;
    layer_again(run, &s->layers[i], &slot->acts[i], rows);
    note_made(s, slot, i);
}

void stage_forward(struct stage *s, struct stage_slot *slot, const struct batch *batch,
                   const struct stage_pass *pass, const float *x)
{
    struct dropout memory;
    struct layer_run run = {s->team, &s->shape, &s->scratch, dropout_of(s, pass, &memory),
                            &s->clock};
    int i, n = s->last - s->first, T = batch->T;

    if (s->is_first)
        stage_embed(s, batch->ids, T, slot->acts[0].x);
    else
        memcpy(slot->acts[0].x, x, (size_t)T * (size_t)s->shape.C * sizeof(float));
    for (i = 0; i < n; i++) {
        struct layer_rows rows = rows_of(s, i, batch);
        layer_project(&run, &s->layers[i], &slot->acts[i], rows);
        layer_attend(&run, &s->layers[i], &slot->acts[i], rows);
        layer_finish(&run, &s->layers[i], &slot->acts[i], i + 1 < n ? slot->acts[i + 1].x : slot->y,
                     rows);
        if (is_made_again(s, i))
            note_made(s, slot, i);
        pause_between_layers(s);
    }
}

static int fit_normed(struct stage *s, int n, struct err *err)
{
    size_t floats = 2 * (size_t)(n + 1) * (size_t)s->shape.C + (size_t)n;

    if (floats <= s->normed_floats)
        return 0;
    free(s->normed);
    s->normed_floats = 0;
    s->normed = malloc(floats * sizeof(float));
    if (!s->normed)
        return err_nomem(err, floats * sizeof(float));
    s->normed_floats = floats;
    return 0;
}

int stage_loss(struct stage *s, struct stage_slot *slot, const struct batch *batch, float weight,
               double *ret_loss, struct err *err)
{
    struct rmsnorm norm = stage_final_norm(s);
    struct head head = stage_head(s);
    int n = batch->trained.n, rc = fit_normed(s, n, err);
    size_t floats = (size_t)n * (size_t)s->shape.C;
    float *h, *dh, *rstd;

    if (rc < 0)
        return rc;
    h = s->normed;
    dh = h + floats;
    rstd = dh + floats;
    rmsnorm_forward(s->team, &norm, h, rstd, slot->y, n);
    work_clock_turn(&s->clock, WORK_HEAD);
    *ret_loss = loss_forward_backward(s->team, &head, weight != 0 ? dh : NULL, h, batch->targets, n,
                                      weight, s->logits);
    work_clock_turn(&s->clock, WORK_ROWS);
    if (weight == 0)
        return 0;
    memset(h, 0, floats * sizeof(float));
    rmsnorm_backward(s->team, &norm, h, dh, slot->y, rstd, n);
    memcpy(slot->y, h, floats * sizeof(float));
    return 0;
}

int stage_losses(struct stage *s, const struct stage_slot *slot, const struct batch *batch,
                 double *losses, struct err *err)
{
    struct rmsnorm norm = stage_final_norm(s);
    struct head head = stage_head(s);
    int n = batch->trained.n, rc = fit_normed(s, n, err);

    if (rc < 0)
        return rc;
    rmsnorm_forward(s->team, &norm, s->normed, NULL, slot->y, n);
    loss_of_rows(s->team, &head, losses, s->normed, batch->targets, n, s->logits);
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
    struct layer_run run = {s->team, &s->shape, &s->scratch, dropout_of(s, pass, &memory),
                            &s->clock};
    struct adapted_slice slices[GROUPS][GROUP_MAX];
    int i;

    for (i = s->last - s->first - 1; i >= 0 && s->first + i >= s->lowest; i--) {
        struct layer_rows rows = rows_of(s, i, batch);
        make_again(s, &run, slot, i, rows);
        point_grads(s, &s->layers[i], grads, slices);
        layer_backward(&run, &s->layers[i], &slot->acts[i], rows, slices, s->first + i > s->lowest,
                       d);
        pause_between_layers(s);
    }
}
