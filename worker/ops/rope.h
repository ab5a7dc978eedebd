/* worker/ops/rope.h - rotary position embedding (Su et al. 2021, eq. 34), in HF's layout: channel i
 * of a head is rotated together with channel i + pairs; channels from 2 * pairs on stay.
 *
 *   y_i = x_i cos - x_{i+pairs} sin,   y_{i+pairs} = x_{i+pairs} cos + x_i sin,
 *   cos and sin of position * freq_i, times scale (core/model/architecture.h)
 */
#pragma once
#include "core/err.h"
#include "core/model/architecture.h"
#include "worker/team.h"
#include <stdint.h>

struct rope {
    const struct model_config *config;        /* borrowed */
    float *cos[ROPE_KINDS], *sin[ROPE_KINDS]; /* (positions, pairs), owned; NULL: not used */
    int positions;
};

/* Where each row of x stands. */
struct token_positions {
    const int32_t *positions; /* (T) */
    const int32_t *lengths;   /* (T): tokens of the example that the row belongs to */
};

void rope_open(const struct model_config *config, struct rope *ret);
void rope_close(struct rope *r);
/* Makes the tables for positions below this. */
int rope_fit(struct rope *r, int positions, struct err *err);

/* Rotates in place the first n_heads heads of each row of x (T, ld) by its position. local: by the
 * angles of layers with a window, where they have their own. */
void rope_forward(struct team *team, const struct rope *r, bool local, float *x, int ld,
                  int n_heads, struct token_positions at, int T);
/* The transpose: rotates back. */
void rope_backward(struct team *team, const struct rope *r, bool local, float *dx, int ld,
                   int n_heads, struct token_positions at, int T);
