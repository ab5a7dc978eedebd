/* core/model/description.c - see description.h. Each key of config.json that is asked for is
 * marked as read; what is left over is reported. */
#include "core/model/description.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void description_fault(const struct description *d, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    problems_add(d->problems, d->file, 0, "%s", text);
}

/* ---- config.json ---- */

json_t *root_get(const struct description *d, const char *key)
{
    json_object_set_new(d->read, key, json_true());
    return json_object_get(d->root, key);
}

int root_int(const struct description *d, const char *key, int most, int fallback)
{
    const json_t *value = root_get(d, key);
    json_int_t v = json_integer_value(value);

    if (!json_is_set(value) && fallback)
        return fallback;
    if (!json_is_set(value))
        description_fault(d, "the key %s is missing", key);
    else if (!json_is_integer(value) || v < 1 || v > most)
        description_fault(d, "%s must be an integer from 1 to %d", key, most);
    else
        return (int)v;
    return 0;
}

double object_positive(const struct description *d, const json_t *object, const char *key,
                       double fallback)
{
    const json_t *value = json_object_get(object, key);
    double v = json_number_value(value);

    if (!json_is_set(value) && fallback > 0)
        return fallback;
    if (!json_is_set(value))
        description_fault(d, "the key %s is missing", key);
    else if (!json_is_number(value) || !(v > 0) || isinf(v))
        description_fault(d, "%s must be a number above 0", key);
    else
        return v;
    return 0;
}

double root_positive(const struct description *d, const char *key, double fallback)
{
    root_get(d, key);
    return object_positive(d, d->root, key, fallback);
}

bool root_bool(const struct description *d, const char *key, bool fallback)
{
    const json_t *value = root_get(d, key);

    if (!json_is_set(value))
        return fallback;
    if (!json_is_boolean(value))
        description_fault(d, "%s must be true or false", key);
    return json_is_true(value);
}

/* ---- GGUF ---- */

const char *gguf_key(const struct description *d, const char *key, char *text, size_t size)
{
    snprintf(text, size, "%s.%s", d->family->gguf, key);
    return text;
}

bool gguf_has(const struct description *d, const char *key)
{
    char full[128];

    return tensorfile_kv_kind(d->gguf, gguf_key(d, key, full, sizeof(full))) != KV_ABSENT;
}

/* Whether the key is there and of that kind. A key of another kind is a problem, never an absent
 * one: its value was meant to count. */
static bool gguf_is(const struct description *d, const char *full, enum kv_kind kind)
{
    static const char *const names[] = {
        [KV_STRING] = "a string",
        [KV_NUMBER] = "a number",
        [KV_BOOL] = "true or false",
        [KV_ARRAY] = "a list",
    };
    enum kv_kind found = tensorfile_kv_kind(d->gguf, full);

    if (found != KV_ABSENT && found != kind)
        description_fault(d, "%s is %s; it must be %s", full,
                          found == KV_BOOL ? "a truth value" : names[found], names[kind]);
    return found == kind;
}

static bool gguf_number_of(const struct description *d, const char *key, double *ret)
{
    char full[128];

    gguf_key(d, key, full, sizeof(full));
    return gguf_is(d, full, KV_NUMBER) && tensorfile_kv_number(d->gguf, full, ret);
}

bool gguf_bool(const struct description *d, const char *key, bool fallback)
{
    char full[128];
    bool value = fallback;

    if (gguf_is(d, gguf_key(d, key, full, sizeof(full)), KV_BOOL))
        tensorfile_kv_bool(d->gguf, full, &value);
    return value;
}

/* A key of another kind has its problem already. */
static void fault_unless_set(const struct description *d, const char *key)
{
    char full[128];

    if (!gguf_has(d, key))
        description_fault(d, "the key %s is missing", gguf_key(d, key, full, sizeof(full)));
}

int gguf_int(const struct description *d, const char *key, int most, int fallback)
{
    char full[128];
    double v;

    if (!gguf_number_of(d, key, &v)) {
        if (!fallback)
            fault_unless_set(d, key);
        return fallback;
    }
    if (v >= 1 && v <= most && v == floor(v))
        return (int)v;
    description_fault(d, "%s must be an integer from 1 to %d", gguf_key(d, key, full, sizeof(full)),
                      most);
    return 0;
}

double gguf_positive(const struct description *d, const char *key, double fallback)
{
    char full[128];
    double v;

    if (!gguf_number_of(d, key, &v)) {
        if (!(fallback > 0))
            fault_unless_set(d, key);
        return fallback;
    }
    if (v > 0 && !isinf(v))
        return v;
    description_fault(d, "%s must be a number above 0", gguf_key(d, key, full, sizeof(full)));
    return 0;
}

const struct tensor *gguf_tensor(const struct description *d, const char *name)
{
    const struct tensor *t = NULL;

    for (int i = 0; i < d->files->n && !t; i++)
        t = tensorfile_find(d->files->items[i], name);
    return t;
}

const char *gguf_string(const struct description *d, const char *key)
{
    char full[128];

    gguf_key(d, key, full, sizeof(full));
    return gguf_is(d, full, KV_STRING) ? tensorfile_kv_string(d->gguf, full) : NULL;
}

const struct gguf_array *gguf_list(const struct description *d, const char *key)
{
    char full[128];

    return tensorfile_kv_array(d->gguf, gguf_key(d, key, full, sizeof(full)));
}

/* ---- both ---- */

int head_size(const struct description *d, int hidden, int n_heads)
{
    if (!hidden || !n_heads)
        return 0;
    if (hidden % n_heads)
        description_fault(
            d, "the width %d is not a multiple of the %d heads, and no head size is given", hidden,
            n_heads);
    return hidden / n_heads;
}

void check_sizes(const struct description *d, const struct model_config *c)
{
    if (c->n_heads && c->n_kv_heads && c->n_heads % c->n_kv_heads)
        description_fault(d, "%d attention heads cannot share %d key-value heads evenly",
                          c->n_heads, c->n_kv_heads);
    if (c->head_dim % 2)
        description_fault(d, "the head size %d is odd: rope turns pairs", c->head_dim);
    if (c->head_dim > 2 * ROPE_PAIRS_MAX)
        description_fault(d, "the head size %d is more than %d", c->head_dim, 2 * ROPE_PAIRS_MAX);
    if ((int64_t)c->head_dim * c->n_heads > SIZE_MAX_SANE)
        description_fault(d, "%d heads of size %d are too many", c->n_heads, c->head_dim);
    if (c->vocab && (c->bos_id >= c->vocab || c->eos_id >= c->vocab))
        description_fault(d, "the begin or end token's id (%d, %d) is outside the vocabulary of %d",
                          c->bos_id, c->eos_id, c->vocab);
}

void describe_family(const struct family *f, struct model_config *c)
{
    snprintf(c->architecture, sizeof(c->architecture), "%s", f->architecture);
    c->pre_norm = !f->post_norm_only;
    c->post_norm = f->post_norm_only || f->both_norms;
    c->qk_norm = f->qk_norm;
    c->fused = f->fused;
    c->activation = f->activation;
    c->embedding_scale = c->residual_scale = c->logit_scale = 1;
    if (f->qkv_bias)
        c->biases[MODULE_Q] = c->biases[MODULE_K] = c->biases[MODULE_V] = true;
}
