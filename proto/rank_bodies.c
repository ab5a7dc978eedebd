/* proto/rank_bodies.c - see rank_bodies.h. Sizes are computed in size_t from counts that are
 * checked before: no product overflows. */
#include "proto/rank_bodies.h"
#include "core/finite.h"
#include <float.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS_MAX = 4096 };

static int wrong(struct err *err, const char *what)
{
    return err_set(err, ERR_PEER, "%s", what);
}

struct rank_cursor rank_cursor(const struct buf *body)
{
    static const char nothing[1];

    return body->data ? (struct rank_cursor){body->data, body->data + body->len}
                      : (struct rank_cursor){nothing, nothing};
}

const void *rank_next(struct rank_cursor *c, size_t len)
{
    const void *at = c->at;

    if ((size_t)(c->end - c->at) < len)
        return NULL;
    c->at += len;
    return at;
}

int rank_end(const struct rank_cursor *c, struct err *err)
{
    if (c->at == c->end)
        return 0;
    return err_set(err, ERR_PEER, "%zu bytes are left over", (size_t)(c->end - c->at));
}

/* ---- setup ---- */

static int check_place(const struct rank_setup *s, int rank, int count, struct err *err)
{
    if (s->stages < 1 || s->stage < 0 || s->stage >= s->stages)
        return err_set(err, ERR_PEER, "stage %d of %d", s->stage, s->stages);
    if (s->replicas < 1 || s->replica < 0 || s->replica >= s->replicas)
        return err_set(err, ERR_PEER, "replica %d of %d", s->replica, s->replicas);
    if ((int64_t)s->stages * s->replicas >= count)
        return err_set(err, ERR_PEER, "%d stages x %d replicas for %d workers", s->stages,
                       s->replicas, count - 1);
    if (rank != 1 + s->replica * s->stages + s->stage)
        return err_set(err, ERR_PEER, "stage %d of replica %d, which is not rank %d", s->stage,
                       s->replica, rank);
    return 0;
}

static int check_share(const struct rank_setup *s, struct err *err)
{
    int n = s->model.config.n_layers;

    if (s->first_layer < 0 || s->first_layer >= s->last_layer || s->last_layer > n ||
        (s->first_layer == 0) != (s->stage == 0) ||
        (s->last_layer == n) != (s->stage == s->stages - 1))
        return err_set(err, ERR_PEER, "layers %d to %d of %d for stage %d of %d", s->first_layer,
                       s->last_layer, n, s->stage, s->stages);
    if (s->layers_again < 0 || s->layers_again > s->last_layer - s->first_layer)
        return err_set(err, ERR_PEER, "%d of layers %d to %d made again", s->layers_again,
                       s->first_layer, s->last_layer);
    if (s->threads < 0 || s->threads > THREADS_MAX)
        return err_set(err, ERR_PEER, "%d threads", s->threads);
    if (!(s->cache_max_bytes >= 0))
        return err_set(err, ERR_PEER, "a cache of %g bytes", s->cache_max_bytes);
    if (!(s->memory_bytes >= 0))
        return err_set(err, ERR_PEER, "a memory of %g bytes", s->memory_bytes);
    return 0;
}

static int check_lora(const struct rank_setup *s, struct err *err)
{
    if (s->directions < 0 || s->directions > LORA_RANK_MAX)
        return err_set(err, ERR_PEER, "%d directions", s->directions);
    if (s->precision != PRECISION_F32 && s->precision != PRECISION_BF16)
        return err_set(err, ERR_PEER, "precision %d", s->precision);
    if (s->scaling != SCALING_STANDARD && s->scaling != SCALING_RSLORA)
        return err_set(err, ERR_PEER, "scaling %d", s->scaling);
    if (!(s->dropout >= 0 && s->dropout < 1))
        return err_set(err, ERR_PEER, "dropout %g", s->dropout);
    if (s->n_maps < 1 || s->n_maps > (uint32_t)s->model.config.n_layers * (uint32_t)MODULE_SLOTS)
        return err_set(err, ERR_PEER, "%u modules to adapt", s->n_maps);
    return 0;
}

static int check_setup(const struct rank_setup *s, int rank, int count, struct err *err)
{
    int rc = check_place(s, rank, count, err);

    if (rc == 0)
        rc = check_share(s, err);
    if (rc == 0)
        rc = check_lora(s, err);
    return rc < 0 ? err_prefix(err, "a setup with") : 0;
}

