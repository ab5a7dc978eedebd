/* worker/ops/rmsnorm.h - root mean square normalisation (Zhang & Sennrich 2019, eq. 4).
 *
 *   y_t = x_t * rstd_t * w,   rstd_t = 1 / sqrt(mean_c(x_tc^2) + eps)
 *
 * T tokens, C channels, all arrays row-major f32. Rows are independent. w is frozen: there is no
 * dw.
 */
#pragma once
#include "worker/team.h"

struct rmsnorm {
    const float *w; /* (C), borrowed */
    int C;
    float eps;
};

/* Writes y (T, C) and, where rstd is not NULL, rstd (T). y may be x. */
void rmsnorm_forward(struct team *team, const struct rmsnorm *n, float *y, float *rstd,
                     const float *x, int T);

/* y (T, C) again, from x and the rstd that the forward pass kept. */
void rmsnorm_again(struct team *team, const struct rmsnorm *n, float *y, const float *x,
                   const float *rstd, int T);

/* Adds to dx (T, C) the gradient to the input, given dy (T, C) and the forward's x and rstd. */
void rmsnorm_backward(struct team *team, const struct rmsnorm *n, float *dx, const float *dy,
                      const float *x, const float *rstd, int T);
