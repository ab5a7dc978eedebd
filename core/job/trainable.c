/* core/job/trainable.c - see trainable.h. The layout is a function of the job and the model's
 * description: all ranks compute it, and nobody sends it. */
#include "core/job/trainable.h"
#include <stdlib.h>

int trainable_layout(const struct lora_maps *maps, int directions,
                     const struct model_config *config, struct trainable *ret, struct err *err)
{
    struct trainable t = {.directions = directions, .rslora = maps->scaling == SCALING_RSLORA};

    t.maps = calloc((size_t)maps->n + 1, sizeof(*t.maps));
    if (!t.maps)
        return err_nomem(err, (size_t)maps->n * sizeof(*t.maps));
    for (; t.n < maps->n; t.n++) {
        const struct lora_map *from = &maps->of[t.n];
        struct trainable_map *map = &t.maps[t.n];
        *map = (struct trainable_map){.layer = from->layer,
                                      .kind = from->kind,
                                      .rank = from->rank,
                                      .alpha = from->alpha,
                                      .scale = lora_scale(from->alpha, from->rank, maps->scaling)};
        model_module_shape(config, map->kind, &map->rows, &map->columns);
        map->a = t.count;
        map->b = map->a + (size_t)map->rank * (size_t)map->columns;
        map->c = map->b + (size_t)map->rank * (size_t)map->rows;
        t.count = map->c + (size_t)t.directions;
    }
    *ret = t;
    return 0;
}

int trainable_of_job(const struct job *job, const struct model_config *config,
                     struct trainable *ret, struct err *err)
{
    struct problems problems = {0};
    struct lora_maps maps = {0};
    int rc = lora_maps_choose(job, config, &maps, &problems, err);

    if (rc == ERR_INVALID && problems.n > 0)
        err_set(err, rc, "%s", problems.items[0].text);
    if (rc == 0)
        rc = trainable_layout(&maps, job->dash.directions, config, ret, err);
    lora_maps_free(&maps);
    problems_free(&problems);
    return rc;
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
