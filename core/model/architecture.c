/* core/model/architecture.c - see architecture.h: which maps a model has, and of which shape. All
 * sizes were checked when the description was read. */
#include "core/model/architecture.h"
#include <stdio.h>

bool model_has_module(const struct model_config *c, enum module_kind kind)
{
    switch (kind) {
    case MODULE_QKV:
    case MODULE_GATE_UP:
        return c->fused;
    case MODULE_O:
    case MODULE_DOWN:
        return true;
    default:
        return !c->fused;
    }
}

void model_module_shape(const struct model_config *c, enum module_kind kind, int *ret_rows,
                        int *ret_columns)
{
    int q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    const int shapes[MODULE_KINDS][2] = {
        [MODULE_Q] = {q, c->hidden},
        [MODULE_K] = {kv, c->hidden},
        [MODULE_V] = {kv, c->hidden},
        [MODULE_QKV] = {q + 2 * kv, c->hidden},
        [MODULE_O] = {c->hidden, q},
        [MODULE_GATE] = {c->intermediate, c->hidden},
        [MODULE_UP] = {c->intermediate, c->hidden},
        [MODULE_GATE_UP] = {2 * c->intermediate, c->hidden},
        [MODULE_DOWN] = {c->hidden, c->intermediate},
    };

    *ret_rows = shapes[kind][0];
    *ret_columns = shapes[kind][1];
}

bool model_has_windows(const struct model_config *c)
{
    for (int i = 0; i < c->n_layers; i++)
        if (c->layers[i] & LAYER_WINDOW)
            return true;
    return false;
}

void model_module_names(const struct model_config *c, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (int kind = 0; kind < MODULE_KINDS && used < size; kind++)
        if (model_has_module(c, kind))
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "",
                                     module_kind_name(kind));
}
