/* worker/ops/qk_norm.h - root mean square normalisation of q and k in place, before rope: of each
 * head by itself (Qwen 3, Gemma 3), or of all heads of q, and all of k, as one (OLMo 2).
 *
 *   y = x * rstd * w, as in rmsnorm.h
 *
 * Rows of qkv (T, ld) begin with H query heads and G key heads of D numbers.
 */
#pragma once
#include "worker/team.h"
#include <stdbool.h>

struct qk_norm_op {
    const float *q, *k; /* weights, borrowed: (D), or (H D) and (G D) */
    bool whole;
    int H, G, D;
    float eps;
};

/* raw (T, (H + G) D) and rstd (T, H + G) are kept for the way back. */
void qk_norm_forward(struct team *team, const struct qk_norm_op *n, float *qkv, int ld, float *raw,
                     float *rstd, int T);
/* Turns the gradient to y in dqkv into that to x. */
void qk_norm_backward(struct team *team, const struct qk_norm_op *n, float *dqkv, int ld,
                      const float *raw, const float *rstd, int T);
