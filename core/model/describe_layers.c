/* core/model/describe_layers.c - which layers have a window, and which are turned by rope. A family
 * has a rule; the keys layer_types and no_rope_layers name the layers one by one. */
#include "core/model/description.h"
#include <string.h>

/* By the rule alone. */
static bool rule_has_window(const struct family *f, int layer, int from, int period, bool rotated)
{
    switch (f->window_rule) {
    case WINDOW_ALL:
        return true;
    case WINDOW_FROM:
        return layer >= from;
    case WINDOW_PERIODIC:
        return (layer + 1) % period != 0;
    case WINDOW_UNROTATED:
        return !rotated;
    default:
        return false;
    }
}

static void set_layer(const struct family *f, struct model_config *c, int layer, bool window,
                      bool rotated)
{
    c->layers[layer] = (unsigned char)((window ? LAYER_WINDOW : 0) | (rotated ? LAYER_ROPE : 0) |
                                       (f->local_rope && window ? LAYER_ROPE_LOCAL : 0));
}

static bool json_is_rotated(const struct description *d, const json_t *list, int layer,
                            int interval)
{
    const json_t *item = json_array_get(list, (size_t)layer);

    if (!d->family->unrotated_layers)
        return true;
    if (!json_is_set(list))
        return (layer + 1) % interval != 0;
    return json_is_true(item) || json_integer_value(item) != 0;
}

static void check_list(const struct description *d, const json_t *list, const char *key, int n)
{
    if (json_is_set(list) && (!json_is_array(list) || (int)json_array_size(list) < n))
        description_fault(d, "%s must be a list with one entry for each of the %d layers", key, n);
}

/* layer_types[layer] says so. */
static bool type_has_window(const struct description *d, const json_t *types, int layer)
{
    const char *type = json_string_value(json_array_get(types, (size_t)layer));

    if (type && strcmp(type, "sliding_attention") == 0)
        return true;
    if (json_is_array(types) && (int)json_array_size(types) > layer &&
        (!type || strcmp(type, "full_attention") != 0))
        description_fault(d,
                          "layer_types: entry %d is '%.40s': full_attention and sliding_attention "
                          "are supported",
                          layer, type ? type : "(not a string)");
    return false;
}

/* The window in use, 0 for none. */
static int json_window(const struct description *d)
{
    const struct family *f = d->family;
    const json_t *value;
    bool optional = f->window_rule == WINDOW_FROM || f->window_rule == WINDOW_UNROTATED;

    if (f->window_rule == WINDOW_NONE)
        return 0;
    value = root_get(d, "sliding_window");
    if (optional && !root_bool(d, "use_sliding_window", false))
        return 0;
    if (value && json_is_null(value))
        return 0;
    if (json_is_integer(value) && json_integer_value(value) > INT32_MAX)
        return INT32_MAX;
    return value ? root_int(d, "sliding_window", INT32_MAX, 0) : f->window;
}

/* The numbers of the family's rule, as config.json has them. */
struct rule {
    int from, period, interval;
};

static struct rule json_rule(const struct description *d)
{
    const struct family *f = d->family;
    struct rule r = {.period = f->window_period, .interval = 4};

    if (f->window_rule == WINDOW_FROM) {
        const json_t *from = root_get(d, "max_window_layers");
        json_int_t n = json_is_set(from) ? json_integer_value(from) : 28;
        r.from = n < 0 ? 0 : n > LAYERS_MAX ? LAYERS_MAX : (int)n;
    }
    if (f->local_rope) {
        root_get(d, "_sliding_window_pattern");
        r.period = root_int(d, "sliding_window_pattern", LAYERS_MAX, r.period);
    }
    if (f->unrotated_layers)
        r.interval = root_int(d, "no_rope_layer_interval", LAYERS_MAX, r.interval);
    return r;
}

/* A periodic window belongs to the family; the other rules hold while a window is in use. */
static bool has_window(const struct family *f, const struct model_config *c, const struct rule *r,
                       int layer, bool rotated)
{
    return (c->window || f->window_rule == WINDOW_PERIODIC) &&
           rule_has_window(f, layer, r->from, r->period, rotated);
}

void describe_json_layers(const struct description *d, struct model_config *c)
{
    const struct family *f = d->family;
    const json_t *types = f->layer_types ? root_get(d, "layer_types") : NULL;
    const json_t *rotated = f->unrotated_layers ? root_get(d, "no_rope_layers") : NULL;
    struct rule r = json_rule(d);
    int before = problems_count(d->problems);

    c->window = json_window(d);
    check_list(d, types, "layer_types", c->n_layers);
    check_list(d, rotated, "no_rope_layers", c->n_layers);
    if ((f->local_rope && !r.period) || !r.interval)
        return;
    for (int i = 0; i < c->n_layers; i++) {
        bool turned = json_is_rotated(d, rotated, i, r.interval);
        bool window =
            json_is_set(types) ? type_has_window(d, types, i) : has_window(f, c, &r, i, turned);
        set_layer(f, c, i, window, turned);
        if (window && !c->window && problems_count(d->problems) == before) {
            description_fault(d, "layer %d has a sliding window, but sliding_window is not in use",
                              i);
            return;
        }
    }
}

/* 0 for none. */
static int gguf_window(const struct description *d)
{
    enum window_rule rule = d->family->window_rule;
    char full[128];
    double v = 0;

    if (!gguf_has(d, "attention.sliding_window"))
        return rule == WINDOW_PERIODIC ? d->family->window : 0;
    gguf_key(d, "attention.sliding_window", full, sizeof(full));
    if (tensorfile_kv_number(d->gguf, full, &v) && v == 0)
        return 0;
    if (rule != WINDOW_ALL && rule != WINDOW_PERIODIC)
        description_fault(d, "%s: a sliding window is not supported for %s", full, d->family->gguf);
    return gguf_int(d, "attention.sliding_window", INT32_MAX, 0);
}

void describe_gguf_layers(const struct description *d, struct model_config *c)
{
    const struct family *f = d->family;
    const struct gguf_array *list = gguf_list(d, "attention.sliding_window_pattern");
    struct rule r = {.period = f->window_period ? f->window_period : 1};

    if (!list)
        r.period = gguf_int(d, "attention.sliding_window_pattern", LAYERS_MAX, r.period);
    c->window = gguf_window(d);
    if (list && (list->strings || list->n < c->n_layers)) {
        description_fault(d, "attention.sliding_window_pattern has %lld entries for %d layers",
                          (long long)list->n, c->n_layers);
        return;
    }
    for (int i = 0; i < c->n_layers && r.period; i++) {
        bool turned = !f->unrotated_layers || (i + 1) % 4 != 0;
        bool window = list ? gguf_number(list, i) != 0 : has_window(f, c, &r, i, turned);
        set_layer(f, c, i, window && c->window, turned);
    }
}
