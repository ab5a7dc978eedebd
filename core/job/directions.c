/* core/job/directions.c - see directions.h. The arrays of all matrices are allocated as one set,
 * in the order of a checkpoint; each matrix has pointers into them. */
#include "core/job/directions.h"
#include "core/finite.h"
#include <float.h>
#include <stdlib.h>
#include <string.h>

static void lay_out(struct direction_set *s, const struct trainable_map *maps)
{
    size_t k = (size_t)s->k, row = 0, column = 0;

    for (int i = 0; i < s->n; i++) {
        s->of[i] = (struct directions){
            .k = s->k,
            .rows = maps[i].rows,
            .columns = maps[i].columns,
            .indices = s->indices + (size_t)i * k,
            .delta = s->delta + (size_t)i * k,
            .sigma = s->sigma + (size_t)i * k,
            .next_delta = s->next_delta + i,
            .U = s->U + row * k,
            .V = s->V + column * k,
        };
        row += (size_t)maps[i].rows;
        column += (size_t)maps[i].columns;
    }
}

void direction_set_size(struct direction_set *s, const struct trainable_map *maps, int n, int k)
{
    *s = (struct direction_set){.n = n, .k = k};
    for (int i = 0; i < n; i++) {
        s->rows += (size_t)maps[i].rows;
        s->columns += (size_t)maps[i].columns;
    }
}

int direction_set_open(struct direction_set *s, const struct trainable_map *maps, int n, int k,
                       struct err *err)
{
    size_t count = (size_t)n * (size_t)k;

    direction_set_size(s, maps, n, k);
    s->indices = calloc(count, sizeof(*s->indices));
    s->delta = calloc(count, sizeof(*s->delta));
    s->sigma = calloc(count, sizeof(*s->sigma));
    s->next_delta = calloc((size_t)n, sizeof(*s->next_delta));
    s->U = calloc(s->rows * (size_t)k, sizeof(*s->U));
    s->V = calloc(s->columns * (size_t)k, sizeof(*s->V));
    s->of = calloc((size_t)n, sizeof(*s->of));
    if (!s->indices || !s->delta || !s->sigma || !s->next_delta || !s->U || !s->V || !s->of) {
        size_t bytes = (s->rows + s->columns) * (size_t)k * sizeof(float);
        direction_set_close(s);
        return err_nomem(err, bytes);
    }
    lay_out(s, maps);
    return 0;
}

void direction_set_close(struct direction_set *s)
{
    free(s->indices);
    free(s->delta);
    free(s->sigma);
    free(s->next_delta);
    free(s->U);
    free(s->V);
    free(s->of);
    *s = (struct direction_set){0};
}

struct directions_view directions_view(const struct directions *d)
{
    return (struct directions_view){d->indices, d->delta, d->sigma, d->next_delta, d->U, d->V};
}

/* k different numbers of [0, n). */
static bool indices_are_right(const char *at, int k, int n)
{
    int32_t x, y;

    for (int i = 0; i < k; i++) {
        memcpy(&x, at + (size_t)i * sizeof(x), sizeof(x));
        if (x < 0 || x >= n)
            return false;
        for (int j = 0; j < i; j++) {
            memcpy(&y, at + (size_t)j * sizeof(y), sizeof(y));
            if (x == y)
                return false;
        }
    }
    return true;
}

const char *directions_fault(const struct directions_view *v, int k, int rows, int columns)
{
    size_t count = (size_t)k;

    if (!indices_are_right(v->indices, k, rows < columns ? rows : columns))
        return "an index of a direction is out of range or is there twice";
    if (!doubles_are_right(v->delta, count, 0) || !doubles_are_right(v->sigma, count, 0) ||
        !doubles_are_right(v->next_delta, 1, 0))
        return "a delta or sigma is negative or not finite";
    if (!floats_are_right(v->U, count * (size_t)rows, -FLT_MAX) ||
        !floats_are_right(v->V, count * (size_t)columns, -FLT_MAX))
        return "a number of a direction is not finite";
    return NULL;
}

void directions_load(struct directions *d, const struct directions_view *from)
{
    size_t k = (size_t)d->k;

    memcpy(d->indices, from->indices, k * sizeof(*d->indices));
    memcpy(d->delta, from->delta, k * sizeof(*d->delta));
    memcpy(d->sigma, from->sigma, k * sizeof(*d->sigma));
    memcpy(d->next_delta, from->next_delta, sizeof(*d->next_delta));
    memcpy(d->U, from->U, k * (size_t)d->rows * sizeof(*d->U));
    memcpy(d->V, from->V, k * (size_t)d->columns * sizeof(*d->V));
}
