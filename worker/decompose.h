/* worker/decompose.h - decomposes a stage's adapted matrices: while training continues, and at
 * step t what is left.
 *
 * Threads of low priority take the matrices one by one; each decomposition goes to the cache. A
 * matrix that is in the cache already costs nothing. Where the cache is full or cannot be written,
 * a decomposition is kept in memory as long as there is room, and else made when it is used.
 *
 * At step t decompose_use() has a team go through all matrices: each takes one, gets its
 * decomposition from the cache, from memory or by computing it, and uses it, so that all cores
 * compute what is left, a matrix a core, and no more decompositions are in memory than there are
 * threads. How many that are is bounded by the memory that is free.
 */
#pragma once
#include "core/err.h"
#include "core/tensor/weight.h"
#include "worker/spectrum_cache.h"
#include "worker/team.h"

struct decompose;

struct decompose_progress {
    int done, n;         /* matrices */
    double seconds_left; /* at the pace so far; 0: unknown, or nothing is left */
    double cached_bytes; /* that were added to the cache */
};

/* Copies the list, not the weights, which must outlive decompose_stop(). threads: of low priority,
 * at least 1. */
int decompose_start(const struct weight_rows *matrices, int n, const struct spectrum_cache *cache,
                    int threads, struct decompose **ret, struct err *err);
struct decompose_progress decompose_progress(struct decompose *d);

struct decompose_user {
    /* Called once for each matrix i of the list, by several threads at a time. */
    int (*use)(void *context, int i, const struct spectrum *s, struct err *err);
    /* Called by the caller's thread now and then. */
    void (*progress)(void *context);
    void *context;
};

/* Ends the threads of low priority and has the team use all matrices. The failure that is returned
 * is that of the first matrix of the list which failed. Once only. */
int decompose_use(struct decompose *d, struct team *team, const struct decompose_user *user,
                  struct err *err);
/* Ends after the matrices in hand. NULL-safe. */
void decompose_stop(struct decompose *d);
