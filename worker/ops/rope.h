/* worker/ops/rope.h - rotary position embedding (Su et al. 2021, eq. 34), in HF's layout: channel i
 * of a head is rotated together with channel i + D/2.
 *
 *   y_i = x_i cos - x_{i+D/2} sin,   y_{i+D/2} = x_{i+D/2} cos + x_i sin,   angle = position *
 *                                    freq_i
 *   freq_i = theta^(-2i/D), rescaled by Llama 3's rule where the model asks for it
 */
#pragma once
#include "core/err.h"
#include "core/model/model.h"
#include "worker/team.h"
#include <stdint.h>

struct rope {
    float *cos, *sin; /* (positions, D/2), owned */
    int positions, D;
};

int rope_open(const struct model_config *config, int positions, struct rope *ret, struct err *err);
void rope_close(struct rope *r);

/* Rotates in place the first n_heads heads of each row of x (T, ld) by its position. */
void rope_forward(struct team *team, const struct rope *r, float *x, int ld, int n_heads,
                  const int32_t *positions, int T);
/* The transpose: rotates back. */
void rope_backward(struct team *team, const struct rope *r, float *dx, int ld, int n_heads,
                   const int32_t *positions, int T);
