/* worker/generate.c - see generate.h. Training's own layers with a cache of keys and values;
 * sequences of a group advance together, and one that has ended leaves the group. */
#include "worker/generate.h"
#include "core/cpus.h"
#include "core/model/adapter.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sequence {
    float *cache; /* (layers, 2, capacity, G D): keys, then values, of each layer */
    int capacity; /* positions */
    int len;      /* positions in the cache */
    int32_t next; /* the token to feed */
};

struct generator {
    struct model *model;
    struct trainable trainable;
    struct team *team;
    struct stage *stage;
    struct sequence sequences[GENERATE_GROUP];
    struct sampler *sampler;
    struct layer_acts acts;
    float *memory; /* of acts, and y behind it */
    size_t floats;
    float *y;
};

/* Makes the adapter the stage's parameters: a plain LoRA of the adapter's ranks. */
static int load_adapter(struct generator *g, const struct adapter *a, struct err *err)
{
    float *params = calloc(g->trainable.count + 1, sizeof(*params));
    int i, j;

    if (!params)
        return err_nomem(err, g->trainable.count * sizeof(*params));
    for (i = 0; i < g->trainable.n; i++) {
        const struct trainable_map *map = &g->trainable.maps[i];
        size_t r = (size_t)map->rank;
        for (j = 0; j < a->n; j++) {
            if (a->maps[j].layer != map->layer || a->maps[j].kind != map->kind)
                continue;
            memcpy(params + map->a, a->maps[j].A, r * (size_t)map->columns * sizeof(float));
            memcpy(params + map->b, a->maps[j].B, r * (size_t)map->rows * sizeof(float));
        }
    }
    stage_load(g->stage, params);
    free(params);
    return 0;
}

static int open_stage(struct generator *g, const struct adapter *a, struct err *err)
{
    const struct model_config *c = model_config(g->model);
    struct lora_maps maps = {0};
    int rc = a ? lora_maps_of_adapter(a, &maps, err) : 0;

    if (rc == 0)
        rc = trainable_layout(&maps, 0, c, &g->trainable, err);
    lora_maps_free(&maps);
    if (rc == 0)
        rc = stage_open(0, 0, g->model, &g->trainable, 0, c->n_layers, g->team, &g->stage, err);
    if (rc == 0)
        rc = sampler_open(c->vocab, &g->sampler, err);
    return rc == 0 && a ? load_adapter(g, a, err) : rc;
}

int generator_open_model(struct model *model, const struct adapter *a, int threads,
                         struct generator **ret, struct err *err)
{
    struct generator *g = calloc(1, sizeof(*g));
    int rc;

    if (!g) {
        model_close(model);
        return err_nomem(err, sizeof(*g));
    }
    g->model = model;
    rc = team_open(threads > 0 ? threads : cpus_allowed(), &g->team, err);
    if (rc == 0)
        rc = open_stage(g, a, err);
    if (rc < 0)
        generator_close(g);
    else
        *ret = g;
    return rc;
}

int generator_open(const char *model_path, const char *adapter, int threads, struct generator **ret,
                   struct err *err)
{
    struct problems problems = {0};
    struct model *model = NULL;
    struct adapter *a = NULL;
    char *text;
    int rc = model_open(model_path, &model, &problems, err);

    if (rc < 0 && problems.n && (text = problems_text(&problems))) {
        err_set(err, rc, "%s", text);
        free(text);
    }
    problems_free(&problems);
    if (rc == 0 && adapter)
        rc = adapter_read(adapter, model_config(model), &a, err);
    if (rc == 0)
        rc = generator_open_model(model, a, threads, ret, err);
    else
        model_close(model);
    adapter_free(a);
    return rc;
}

void generator_close(struct generator *g)
{
    int i;

    if (!g)
        return;
    for (i = 0; i < GENERATE_GROUP; i++)
        free(g->sequences[i].cache);
    sampler_close(g->sampler);
    stage_close(g->stage);
    team_close(g->team);
    trainable_free(&g->trainable);
    model_close(g->model);
    free(g->memory);
    free(g);
}

const struct model *generator_model(const struct generator *g)
{
    return g->model;
}

struct stage *generator_stage(struct generator *g)
{
    return g->stage;
}

static size_t cache_row(const struct generator *g)
{
    return (size_t)g->stage->shape.G * (size_t)g->stage->shape.D;
}

static float *cache_of(const struct generator *g, const struct sequence *s, int layer, int value)
{
    return s->cache + ((size_t)layer * 2 + (size_t)value) * (size_t)s->capacity * cache_row(g);
}

