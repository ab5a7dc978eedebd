/* worker/ops/adapted.c - see adapted.h. Adapters of a group are one thin product down and one up
 * for each map; what dropout makes different for each map is done map by map. A map whose output is
 * in two parts is cut in two pieces by its rows: each has its rows of G and of B, and both add to
 * the map's du. */
#include "worker/ops/adapted.h"
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

/* What a map and a part have in common. */
struct piece {
    const struct adapted_part *part;
    int rows;     /* of G and of B; 0: nothing */
    int from;     /* its first row there */
    float *y;     /* its first column in the part */
    int width;    /* columns of G */
    int u_at, ld; /* where the map's columns of u are; ld: of u */
};

static struct piece piece_of(const struct adapted_group *g, const struct adapted_map *map,
                             const struct adapted_part *part)
{
    int first = map->y_at > part->first ? map->y_at : part->first;
    int end = map->y_at + map->rows, last = end < part->last ? end : part->last;

    return (struct piece){part,
                          last > first ? last - first : 0,
                          first - map->y_at,
                          part->y + first - part->first,
                          width_of(g, map),
                          map->u_at,
                          g->width};
}

/* The piece's columns of u at its part's rows: in u itself, or copied to `some`. */
static struct matrix u_of(const struct piece *p, const float *u, float *some)
{
    if (!p->part->at)
        return (struct matrix){u + p->u_at, p->ld};
    for (int i = 0; i < p->part->n; i++)
        memcpy(some + (size_t)i * (size_t)p->width,
               u + (size_t)p->part->at[i] * (size_t)p->ld + p->u_at,
               (size_t)p->width * sizeof(float));
    return (struct matrix){some, p->width};
}

void group_down(struct team *team, const struct adapted_group *g, float *u, const float *x, int T,
                const struct dropout *drop, struct adapted_scratch scratch)
{
    int m = g->columns;

    if (g->n == 0)
        return;
    if (!drop)
        gemm(team, GEMM_NT, T, g->width, m, 1, (struct matrix){x, m}, (struct matrix){g->A, m}, 0,
             u, g->width);
    for (int i = 0; drop && i < g->n; i++)
        down_dropped(team, g, &g->maps[i], u, x, T, drop, scratch.dropped);
    apply_c(g, scratch.u, u, T);
}

int group_up(const struct adapted_group *g, const struct adapted_part *part,
             struct adapted_scratch scratch, struct gemm_term terms[GEMM_TERMS_MAX])
{
    int n = 0;

    for (int i = 0; i < g->n; i++) {
        const struct adapted_map *map = &g->maps[i];
        struct piece p = piece_of(g, map, part);
        if (!p.rows)
            continue;
        terms[n++] = (struct gemm_term){
            GEMM_NT,
            (int)(p.y - part->y),
            p.rows,
            map->r + g->k,
            u_of(&p, scratch.u, scratch.some),
            {map->G + (size_t)p.from * (size_t)p.width, p.width},
        };
        if (part->at)
            scratch.some += (size_t)part->n * (size_t)p.width;
    }
    return n;
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

/* Adds rows du (n, width) of a piece at some rows to the group's du. */
static void spread(const struct piece *p, float *du, const float *some)
{
    for (int i = 0; i < p->part->n; i++) {
        float *row = du + (size_t)p->part->at[i] * (size_t)p->ld + p->u_at;
        for (int j = 0; j < p->width; j++)
            row[j] += some[(size_t)i * (size_t)p->width + (size_t)j];
    }
}

/* Takes a piece's dy to du, all of it or added to what is there, and to its rows of dB. */
static void piece_backward(struct team *team, const struct adapted_map *map, const struct piece *p,
                           float *dB, float *du, const float *u, int T, float *some)
{
    struct matrix dy = {p->y, p->part->ldy};
    struct matrix G = {map->G + (size_t)p->from * (size_t)p->width, p->width};
    float *copied = some + (size_t)T * (size_t)p->ld;
    int n = p->part->n;

    if (p->part->at) {
        gemm(team, GEMM_NN, n, p->width, p->rows, 1, dy, G, 0, some, p->width);
        spread(p, du, some);
    } else {
        gemm(team, GEMM_NN, n, p->width, p->rows, 1, dy, G, 0, du + p->u_at, p->ld);
    }
    gemm(team, GEMM_TN, p->rows, map->r, n, map->scale, dy, u_of(p, u, copied), 0,
         dB + (size_t)p->from * (size_t)map->r, map->r);
}

static void map_backward(struct team *team, const struct adapted_group *g,
                         const struct adapted_map *map, const struct adapted_slice *grads,
                         const struct adapted_part *parts, int n_parts, float *du, const float *u,
                         int T, float *some)
{
    int i, t, width = width_of(g, map);

    for (i = 0; i < n_parts; i++) {
        struct piece p = piece_of(g, map, &parts[i]);
        if (i == 0 && !p.rows)
            for (t = 0; t < T; t++)
                memset(du + (size_t)t * (size_t)g->width + map->u_at, 0,
                       (size_t)width * sizeof(float));
        if (p.rows)
            piece_backward(team, map, &p, grads->B, du, u, T, some);
    }
    gradient_of_c(g, map, grads->c, du, u, T);
}

void group_up_backward(struct team *team, const struct adapted_group *g,
                       const struct adapted_slice *grads, const struct adapted_part *parts,
                       int n_parts, const float *u, int T, struct adapted_scratch scratch)
{
    float *du = scratch.u;

    for (int i = 0; i < g->n; i++)
        map_backward(team, g, &g->maps[i], &grads[i], parts, n_parts, du, u, T, scratch.some);
    if (g->n)
        apply_c(g, du, du, T);
}

int group_down_backward(const struct adapted_group *g, struct adapted_scratch scratch,
                        struct gemm_term terms[GEMM_TERMS_MAX])
{
    if (g->n == 0)
        return 0;
    terms[0] = (struct gemm_term){GEMM_NN,           0, g->columns, g->width, {scratch.u, g->width},
                                  {g->A, g->columns}};
    return 1;
}

void group_input_backward(struct team *team, const struct adapted_group *g,
                          const struct adapted_slice *grads, float *dx, const float *x, int T,
                          const struct dropout *drop, struct adapted_scratch scratch)
{
    int m = g->columns;
    const float *du = scratch.u;

    for (int i = 0; i < g->n; i++) {
        const struct adapted_map *map = &g->maps[i];
        if (drop)
            up_dropped(team, g, map, grads[i].A, dx, du, x, T, drop, scratch.dropped);
        else
            gemm(team, GEMM_TN, map->r, m, T, 1, (struct matrix){du + map->u_at, g->width},
                 (struct matrix){x, m}, 0, grads[i].A, m);
    }
}
