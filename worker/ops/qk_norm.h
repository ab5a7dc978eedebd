/* worker/ops/qk_norm.h - root mean square normalisation of q or of k in place, before rope: of each
 * head by itself (Qwen 3, Gemma 3), or of all its heads as one (OLMo 2).
 *
 *   y = x * rstd * w, as in rmsnorm.h
 *
 * Rows of x (T, ld) begin with `heads` heads of D numbers.
 */
#pragma once
#include "worker/team.h"
#include <stdbool.h>

struct qk_norm_op {
    const float *w; /* borrowed: (D), or (heads D) where it is `whole`; NULL: none */
    bool whole;
    int heads, D;
    float eps;
};

/* raw (T, heads D) and rstd (T, heads) are kept for the way back. */
void qk_norm_forward(struct team *team, const struct qk_norm_op *n, float *x, int ld, float *raw,
                     float *rstd, int T);
/* Turns the gradient to y in d into that to x. */
void qk_norm_backward(struct team *team, const struct qk_norm_op *n, float *d, int ld,
                      const float *raw, const float *rstd, int T);