static int begin_sequence(struct generator *g, struct sequence *s, const struct token_list *prompt,
                          int max_tokens, struct err *err)
{
    size_t floats;
    int i;

    free(s->cache);
    *s = (struct sequence){.capacity = prompt->n + max_tokens};
    if (prompt->n < 1)
        return err_set(err, ERR_INVALID, "a prompt has no tokens");
    for (i = 0; i < prompt->n; i++)
        if (prompt->ids[i] < 0 || prompt->ids[i] >= g->stage->config.vocab)
            return err_set(err, ERR_INVALID,
                           "the tokenizer gives token %d, which the model does not have (it knows "
                           "%d)",
                           prompt->ids[i], g->stage->config.vocab);
    if (s->capacity > g->stage->config.max_positions)
        return err_set(err, ERR_INVALID,
                       "a prompt of %d tokens and %d new ones are more than the %d positions that "
                       "the model knows",
                       prompt->n, max_tokens, g->stage->config.max_positions);
    floats = (size_t)g->stage->config.n_layers * 2 * (size_t)s->capacity * cache_row(g);
    s->cache = malloc(floats * sizeof(float));
    return s->cache ? 0 : err_nomem(err, floats * sizeof(float));
}

/* Makes room for T rows in segments of at most `longest`. */
static int fit(struct generator *g, int T, int longest, struct err *err)
{
    size_t acts = layer_acts_floats(&g->stage->shape, T, T);
    size_t floats = acts + (size_t)T * (size_t)g->stage->shape.C;
    int rc;

    if (floats > g->floats) {
        free(g->memory);
        g->floats = 0;
        g->memory = aligned_alloc(64, (floats * sizeof(float) + 63) / 64 * 64);
        if (!g->memory)
            return err_nomem(err, floats * sizeof(float));
        g->floats = floats;
    }
    layer_acts_place(&g->stage->shape, T, T, g->memory, &g->acts);
    g->y = g->memory + acts;
    rc = rope_fit(&g->stage->shape.rope, longest, err);
    if (rc < 0)
        return rc;
    return layer_scratch_fit(&g->stage->scratch, &g->stage->shape, team_threads(g->team), T,
                             longest, 0, err);
}

/* Copies the keys and values of row t into a sequence's cache at position `at`. */
static void keep_row(struct generator *g, const struct sequence *s, int layer, int t, int at)
{
    const float *row = g->acts.qkv.kv + (size_t)t * (size_t)g->acts.qkv.ldkv;
    size_t n = cache_row(g);

    memcpy(cache_of(g, s, layer, 0) + (size_t)at * n, row, n * sizeof(float));
    memcpy(cache_of(g, s, layer, 1) + (size_t)at * n, row + n, n * sizeof(float));
}

static struct layer_run run_of(struct generator *g)
{
    return (struct layer_run){g->team, &g->stage->shape, &g->stage->scratch, NULL};
}

static size_t row_bytes(const struct generator *g, int T)
{
    return (size_t)T * (size_t)g->stage->shape.C * sizeof(float);
}

static void prefill(struct generator *g, const struct batch *batch)
{
    struct layer_run run = run_of(g);
    struct layer_rows rows = {&batch->all, &batch->all};
    struct segments segments = batch->all.segments;
    int layer, i, t;

    stage_embed(g->stage, batch->ids, batch->T, g->acts.x);
    for (layer = 0; layer < g->stage->config.n_layers; layer++) {
        const struct layer *l = &g->stage->layers[layer];
        if (layer)
            memcpy(g->acts.x, g->y, row_bytes(g, batch->T));
        layer_project(&run, l, &g->acts, rows);
        for (i = 0; i < segments.n; i++)
            for (t = segments.starts[i]; t < segments.starts[i + 1]; t++)
                keep_row(g, &g->sequences[i], layer, t, batch->all.positions[t]);
        layer_attend(&run, l, &g->acts, rows);
        layer_finish(&run, l, &g->acts, g->y, rows);
    }
}

/* One token of each of the n live sequences. */
static void advance(struct generator *g, struct sequence *const *live, int n)
{
    const float *keys[GENERATE_GROUP], *values[GENERATE_GROUP];
    int32_t ids[GENERATE_GROUP], positions[GENERATE_GROUP];
    int32_t lengths[GENERATE_GROUP];
    int layer, i;
    struct layer_run run = run_of(g);
    struct batch_rows each = {.n = n, .positions = positions, .lengths = lengths};
    struct layer_rows rows = {&each, &each};

    for (i = 0; i < n; i++) {
        ids[i] = live[i]->next;
        positions[i] = live[i]->len++;
        lengths[i] = live[i]->len;
    }
    stage_embed(g->stage, ids, n, g->acts.x);
    for (layer = 0; layer < g->stage->config.n_layers; layer++) {
        const struct layer *l = &g->stage->layers[layer];
        if (layer)
            memcpy(g->acts.x, g->y, row_bytes(g, n));
        layer_project(&run, l, &g->acts, rows);
        for (i = 0; i < n; i++) {
            keep_row(g, live[i], layer, i, positions[i]);
            keys[i] = cache_of(g, live[i], layer, 0);
            values[i] = cache_of(g, live[i], layer, 1);
        }
        attention_cached(g->team, &l->attention, g->acts.att, g->acts.qkv.q, g->acts.qkv.ldq, n,
                         keys, values, lengths, run.scratch->attention,
                         run.scratch->attention_stride);
        layer_finish(&run, l, &g->acts, g->y, rows);
    }
}

