/* core/job/cost_work.c - see cost.h: operations, and how long they take. A layer is walked once, by
 * the four places where adapters sit (worker/layer.h), and what is met is handed to a visitor: one
 * that adds up operations, or one that adds up seconds. */
#include "core/cpu.h"
#include "core/job/cost.h"
#include "core/model/shard.h"
#include <math.h>

enum place { PLACE_QKV, PLACE_O, PLACE_GU, PLACE_DOWN, PLACES };

static const enum place place_of[MODULE_KINDS] = {
    [MODULE_Q] = PLACE_QKV,   [MODULE_K] = PLACE_QKV,      [MODULE_V] = PLACE_QKV,
    [MODULE_QKV] = PLACE_QKV, [MODULE_O] = PLACE_O,        [MODULE_GATE] = PLACE_GU,
    [MODULE_UP] = PLACE_GU,   [MODULE_GATE_UP] = PLACE_GU, [MODULE_DOWN] = PLACE_DOWN,
};

/* Measured by tests/bench/parts.c on a Zen 4 and rounded, as a share of the rate of products. */
static const double SUSTAINED = 0.9;  /* of the rate of the fastest product, by many */
static const double THIN = 0.9;       /* products of which a side is the rank */
static const double THIN_TERMS = 14;  /* r / (r + this) is the share where the rank is K */
static const double ATTENTION = 0.45; /* forward */
static const double ATTENTION_BACK = 0.6;
static const double BF16 = 1.7; /* products of factors that are rounded to bf16 */
/* A product spends as much time on copying the matrix on its right as on this many rows, and with
 * quantised weights, which are expanded on the way. */
static const double COPY_ROWS = 8, EXPAND_ROWS = 26;
/* Operations of a product in the time that one number of an array takes. */
static const double GATED = 33, GATED_BACK = 44, NORM = 28, NORM_BACK = 35, TURN = 20, LOGIT = 600;
/* Seconds that one thread takes to copy a number, while the others wait, and that a team of threads
 * takes to begin and to end a piece of work; pieces of a layer, both ways. */
static const double COPY_S = 4 / 10e9, TEAM_S = 2e-6;
enum { TEAM_RUNS = 50 };

static const double ATTENTION_PRODUCTS = 2, ATTENTION_BACK_PRODUCTS = 5;

double cost_sum(const struct cost_operations *o)
{
    return o->forward + o->backward + o->thin + o->attention + o->head;
}

/* ---- tiles ---- */

/* As worker/ops/gemm.c cuts a product: strips of columns as wide as the kernel's tile, and blocks
 * of rows as far as there are too few strips. */
double cost_of_tiles(double rows, double columns, int threads, bool quantised)
{
    int width = cpu_build_needs[CPU_AVX512F] ? 32 : cpu_build_needs[CPU_AVX] ? 16 : 8;
    int least = cpu_build_needs[CPU_AVX512F] ? 64 : 48; /* rows that are cut no further */
    double strips = ceil(columns / width), block = fmax(ceil(rows), 1), tasks, turns;

    while (strips * ceil(rows / block) < 2.0 * threads && block >= least)
        block = ceil(block / 2);
    tasks = strips * fmax(ceil(rows / block), 1);
    turns = ceil(tasks / threads);
    return turns * threads / tasks * (1 + (quantised ? EXPAND_ROWS : COPY_ROWS) / block);
}

/* ---- one layer ---- */

struct layer_cost {
    const struct cost_model *m;
    int layer;
    double T, n;            /* rows in, rows whose output is wanted */
    bool below[PLACES + 1]; /* something in front of this place needs a gradient */
    bool adapted[PLACES];
};

/* Both ways where both is set. */
struct visitor {
    void (*map)(void *arg, double rows, double columns, double inputs, bool back);
    /* A product of which a side is the rank; is_K: its terms are. */
    void (*thin)(void *arg, double operations, double rank, bool is_K);
    void (*attention)(void *arg, double operations, bool back);
    void *arg;
};

static int lowest_layer(const struct cost_model *m)
{
    return m->trainable->n ? m->trainable->maps[0].layer : m->config->n_layers;
}

static struct layer_cost layer_cost(const struct cost_model *m, int layer, double T, double n)
{
    struct layer_cost l = {.m = m, .layer = layer, .T = T, .n = T};