/* before: the map that stands in front of it, or NULL. */
static bool map_is_right(const struct rank_map *map, const struct rank_map *before,
                         const struct model_config *c)
{
    if (map->layer < 0 || map->layer >= c->n_layers || map->kind < 0 || map->kind >= MODULE_KINDS ||
        !model_has_module(c, map->kind) || map->zero != 0)
        return false;
    if (map->rank < 1 || map->rank > LORA_RANK_MAX || !(map->alpha > 0 && map->alpha <= DBL_MAX))
        return false;
    return !before || map->layer > before->layer ||
           (map->layer == before->layer && map->kind > before->kind);
}

static int read_maps(const void *bytes, const struct rank_setup *s, struct lora_maps *ret,
                     struct err *err)
{
    struct rank_map map, before;

    ret->scaling = s->scaling;
    ret->of = calloc(s->n_maps, sizeof(*ret->of));
    if (!ret->of)
        return err_nomem(err, s->n_maps * sizeof(*ret->of));
    for (uint32_t i = 0; i < s->n_maps; i++, before = map) {
        memcpy(&map, (const char *)bytes + i * sizeof(map), sizeof(map));
        if (!map_is_right(&map, i ? &before : NULL, &s->model.config))
            return err_set(err, ERR_PEER,
                           "a setup with layer %d, kind %d, LoRA rank %d and alpha %g for module "
                           "%u of %u",
                           map.layer, map.kind, map.rank, map.alpha, i, s->n_maps);
        ret->of[ret->n++] = (struct lora_map){map.layer, map.kind, map.rank, map.alpha};
    }
    return 0;
}

static int copy_text(const char *text, size_t len, char **ret, struct err *err)
{
    if (len == 0)
        return 0;
    *ret = strndup(text, len);
    return *ret ? 0 : err_nomem(err, len);
}

void rank_setup_append(struct buf *out, const struct rank_setup *setup,
                       const struct trainable *layout, const char *path, const char *cache)
{
    struct rank_setup s = *setup;

    s.scaling = layout->rslora ? SCALING_RSLORA : SCALING_STANDARD;
    s.n_maps = (uint32_t)layout->n;
    s.path_len = (uint32_t)strlen(path);
    s.cache_len = cache ? (uint32_t)strlen(cache) : 0;
    buf_append(out, &s, sizeof(s));
    for (int i = 0; i < layout->n; i++) {
        const struct trainable_map *from = &layout->maps[i];
        struct rank_map map = {from->layer, (int)from->kind, from->rank, 0, from->alpha};
        buf_append(out, &map, sizeof(map));
    }
    buf_append(out, path, s.path_len);
    buf_append(out, cache, s.cache_len);
}

int rank_setup_read(const struct buf *body, int rank, int count, struct rank_setup *ret,
                    struct rank_setup_parts *ret_parts, struct err *err)
{
    struct rank_cursor c = rank_cursor(body);
    const void *at = rank_next(&c, sizeof(struct rank_setup)), *maps;
    struct rank_setup_parts parts = {0};
    const char *text, *folder;
    struct rank_setup s;
    int rc;

    if (!at)
        return wrong(err, "a setup that is cut off");
    memcpy(&s, at, sizeof(s));
    maps = rank_next(&c, s.n_maps * sizeof(struct rank_map));
    text = rank_next(&c, s.path_len);
    folder = rank_next(&c, s.cache_len);
    if (!maps || !text || !folder || rank_end(&c, err) < 0)
        return wrong(err, "a setup whose lengths are wrong");
    if (s.path_len == 0 || memchr(text, '\0', s.path_len) || memchr(folder, '\0', s.cache_len))
        return wrong(err, "a setup without a model, or with a NUL in its text");
    rc = check_setup(&s, rank, count, err);
    if (rc == 0)
        rc = read_maps(maps, &s, &parts.maps, err);
    if (rc == 0)
        rc = copy_text(text, s.path_len, &parts.path, err);
    if (rc == 0)
        rc = copy_text(folder, s.cache_len, &parts.cache, err);
    if (rc < 0) {
        rank_setup_parts_free(&parts);
        return rc;
    }
    *ret = s;
    *ret_parts = parts;
    return 0;
}

