/* worker/decompose.h - decomposes a stage's adapted matrices while training continues.
 *
 * One thread of low priority takes the matrices one by one; each decomposition goes to the cache, a
 * folder shared by all jobs, under the hash of the matrix, and is read back when directions are
 * chosen. A matrix that is in the cache already costs nothing. Where the cache cannot be written
 * the result is kept in memory instead.
 */
#pragma once
#include "core/err.h"
#include "worker/spectrum.h"

struct decompose;

struct decompose_matrix {
    int map;        /* in the job's struct trainable */
    const float *W; /* must outlive the thread */
    int rows, columns;
};

/* Copies the list. cache may be NULL: nothing is cached then. */
int decompose_start(const struct decompose_matrix *matrices, int n, const char *cache,
                    struct decompose **ret, struct err *err);
/* Waits for matrix i of the list and gives its decomposition; the caller frees it. */
int decompose_result(struct decompose *d, int i, struct spectrum *ret, struct err *err);
/* Ends after the matrix in hand. NULL-safe. */
void decompose_stop(struct decompose *d);
