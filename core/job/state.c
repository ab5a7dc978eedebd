/* core/job/state.c - see state.h: making, initialising, and the adapter that it is. The
 * checkpoint's form is in state_file.c. */
#include "core/job/state.h"
#include "core/model/adapter.h"
#include "core/rng.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

int state_open(const struct trainable *layout, struct state *ret, struct err *err)
{
    struct state s = {.layout = layout};
    int rc;

    s.params = calloc(layout->count, sizeof(float));
    s.m = calloc(layout->count, sizeof(float));
    s.v = calloc(layout->count, sizeof(float));
    rc = s.params && s.m && s.v ? 0 : err_nomem(err, 3 * layout->count * sizeof(float));
    if (rc == 0 && layout->directions > 0)
        rc = direction_set_open(&s.chosen, layout->maps, layout->n, layout->directions, err);
    if (rc < 0)
        state_close(&s);
    else
        *ret = s;
    return rc;
}

void state_close(struct state *s)
{
    direction_set_close(&s->chosen);
    free(s->params);
    free(s->m);
    free(s->v);
    *s = (struct state){0};
}

static void draw_A(float *A, size_t n, int columns, int map, struct rng_key key)
{
    float bound = (float)(1 / sqrt((double)columns));
    uint32_t words[4];
    size_t i;

    for (i = 0; i < n; i++) {
        uint32_t counter[4] = {(uint32_t)(i / 4), (uint32_t)(i / 4 >> 32), (uint32_t)map, 0};
        if (i % 4 == 0)
            rng_draw(key, counter, words);
        A[i] = bound * (2 * rng_unit(words[i % 4]) - 1);
    }
}

static const struct adapter_map *find_map(const struct adapter *a, const struct trainable_map *map)
{
    for (int i = 0; i < a->n; i++)
        if (a->maps[i].layer == map->layer && a->maps[i].kind == map->kind)
            return &a->maps[i];
    return NULL;
}

/* Takes A and B of an adapter that has the job's modules, ranks and scales. */
static int start_from(struct state *s, const struct adapter *a, const char *folder, struct err *err)
{
    enum job_scaling scaling = a->rslora ? SCALING_RSLORA : SCALING_STANDARD;

    for (int i = 0; i < s->layout->n; i++) {
        const struct trainable_map *map = &s->layout->maps[i];
        const struct adapter_map *from = find_map(a, map);
        if (!from || from->rank != map->rank ||
            lora_scale(from->alpha, from->rank, scaling) != map->scale)
            return err_set(err, ERR_INVALID,
                           "%s does not fit the job: other rank, scale or modules", folder);
        memcpy(s->params + map->a, from->A,
               (size_t)map->rank * (size_t)map->columns * sizeof(float));
        memcpy(s->params + map->b, from->B, (size_t)map->rank * (size_t)map->rows * sizeof(float));
    }
    return 0;
}

int state_init(struct state *s, uint64_t seed, const char *init_adapter,
               const struct model_config *config, struct err *err)
{
    struct rng_key key = rng_key(seed, RNG_INIT);
    struct adapter *a = NULL;
    int i, rc;

    for (i = 0; i < s->layout->n && !init_adapter; i++) {
        const struct trainable_map *map = &s->layout->maps[i];
        draw_A(s->params + map->a, (size_t)(map->b - map->a), map->columns, i, key);
    }
    if (!init_adapter)
        return 0;
    rc = adapter_read(init_adapter, config, &a, err);
    if (rc == 0)
        rc = start_from(s, a, init_adapter, err);
    adapter_free(a);
    return rc;
}

static bool same_layout(const struct trainable *a, const struct trainable *b)
{
    if (a->n != b->n || a->count != b->count || a->directions != b->directions)
        return false;
    for (int i = 0; i < a->n; i++)
        if (a->maps[i].layer != b->maps[i].layer || a->maps[i].kind != b->maps[i].kind ||
            a->maps[i].rank != b->maps[i].rank || a->maps[i].scale != b->maps[i].scale)
            return false;
    return true;
}

int state_continue(struct state *s, struct state *from, const char *name, struct err *err)
{
    if (!from->identified)
        return err_set(err, ERR_INVALID, "%s has not chosen its directions: resume that job", name);
    if (!same_layout(s->layout, from->layout))
        return err_set(err, ERR_INVALID,
                       "%s does not fit the job: other modules, ranks, scales or directions", name);
    memcpy(s->params, from->params, s->layout->count * sizeof(float));
    direction_set_close(&s->chosen);
    s->chosen = from->chosen;
    from->chosen = (struct direction_set){0};
    s->identified = true;
    return 0;
}

/* [A ; V^T] (R, m) and [s B | U diag(c)] (n, R) with R = r + k; plain A and B where k is 0. */
static int join_map(const struct state *s, int i, int k, struct adapter_map *out, struct err *err)
{
    const struct trainable_map *map = &s->layout->maps[i];
    const float *A = s->params + map->a, *B = s->params + map->b, *c = s->params + map->c;
    int r = map->rank, R = r + k, row, column, j;

    *out = (struct adapter_map){.layer = map->layer,
                                .kind = map->kind,
                                .rows = map->rows,
                                .columns = map->columns,
                                .rank = R,
                                .alpha = k ? R : map->alpha};
    out->A = malloc((size_t)R * (size_t)map->columns * sizeof(float));
    out->B = malloc((size_t)R * (size_t)map->rows * sizeof(float));
    if (!out->A || !out->B)
        return err_nomem(err, (size_t)R * (size_t)(map->rows + map->columns) * sizeof(float));
    memcpy(out->A, A, (size_t)r * (size_t)map->columns * sizeof(float));
    for (j = 0; j < k; j++)
        for (column = 0; column < map->columns; column++)
            out->A[(size_t)(r + j) * map->columns + column] =
                s->chosen.of[i].V[(size_t)column * k + j];
    for (row = 0; row < map->rows; row++) {
        float *to = out->B + (size_t)row * R;
        for (j = 0; j < r; j++)
            to[j] = k ? (float)map->scale * B[(size_t)row * r + j] : B[(size_t)row * r + j];
        for (j = 0; j < k; j++)
            to[r + j] = s->chosen.of[i].U[(size_t)row * k + j] * c[j];
    }
    return 0;
}

int state_adapter(const struct state *s, bool with_directions, struct adapter **ret,
                  struct err *err)
{
    int k = with_directions && s->identified ? s->layout->directions : 0, rc = 0;
    struct adapter *a = calloc(1, sizeof(*a));

    if (a)
        a->maps = calloc((size_t)s->layout->n + 1, sizeof(*a->maps));
    if (!a || !a->maps)
        rc = err_nomem(err, (size_t)s->layout->n * sizeof(*a->maps));
    else
        a->rslora = !k && s->layout->rslora;
    for (int i = 0; rc == 0 && i < s->layout->n; i++) {
        a->n = i + 1;
        rc = join_map(s, i, k, &a->maps[i], err);
    }
    if (rc < 0)
        adapter_free(a);
    else
        *ret = a;
    return rc;
}