void rank_setup_parts_free(struct rank_setup_parts *parts)
{
    lora_maps_free(&parts->maps);
    free(parts->path);
    free(parts->cache);
    *parts = (struct rank_setup_parts){0};
}

int rank_ready_read(const struct buf *body, struct rank_ready *ret, struct err *err)
{
    struct rank_ready ready;

    if (body->len != sizeof(ready))
        return err_set(err, ERR_PEER, "%zu bytes to say that it is ready", body->len);
    memcpy(&ready, body->data, sizeof(ready));
    if (ready.threads < 1 || ready.threads > THREADS_MAX)
        return err_set(err, ERR_PEER, "%d threads", ready.threads);
    *ret = ready;
    return 0;
}

/* ---- step ---- */

int rank_step_read(struct rank_cursor *c, size_t n_params, struct rank_step *ret,
                   const float **ret_params, struct err *err)
{
    const void *at = rank_next(c, sizeof(struct rank_step));
    const float *params;
    struct rank_step s;

    if (!at)
        return wrong(err, "a step that is cut off");
    memcpy(&s, at, sizeof(s));
    if (s.step < 1 || s.dash > 1 || s.evaluate > 1)
        return err_set(err, ERR_PEER, "step %d with flags %d and %d", s.step, s.dash, s.evaluate);
    if (!(s.inv_trained > 0 && s.inv_trained <= 1))
        return err_set(err, ERR_PEER, "a step whose loss has the weight %g", s.inv_trained);
    if (s.n_params != n_params)
        return err_set(err, ERR_PEER, "a step with %u parameters, not %zu", s.n_params, n_params);
    params = rank_next(c, n_params * sizeof(float));
    if (!params)
        return wrong(err, "a step that ends within its parameters");
    if (!floats_are_right(params, n_params, -FLT_MAX))
        return wrong(err, "a step with a parameter that is not finite");
    if (s.n_micro < 0 || (size_t)s.n_micro > (size_t)(c->end - c->at) / sizeof(struct rank_micro))
        return err_set(err, ERR_PEER, "a step that should hold %d micro-batches", s.n_micro);
    *ret = s;
    *ret_params = params;
    return 0;
}

static int check_segments(const struct rank_micro_view *v, struct err *err)
{
    int i, n = v->header.n_segments;

    if (v->starts[0] != 0 || v->starts[n] != v->header.T)
        return wrong(err, "segments that do not begin and end with their micro-batch");
    for (i = 0; i < n; i++) {
        if (v->starts[i] >= v->starts[i + 1])
            return wrong(err, "segments of a micro-batch that do not rise");
        if (v->rows[i] < 0)
            return err_set(err, ERR_PEER, "row %d of the data", v->rows[i]);
    }
    return 0;
}

static int check_tokens(const struct rank_micro_view *v, int vocab, struct err *err)
{
    int i, trained = 0;

    for (i = 0; i < v->header.T; i++) {
        if (v->ids[i] < 0 || v->ids[i] >= vocab)
            return err_set(err, ERR_PEER, "token %d where the vocabulary has %d", v->ids[i], vocab);
        if (v->targets[i] == RANK_NO_TARGET)
            continue;
        if (v->targets[i] < 0 || v->targets[i] >= vocab)
            return err_set(err, ERR_PEER, "target %d where the vocabulary has %d", v->targets[i],
                           vocab);
        trained++;
    }
    if (trained < 1 || trained != v->header.n_trained)
        return err_set(err, ERR_PEER, "%d targets in a micro-batch that announces %d", trained,
                       v->header.n_trained);
    return 0;
}

/* Preorder: a segment's parent is the one in front of it or one of that one's ancestors. */
static int check_tree(const struct rank_micro_view *v, struct err *err)
{
    for (int i = 0; v->parents && i < v->header.n_segments; i++) {
        int above = i - 1;
        while (above >= 0 && above != v->parents[i])
            above = v->parents[above];
        if (above != v->parents[i])
            return err_set(err, ERR_PEER, "segment %d of a micro-batch continues segment %d", i,
                           v->parents[i]);
    }
    return 0;
}

