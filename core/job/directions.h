/* core/job/directions.h - the k singular directions chosen for each frozen matrix W (n, m): those
 * that training has moved most, relative to sigma (arXiv 2409.01035, section 4.1).
 *
 * The worker that decomposed W makes them, the coordinator and its checkpoints keep them, and every
 * worker of the stage uses U and V. They are held, checked and copied by the functions here
 * wherever they stand: in memory, in a message (proto/rank_bodies.h), in a checkpoint.
 */
#pragma once
#include "core/err.h"
#include "core/job/trainable.h"
#include <stdint.h>

/* Of one matrix. The pointers are into the arrays of a set. */
struct directions {
    int k, rows, columns;
    int32_t *indices;      /* (k) of singular values; the largest delta first */
    double *delta, *sigma; /* (k) */
    double *next_delta;    /* (1) the largest delta that was not chosen */
    float *U, *V;          /* (rows, k), (columns, k) */
};

/* Of n matrices. Each array holds theirs one after the other, as a checkpoint does. */
struct direction_set {
    int n, k;
    size_t rows, columns;  /* sums over the matrices */
    int32_t *indices;      /* (n, k) */
    double *delta, *sigma; /* (n, k) */
    double *next_delta;    /* (n) */
    float *U, *V;          /* (rows, k), (columns, k) */
    struct directions *of; /* (n) */
};

/* Without memory: the sizes alone. */
void direction_set_size(struct direction_set *s, const struct trainable_map *maps, int n, int k);
/* For the n matrices of maps; all zero. k is 1 or more. */
int direction_set_open(struct direction_set *s, const struct trainable_map *maps, int n, int k,
                       struct err *err);
void direction_set_close(struct direction_set *s); /* a zeroed one too */

/* The arrays of one matrix in a message, borrowed; they may be unaligned. */
struct directions_view {
    const void *indices, *delta, *sigma, *next_delta, *U, *V;
};

struct directions_view directions_view(const struct directions *d);
/* What is wrong with the numbers, for k directions of a rows x columns matrix; NULL where nothing
 * is. */
const char *directions_fault(const struct directions_view *v, int k, int rows, int columns);
/* Copies all numbers of a view of the same size. */
void directions_load(struct directions *d, const struct directions_view *from);