/* The final norm and head of n rows of y; logits in the stage's chunk. */
static float *logits_of(struct generator *g, const int *rows, int n)
{
    struct stage *s = g->stage;
    struct rmsnorm norm = stage_final_norm(s);
    struct head head = stage_head(s);
    int i;

    for (i = 0; i < n; i++)
        memcpy(s->scratch.h + (size_t)i * (size_t)s->shape.C,
               g->y + (size_t)rows[i] * (size_t)s->shape.C, row_bytes(g, 1));
    rmsnorm_forward(g->team, &norm, s->scratch.h, NULL, s->scratch.h, n);
    head_forward(g->team, &head, s->logits, s->scratch.h, n);
    return s->logits;
}

/* Takes the prompts into the caches; rows gets each one's last row. */
static int start_group(struct generator *g, const struct token_list *prompts, int n, int max_tokens,
                       int *rows, struct err *err)
{
    int32_t starts[GENERATE_GROUP + 1] = {0}, keys[GENERATE_GROUP] = {0}, *ids, *targets;
    struct batch batch;
    int i, t, T, rc = 0;

    for (i = 0; i < n && rc == 0; i++) {
        rc = begin_sequence(g, &g->sequences[i], &prompts[i], max_tokens, err);
        starts[i + 1] = starts[i] + prompts[i].n;
        rows[i] = starts[i + 1] - 1;
        g->sequences[i].len = prompts[i].n;
    }
    if (rc < 0)
        return rc;
    T = starts[n];
    ids = malloc((size_t)T * sizeof(*ids));
    targets = malloc((size_t)T * sizeof(*targets));
    for (i = 0; ids && i < n; i++)
        memcpy(ids + starts[i], prompts[i].ids, (size_t)prompts[i].n * sizeof(*ids));
    for (t = 0; targets && t < T; t++)
        targets[t] = NO_TARGET;
    rc = ids && targets
             ? batch_make(ids, targets, T, (struct segments){n, starts}, keys, 0, &batch, err)
             : err_nomem(err, (size_t)T * 8);
    if (rc == 0) {
        rc = fit(g, T, batch.longest + max_tokens, err);
        if (rc == 0)
            prefill(g, &batch);
        batch_free(&batch);
    }
    free(ids);
    free(targets);
    return rc;
}

struct group { /* sequences that advance together */
    struct generator *g;
    const struct token_list *prompts;
    struct token_list *answers;
    const struct generate_options *options;
    int (*on_token)(void *arg, int sequence, int32_t id, struct err *err);
    void *arg;
    long first_index;
};

/* The next token of a sequence. 1: it has ended. */
static int add_token(const struct group *group, int i, int step, float *logits, struct err *err)
{
    const struct generate_options *o = group->options;
    const struct seen seen[] = {{group->prompts[i].ids, group->prompts[i].n},
                                {group->answers[i].ids, group->answers[i].n}};
    int32_t id;
    int rc;

    if (o->on_logits)
        o->on_logits(group->arg, i, logits);
    id = sampler_next(group->g->sampler, &o->sampling, seen, 2, group->first_index + i, step,
                      logits);
    if (o->tokenizer && tokenizer_is_end(o->tokenizer, id))
        return 1;
    group->g->sequences[i].next = id;
    rc = token_list_push(&group->answers[i], id, 0, err);
    return rc == 0 && group->on_token ? group->on_token(group->arg, i, id, err) : rc;
}

int generate(struct generator *g, const struct token_list *prompts, int n, long first_index,
             const struct generate_options *options, struct token_list *answers,
             int (*on_token)(void *arg, int sequence, int32_t id, struct err *err), void *arg,
             struct err *err)
{
    const struct group group = {g, prompts, answers, options, on_token, arg, first_index};
    struct sequence *live[GENERATE_GROUP];
    int rows[GENERATE_GROUP] = {0}, who[GENERATE_GROUP], i, step, n_live = n;
    int rc = start_group(g, prompts, n, options->max_tokens, rows, err);

    for (i = 0; i < n; i++)
        who[i] = i;
    for (step = 0; rc >= 0 && n_live > 0 && step < options->max_tokens; step++) {
        float *logits = logits_of(g, rows, n_live);
        int next_live = 0;
        for (i = 0; i < n_live && rc >= 0; i++) {
            rc = add_token(&group, who[i], step,
                           logits + (size_t)i * (size_t)g->stage->config.vocab, err);
            if (rc != 0)
                continue;
            live[next_live] = &g->sequences[who[i]];
            rows[next_live] = next_live;
            who[next_live++] = who[i];
        }
        n_live = next_live;
        if (rc >= 0 && n_live > 0 && step + 1 < options->max_tokens)
            advance(g, live, n_live);
    }
    return rc < 0 ? rc : 0;
}
