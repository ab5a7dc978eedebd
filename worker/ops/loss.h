/* worker/ops/loss.h - lm_head, softmax and cross entropy at the trained positions, forward and
 * backward in one pass, a chunk of rows at a time: the logits of a step are never all in memory.
 *
 *   loss_i = logsumexp_v(z_iv) - z_i,target(i),   z_iv = cap(scale h_i . w_v)
 *   d(h_i . w_v) = (softmax - onehot) * weight * slope of the cap * scale
 */
#pragma once
#include "core/tensor/weight.h"
#include "worker/team.h"
#include <stddef.h>
#include <stdint.h>

struct head {
    const struct weight *w; /* (V, C), borrowed */
    int V, C;
    float scale;
    float cap; /* soft_cap.h; 0: none */
};

/* Rows of logits at a time: at most LOSS_CHUNK, fewer where the vocabulary is large, so that they
 * take no more than LOSS_CHUNK_FLOATS, but no fewer than LOSS_CHUNK_MIN. */
enum { LOSS_CHUNK = 256, LOSS_CHUNK_MIN = 16, LOSS_CHUNK_FLOATS = 1 << 24 };
int head_rows(const struct head *head);

/* Floats of scratch for the logits of a chunk. */
size_t head_scratch(const struct head *head);

/* Returns the sum of the losses of n rows h (n, C) with their targets (n). Where dh is not NULL,
 * writes dh (n, C) = gradient of weight * sum. logits: scratch of head_scratch()
 * floats. */
double loss_forward_backward(struct team *team, const struct head *head, float *dh, const float *h,
                             const int32_t *targets, int n, float weight, float *logits);

/* The losses (n) of such rows one by one. */
void loss_of_rows(struct team *team, const struct head *head, double *losses, const float *h,
                  const int32_t *targets, int n, float *logits);

/* logits (n, V) alone, for generation, of at most LOSS_CHUNK_MIN rows. */
void head_forward(struct team *team, const struct head *head, float *logits, const float *h, int n);