int rank_micro_read(struct rank_cursor *c, int vocab, struct rank_micro_view *ret, struct err *err)
{
    const void *at = rank_next(c, sizeof(struct rank_micro));
    struct rank_micro_view v;
    int rc;

    if (!at)
        return wrong(err, "a step that ends before its micro-batches");
    memcpy(&v.header, at, sizeof(v.header));
    if (v.header.index < 0 || v.header.T < 1 || v.header.n_segments < 1 ||
        v.header.n_segments > v.header.T)
        return err_set(err, ERR_PEER, "micro-batch %d of %d tokens in %d segments", v.header.index,
                       v.header.T, v.header.n_segments);
    if (v.header.is_tree != 0 && v.header.is_tree != 1)
        return err_set(err, ERR_PEER, "a micro-batch whose flag of a tree is %d", v.header.is_tree);
    v.ids = rank_next(c, (size_t)v.header.T * sizeof(int32_t));
    v.targets = rank_next(c, (size_t)v.header.T * sizeof(int32_t));
    v.starts = rank_next(c, ((size_t)v.header.n_segments + 1) * sizeof(int32_t));
    v.rows = rank_next(c, (size_t)v.header.n_segments * sizeof(int32_t));
    v.parents =
        v.header.is_tree ? rank_next(c, (size_t)v.header.n_segments * sizeof(int32_t)) : NULL;
    if (!v.ids || !v.targets || !v.starts || !v.rows || !v.parents != !v.header.is_tree)
        return wrong(err, "a step that ends within a micro-batch");
    rc = check_segments(&v, err);
    if (rc == 0)
        rc = check_tree(&v, err);
    if (rc == 0)
        rc = check_tokens(&v, vocab, err);
    if (rc == 0)
        *ret = v;
    return rc;
}

int rank_progress_read(const struct buf *body, struct rank_progress *ret, struct err *err)
{
    struct rank_cursor c = rank_cursor(body);
    const void *at = rank_next(&c, sizeof(*ret));
    struct rank_progress p;

    if (!at || rank_end(&c, err) < 0)
        return err_set(err, ERR_PEER, "%zu bytes where progress has %zu", body->len, sizeof(*ret));
    memcpy(&p, at, sizeof(p));
    if (p.n < 0 || p.done < 0 || p.done > p.n || !(p.seconds_left >= 0) ||
        !isfinite(p.seconds_left))
        return err_set(err, ERR_PEER, "%d of %d matrices are decomposed, %g s left", p.done, p.n,
                       p.seconds_left);
    if (!(p.cached_bytes >= 0) || !isfinite(p.cached_bytes))
        return err_set(err, ERR_PEER, "%g bytes were added to the cache", p.cached_bytes);
    *ret = p;
    return 0;
}

int rank_gradients_read(const struct buf *body, int step, int n_losses, size_t n_params,
                        struct rank_gradients *ret, const double **ret_losses,
                        const float **ret_gradients, struct err *err)
{
    struct rank_cursor c = rank_cursor(body);
    const void *at = rank_next(&c, sizeof(struct rank_gradients));
    struct rank_gradients g;
    const double *losses;
    const float *gradients;

    if (!at)
        return wrong(err, "an answer that is cut off");
    memcpy(&g, at, sizeof(g));
    if (g.step != step)
        return err_set(err, ERR_PEER, "an answer to step %d where step %d is due", g.step, step);
    if (g.n_losses != n_losses || g.n_params != n_params)
        return err_set(err, ERR_PEER, "%d losses and %u gradients, not %d and %zu", g.n_losses,
                       g.n_params, n_losses, n_params);
    for (int i = 0; i < WORK_KINDS; i++)
        if (!isfinite(g.seconds[i]))
            return wrong(err, "an answer whose time is not a number");
    losses = rank_next(&c, (size_t)n_losses * sizeof(double));
    gradients = rank_next(&c, n_params * sizeof(float));
    if (!losses || !gradients || rank_end(&c, err) < 0)
        return err_set(err, ERR_PEER, "%zu bytes for %d losses and %zu gradients", body->len,
                       n_losses, n_params);
    *ret = g;
    *ret_losses = losses;
    *ret_gradients = gradients;
    return 0;
}

/* ---- directions ---- */

int rank_params_read(const struct buf *body, size_t n, const float **ret, struct err *err)
{
    struct rank_cursor c = rank_cursor(body);
    const float *params = rank_next(&c, n * sizeof(float));

    if (!params || rank_end(&c, err) < 0)
        return err_set(err, ERR_PEER, "%zu bytes for %zu parameters", body->len, n);
    if (!floats_are_right(params, n, -FLT_MAX))
        return wrong(err, "a parameter that is not finite");
    *ret = params;
    return 0;
}

