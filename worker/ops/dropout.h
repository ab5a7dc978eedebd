/* worker/ops/dropout.h - inverted dropout on the input of a LoRA branch.
 *
 *   y_tc = x_tc / (1 - p) where the mask keeps it, else 0
 *
 * The mask of one number depends on (seed, step, row of the data, layer, module, position, channel)
 * and on nothing else: the same for every packing, sharding, thread count and repetition, and made
 * again in the backward pass.
 */
#pragma once
#include "core/rng.h"
#include "worker/team.h"
#include <stdint.h>

struct dropout {
    float p; /* 0: none */
    struct rng_key key;
    uint32_t step, module;    /* module: layer * MODULE_KINDS + kind */
    const int32_t *rows;      /* (T): the data row of each token */
    const int32_t *positions; /* (T) */
};

/* Writes y (T, C). */
void dropout_forward(struct team *team, const struct dropout *d, float *y, const float *x, int T,
                     int C);
/* Adds to dx (T, C) the gradient to x, given dy. */
void dropout_backward(struct team *team, const struct dropout *d, float *dx, const float *dy, int T,
                      int C);
