/* core/job/trainable.c - see trainable.h. The layout is a function of the job and the model's
 * description: all ranks compute it, and nobody sends it. */
#include "core/job/trainable.h"
#include <stdio.h>
#include <stdlib.h>

static bool is_adapted(const struct job_lora *lora, const struct model_config *c,
                       enum module_kind kind)
{
    return lora->targets[kind] && model_has_module(c, kind);
}

int trainable_layout(const struct job_lora *lora, int directions, const struct model_config *config,
                     struct trainable *ret, struct err *err)
{
    int layer, kind, n = config->n_layers * MODULE_SLOTS;
    struct trainable t = {.rank = lora->rank, .directions = directions};

    t.maps = calloc((size_t)n + 1, sizeof(*t.maps));
    if (!t.maps)
        return err_nomem(err, (size_t)n * sizeof(*t.maps));
    for (layer = 0; layer < config->n_layers; layer++) {
        for (kind = 0; kind < MODULE_KINDS; kind++) {
            struct trainable_map *map = &t.maps[t.n];
            if (!is_adapted(lora, config, kind))
                continue;
            map->layer = layer;
            map->kind = kind;
            model_module_shape(config, kind, &map->rows, &map->columns);
            map->a = t.count;
            map->b = map->a + (size_t)t.rank * (size_t)map->columns;
            map->c = map->b + (size_t)t.rank * (size_t)map->rows;
            t.count = map->c + (size_t)t.directions;
            t.n++;
        }
    }
    *ret = t;
    return 0;
}

void trainable_free(struct trainable *t)
{
    free(t->maps);
    *t = (struct trainable){0};
}

void trainable_slice(const struct trainable *t, int first_layer, int last_layer, int *ret_first,
                     int *ret_last, size_t *ret_begin, size_t *ret_end)
{
    int first = 0, last;

    while (first < t->n && t->maps[first].layer < first_layer)
        first++;
    for (last = first; last < t->n && t->maps[last].layer < last_layer;)
        last++;
    *ret_first = first;
    *ret_last = last;
    *ret_begin = first < t->n ? t->maps[first].a : t->count;
    *ret_end = last < t->n ? t->maps[last].a : t->count;
}

void trainable_name(const struct trainable_map *map, char *text, size_t size)
{
    snprintf(text, size, "model.layers.%d.%s", map->layer, module_kind_path(map->kind));
}
