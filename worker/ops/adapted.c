/* worker/ops/adapted.c - see adapted.h. Adapters of a group are one thin product down and one up
 * for each map; what dropout makes different for each map is done map by map. */
#include "worker/ops/adapted.h"
#include "worker/ops/gemm.h"
#include <stdlib.h>
#include <string.h>

/* Columns of a map's G and of its part of u. */
static int width_of(const struct adapted_group *g, const struct adapted_map *map)
{
    return map->r + g->k_max;
}

int group_open(struct adapted_group *g, int columns, int k_max, struct err *err)
{
    int i;

    g->columns = columns;
    g->k_max = k_max;
    g->k = 0;
    g->width = 0;
    for (i = 0; i < g->n; i++) {
        g->maps[i].u_at = g->width;
        g->width += width_of(g, &g->maps[i]);
    }
    if (g->n == 0)
        return 0;
    g->A = calloc((size_t)g->width * (size_t)columns, sizeof(float));
    for (i = 0; i < g->n; i++) {
        struct adapted_map *map = &g->maps[i];
        map->G = calloc((size_t)map->rows * (size_t)width_of(g, map), sizeof(float));
        map->c = calloc((size_t)k_max + 1, sizeof(float));
        if (!g->A || !map->G || !map->c)
            return err_nomem(err, (size_t)g->width * (size_t)columns * sizeof(float));
    }
    return 0;
}

void group_close(struct adapted_group *g)
{
    int i;

    for (i = 0; i < g->n; i++) {
        free(g->maps[i].G);
        free(g->maps[i].c);
    }
    free(g->A);
    *g = (struct adapted_group){0};
}

void group_load(struct adapted_group *g, int i, const float *A, const float *B, const float *c)
{
    struct adapted_map *map = &g->maps[i];
    int row, j, width = width_of(g, map);

    memcpy(g->A + (size_t)map->u_at * g->columns, A,
           (size_t)map->r * (size_t)g->columns * sizeof(float));
    for (row = 0; row < map->rows; row++)
        for (j = 0; j < map->r; j++)
            map->G[(size_t)row * width + j] = map->scale * B[(size_t)row * map->r + j];
    memcpy(map->c, c, (size_t)g->k_max * sizeof(float));
}

void group_direct(struct adapted_group *g, int i, const float *U, const float *V)
{
    struct adapted_map *map = &g->maps[i];
    int row, column, j, width = width_of(g, map);

    g->k = g->k_max;
    for (row = 0; row < map->rows; row++)
        for (j = 0; j < g->k; j++)
            map->G[(size_t)row * width + map->r + j] = U[(size_t)row * g->k + j];
    for (j = 0; j < g->k; j++)
        for (column = 0; column < g->columns; column++)
            g->A[(size_t)(map->u_at + map->r + j) * g->columns + column] =
                V[(size_t)column * g->k + j];
}

/* Copies u to out with its dash columns multiplied by c: u D. */
static void apply_c(const struct adapted_group *g, float *out, const float *u, int T)
{
    int t, i, j;

    if (out != u)
        memcpy(out, u, (size_t)T * (size_t)g->width * sizeof(float));
    if (g->k == 0)
        return;
    for (t = 0; t < T; t++)
        for (i = 0; i < g->n; i++)
            for (j = 0; j < g->k; j++)
                out[(size_t)t * g->width + g->maps[i].u_at + g->maps[i].r + j] *= g->maps[i].c[j];
}

/* u of one map when its LoRA branch sees a dropped x. */
static void down_dropped(struct team *team, const struct adapted_group *g,
                         const struct adapted_map *map, float *u, const float *x, int T,
                         const struct dropout *drop, float *dropped)
{
    struct dropout d = *drop;
    int m = g->columns;

    d.module = map->module;
    dropout_forward(team, &d, dropped, x, T, m);
    gemm(team, GEMM_NT, T, map->r, m, 1, (struct matrix){dropped, m},
         (struct matrix){g->A + (size_t)map->u_at * m, m}, 0, u + map->u_at, g->width);
    gemm(team, GEMM_NT, T, g->k_max, m, 1, (struct matrix){x, m},
         (struct matrix){g->A + (size_t)(map->u_at + map->r) * m, m}, 0, u + map->u_at + map->r,
         g->width);
}