void rank_directions_append(struct buf *b, int map, const struct directions *d)
{
    struct rank_directions header = {map, d->k, d->rows, d->columns, *d->next_delta};
    size_t k = (size_t)d->k;

    buf_append(b, &header, sizeof(header));
    buf_append(b, d->indices, k * sizeof(*d->indices));
    buf_append(b, d->delta, k * sizeof(*d->delta));
    buf_append(b, d->sigma, k * sizeof(*d->sigma));
    buf_append(b, d->U, k * (size_t)d->rows * sizeof(*d->U));
    buf_append(b, d->V, k * (size_t)d->columns * sizeof(*d->V));
}

int rank_directions_read(struct rank_cursor *c, const struct trainable *layout, int map,
                         struct directions_view *ret, struct err *err)
{
    const struct trainable_map *m = &layout->maps[map];
    size_t k = (size_t)layout->directions;
    const void *at = rank_next(c, sizeof(struct rank_directions));
    struct directions_view v;
    struct rank_directions d;
    const char *fault;

    if (!at)
        return wrong(err, "directions that are cut off");
    memcpy(&d, at, sizeof(d));
    if (d.map != map)
        return err_set(err, ERR_PEER, "directions of map %d where those of %d are due", d.map, map);
    if (d.k != layout->directions || d.rows != m->rows || d.columns != m->columns)
        return err_set(err, ERR_PEER, "%d directions of a %d x %d map, not %d of %d x %d", d.k,
                       d.rows, d.columns, layout->directions, m->rows, m->columns);
    v.next_delta = (const char *)at + offsetof(struct rank_directions, next_delta);
    v.indices = rank_next(c, k * sizeof(int32_t));
    v.delta = rank_next(c, k * sizeof(double));
    v.sigma = rank_next(c, k * sizeof(double));
    v.U = rank_next(c, k * (size_t)m->rows * sizeof(float));
    v.V = rank_next(c, k * (size_t)m->columns * sizeof(float));
    if (!v.indices || !v.delta || !v.sigma || !v.U || !v.V)
        return wrong(err, "directions that are cut off");
    fault = directions_fault(&v, d.k, d.rows, d.columns);
    if (fault)
        return wrong(err, fault);
    *ret = v;
    return 0;
}

void rank_profile_append(struct buf *b, const struct direction_profile *profile)
{
    buf_append(b, profile, sizeof(*profile));
}

int rank_profile_read(struct rank_cursor *c, const struct trainable *layout, int map,
                      struct direction_profile *ret, struct err *err)
{
    const struct trainable_map *m = &layout->maps[map];
    const void *at = rank_next(c, sizeof(*ret));
    struct direction_profile p;
    const char *fault;

    if (!at)
        return wrong(err, "a profile that is cut off");
    memcpy(&p, at, sizeof(p));
    fault = direction_profile_fault(&p, m->rows < m->columns ? m->rows : m->columns);
    if (fault)
        return wrong(err, fault);
    *ret = p;
    return 0;
}

/* ---- errors ---- */

static bool is_utf8(const char *text, size_t len)
{
    json_t *string = json_stringn(text, len);
    bool is = string != NULL;

    json_decref(string);
    return is;
}

int rank_error_read(const struct buf *body, char *ret_text, size_t size)
{
    struct rank_cursor c = rank_cursor(body);
    const void *at = rank_next(&c, sizeof(struct rank_error));
    struct rank_error e = {ERR_PEER};
    size_t len, i;
    bool utf8;

    if (at)
        memcpy(&e, at, sizeof(e));
    len = at ? (size_t)(c.end - c.at) : 0;
    if (len > size - 1)
        len = size - 1;
    /* A cut may have left a part of a character. */
    for (i = 0; len > 0 && i < 3 && !is_utf8(c.at, len) && (c.at[len - 1] & 0x80); i++)
        len--;
    utf8 = is_utf8(c.at, len);
    for (i = 0; i < len; i++) {
        unsigned char byte = (unsigned char)c.at[i];
        ret_text[i] = byte < ' ' || byte == 0x7f || (byte > 0x7f && !utf8) ? '?' : c.at[i];
    }
    ret_text[len] = '\0';
    return e.code == ERR_INVALID ? ERR_INVALID : ERR_PEER;
}