    if (layer == m->config->n_layers - 1)
        l.n = n;
    for (int i = 0; i < m->trainable->n; i++)
        if (m->trainable->maps[i].layer == layer)
            l.adapted[place_of[m->trainable->maps[i].kind]] = true;
    l.below[0] = layer > lowest_layer(m);
    for (int p = 0; p < PLACES; p++)
        l.below[p + 1] = l.below[p] || l.adapted[p];
    return l;
}

/* Whether there is a gradient to the output of a place, and to its input. */
static bool has_output(const struct layer_cost *l, enum place p)
{
    return l->layer >= lowest_layer(l->m) && l->below[p + 1];
}

static bool has_input(const struct layer_cost *l, enum place p)
{
    return l->layer >= lowest_layer(l->m) && l->below[p];
}

/* Rows of the output of a kind: in the last layer all have keys and values, few the rest. Of a map
 * of all three the share of each counts. */
static double rows_of(const struct layer_cost *l, enum module_kind kind)
{
    const struct model_config *c = l->m->config;

    if (kind == MODULE_K || kind == MODULE_V)
        return l->T;
    if (kind == MODULE_QKV)
        return (l->n * c->n_heads + l->T * 2 * c->n_kv_heads) / (c->n_heads + 2.0 * c->n_kv_heads);
    return l->n;
}

static void visit_maps(const struct layer_cost *l, const struct visitor *v)
{
    for (int kind = 0; kind < MODULE_KINDS; kind++) {
        int outputs, inputs;
        if (!model_has_module(l->m->config, kind))
            continue;
        model_module_shape(l->m->config, kind, &outputs, &inputs);
        v->map(v->arg, rows_of(l, kind), outputs, inputs, false);
        if (has_input(l, place_of[kind]))
            v->map(v->arg, rows_of(l, kind), inputs, outputs, true);
    }
}

/* Of one adapted map (worker/ops/adapted.h), with its directions. */
static void visit_adapter(const struct layer_cost *l, const struct trainable_map *map,
                          const struct visitor *v)
{
    double r = map->rank, w = r + l->m->trainable->directions, out = rows_of(l, map->kind);
    double in = place_of[map->kind] == PLACE_QKV ? l->T : l->n;

    v->thin(v->arg, 2 * in * map->columns * w, w, false); /* u = x A^T */
    v->thin(v->arg, 2 * out * map->rows * w, w, true);    /* y += u G^T */
    v->thin(v->arg, 2 * out * map->rows * w, w, false);   /* du = dy G */
    v->thin(v->arg, 2 * out * map->rows * r, r, false);   /* dB */
    v->thin(v->arg, 2 * in * map->columns * r, r, false); /* dA */
    if (has_input(l, place_of[map->kind]))
        v->thin(v->arg, 2 * in * map->columns * w, w, true); /* dx += du A */
}

/* Pairs that a layer with a window sees, of rows that are all as long as the average. */
static double pairs_of(const struct layer_cost *l, double micro_batches)
{
    const struct cost_data *d = &l->m->data;
    const struct model_config *c = l->m->config;
    double pairs = d->pairs / micro_batches;

    if ((c->layers[l->layer] & LAYER_WINDOW) && c->window > 0)
        pairs = fmin(pairs, l->T * c->window);
    return l->T > 0 ? pairs * l->n / l->T : 0;
}

static void visit_attention(const struct layer_cost *l, double micro_batches,
                            const struct visitor *v)
{
    const struct model_config *c = l->m->config;
    double one = 2.0 * c->n_heads * c->head_dim * pairs_of(l, micro_batches);

    v->attention(v->arg, ATTENTION_PRODUCTS * one, false);
    if (has_input(l, PLACE_O))
        v->attention(v->arg, ATTENTION_BACK_PRODUCTS * one, true);
}

static void visit(const struct layer_cost *l, double micro_batches, const struct visitor *v)
{
    const struct trainable *t = l->m->trainable;

    visit_maps(l, v);
    for (int i = 0; i < t->n; i++)
        if (t->maps[i].layer == l->layer)
            visit_adapter(l, &t->maps[i], v);
    visit_attention(l, micro_batches, v);
}

/* ---- operations ---- */

static void add_map(void *arg, double rows, double columns, double inputs, bool back)
{
    struct cost_operations *o = arg;

    *(back ? &o->backward : &o->forward) += 2 * rows * columns * inputs;
}

static void add_thin(void *arg, double operations, double rank, bool is_K)
{
    struct cost_operations *o = arg;

    (void)rank;
    (void)is_K;
    o->thin += operations;
}

