/* worker/ops/loss.h - lm_head, softmax and cross entropy at the trained positions, forward and
 * backward in one pass, a chunk of rows at a time: the logits of a step are never all in memory.
 *
 *   loss_i = logsumexp_v(h_i . w_v) - h_i . w_target(i);   dlogits = (softmax - onehot) * weight
 */
#pragma once
#include "worker/team.h"
#include <stdint.h>

struct head {
    const float *w; /* (V, C), borrowed */
    int V, C;
};

enum { LOSS_CHUNK = 64 }; /* rows of logits at a time */

/* Returns the sum of the losses of n rows h (n, C) with their targets (n). Where dh is not NULL,
 * writes dh (n, C) = gradient of weight * sum. logits: scratch of LOSS_CHUNK * V floats. */
double loss_forward_backward(struct team *team, const struct head *head, float *dh, const float *h,
                             const int32_t *targets, int n, float weight, float *logits);

/* logits (n, V) alone, for generation. */
void head_forward(struct team *team, const struct head *head, float *logits, const float *h, int n);