void group_forward(struct team *team, const struct adapted_group *g, float *y, int ldy, float *u,
                   const float *x, int T, const struct dropout *drop,
                   struct adapted_scratch scratch)
{
    int i, m = g->columns;

    if (g->n == 0)
        return;
    if (!drop)
        gemm(team, GEMM_NT, T, g->width, m, 1, (struct matrix){x, m}, (struct matrix){g->A, m}, 0,
             u, g->width);
    for (i = 0; drop && i < g->n; i++)
        down_dropped(team, g, &g->maps[i], u, x, T, drop, scratch.dropped);
    apply_c(g, scratch.u, u, T);
    for (i = 0; i < g->n; i++) {
        const struct adapted_map *map = &g->maps[i];
        gemm(team, GEMM_NT, T, map->rows, map->r + g->k, 1,
             (struct matrix){scratch.u + map->u_at, g->width},
             (struct matrix){map->G, width_of(g, map)}, 1, y + map->y_at, ldy);
    }
}

static void gradient_of_c(const struct adapted_group *g, const struct adapted_map *map, float *dc,
                          const float *gu, const float *u, int T)
{
    int j, t;

    memset(dc, 0, (size_t)g->k_max * sizeof(float));
    for (j = 0; j < g->k; j++) {
        int at = map->u_at + map->r + j;
        double sum = 0;
        for (t = 0; t < T; t++)
            sum += (double)gu[(size_t)t * g->width + at] * u[(size_t)t * g->width + at];
        dc[j] = (float)sum;
    }
}

/* dA of one map and, where dx is wanted, its part of dx, with dropout. */
static void up_dropped(struct team *team, const struct adapted_group *g,
                       const struct adapted_map *map, float *dA, float *dx, const float *du,
                       const float *x, int T, const struct dropout *drop, float *dropped)
{
    struct dropout d = *drop;
    int m = g->columns;
    struct matrix lora = {du + map->u_at, g->width};

    d.module = map->module;
    dropout_forward(team, &d, dropped, x, T, m);
    gemm(team, GEMM_TN, map->r, m, T, 1, lora, (struct matrix){dropped, m}, 0, dA, m);
    if (!dx)
        return;
    gemm(team, GEMM_NN, T, m, map->r, 1, lora, (struct matrix){g->A + (size_t)map->u_at * m, m}, 0,
         dropped, m);
    dropout_backward(team, &d, dx, dropped, T, m);
    gemm(team, GEMM_NN, T, m, g->k, 1, (struct matrix){du + map->u_at + map->r, g->width},
         (struct matrix){g->A + (size_t)(map->u_at + map->r) * m, m}, 1, dx, m);
}

void group_backward(struct team *team, const struct adapted_group *g,
                    const struct adapted_slice *grads, float *dx, const float *dy, int ldy,
                    const float *u, const float *x, int T, const struct dropout *drop,
                    struct adapted_scratch scratch)
{
    int i, m = g->columns;
    float *du = scratch.u;

    for (i = 0; i < g->n; i++) {
        const struct adapted_map *map = &g->maps[i];
        struct matrix dyi = {dy + map->y_at, ldy};
        int width = width_of(g, map);
        gemm(team, GEMM_NN, T, width, map->rows, 1, dyi, (struct matrix){map->G, width}, 0,
             du + map->u_at, g->width);
        gemm(team, GEMM_TN, map->rows, map->r, T, map->scale, dyi,
             (struct matrix){u + map->u_at, g->width}, 0, grads[i].B, map->r);
        gradient_of_c(g, map, grads[i].c, du, u, T);
    }
    if (g->n)
        apply_c(g, du, du, T);
    for (i = 0; i < g->n; i++) {
        const struct adapted_map *map = &g->maps[i];
        if (drop)
            up_dropped(team, g, map, grads[i].A, dx, du, x, T, drop, scratch.dropped);
        else
            gemm(team, GEMM_TN, map->r, m, T, 1, (struct matrix){du + map->u_at, g->width},
                 (struct matrix){x, m}, 0, grads[i].A, m);
    }
    if (g->n && dx && !drop)
        gemm(team, GEMM_NN, T, m, g->width, 1, (struct matrix){du, g->width},
             (struct matrix){g->A, m}, 1, dx, m);
}