static void add_attention(void *arg, double operations, bool back)
{
    struct cost_operations *o = arg;

    (void)back;
    o->attention += operations;
}

struct cost_operations cost_operations(const struct cost_model *m, int first, int last)
{
    const struct model_config *c = m->config;
    struct cost_operations o = {0};
    const struct visitor v = {add_map, add_thin, add_attention, &o};

    for (int i = first; i < last; i++) {
        struct layer_cost l = layer_cost(m, i, m->data.computed, m->data.trained);
        visit(&l, 1, &v);
    }
    if (last == c->n_layers)
        o.head =
            (lowest_layer(m) < c->n_layers ? 4.0 : 2.0) * m->data.trained * c->vocab * c->hidden;
    return o;
}

/* ---- seconds ---- */

struct clock {
    double rate, map_rate; /* operations a second of the worker's threads */
    int threads;
    bool quantised;
    double s;
};

static void time_map(void *arg, double rows, double columns, double inputs, bool back)
{
    struct clock *c = arg;

    (void)back;
    if (rows > 0)
        c->s += 2 * rows * columns * inputs / c->map_rate *
                cost_of_tiles(rows, columns, c->threads, c->quantised);
}

static void time_thin(void *arg, double operations, double rank, bool is_K)
{
    struct clock *c = arg;

    c->s += operations / c->rate / (is_K ? rank / (rank + THIN_TERMS) : THIN);
}

static void time_attention(void *arg, double operations, bool back)
{
    struct clock *c = arg;

    c->s += operations / c->rate / (back ? ATTENTION_BACK : ATTENTION);
}

/* What is done number by number: norms, turning, the gated unit; and by one thread alone: copies of
 * rows. */
static double seconds_of_numbers(const struct layer_cost *l, const struct clock *clock)
{
    const struct model_config *c = l->m->config;
    double heads = (double)(c->n_heads + c->n_kv_heads) * c->head_dim;
    double C = c->hidden, F = c->intermediate,
           norms = (c->pre_norm ? 1 : 0) + (c->post_norm ? 1 : 0);
    double all = l->T, some = l->n, work, copies = 2 * some * C;

    work = norms * NORM * C * (all + some) + TURN * heads * all + GATED * F * some;
    if (has_output(l, PLACE_DOWN)) {
        work += (l->adapted[PLACE_DOWN] ? GATED : 0) * F * some + GATED_BACK * F * some;
        work += norms * (NORM + NORM_BACK) * C * (all + some) + TURN * heads * all;
    }
    return work / clock->rate + copies * COPY_S +
           (clock->threads > 1 ? TEAM_RUNS * TEAM_S * log2(clock->threads) : 0);
}

static double head_seconds(const struct cost_model *m, double rows, const struct clock *clock)
{
    double V = m->config->vocab, C = m->config->hidden;

    if (rows <= 0)
        return 0;
    return 2 * rows * V * C / clock->map_rate *
               (cost_of_tiles(rows, V, clock->threads, m->quantised) +
                cost_of_tiles(rows, C, clock->threads, m->quantised)) +
           LOGIT * rows * V / clock->rate;
}

/* Of a layer's time, what it takes to make again what its backward pass needs: the forward pass
 * without its last product. */
static const double AGAIN = 0.3;

double cost_stage_seconds(const struct cost_model *m, const struct worker_share *share, int threads,
                          double gflops)
{
    int lowest = m->trainable->n ? m->trainable->maps[0].layer : m->config->n_layers;
    int again = lowest > share->first ? lowest : share->first;
    double micro = m->data.micro_batches, T = m->data.computed / micro, n = m->data.trained / micro;
    struct clock clock = {.rate = SUSTAINED * gflops * 1e9,
                          .map_rate = SUSTAINED * gflops * 1e9 * (m->bf16 ? BF16 : 1),
                          .threads = threads,
                          .quantised = m->quantised};
    const struct visitor v = {time_map, time_thin, time_attention, &clock};

    for (int i = share->first; i < share->last; i++) {
        struct layer_cost l = layer_cost(m, i, T, n);
        double before = clock.s;
        visit(&l, micro, &v);
        clock.s += seconds_of_numbers(&l, &clock);
        if (i >= again && i < again + share->n_again)
            clock.s += AGAIN * (clock.s - before);
    }
    if (share->last == m->config->n_layers)
        clock.s += head_seconds(m, n, &clock);
    return clock.s;
}
