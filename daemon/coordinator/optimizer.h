/* daemon/coordinator/optimizer.h - from a summed gradient to the next parameters.
 *
 *   clip      g *= min(1, clip / (|g| + 1e-6)), |g| over all trained numbers
 *             (torch.nn.utils.clip_grad_norm_)
 *   AdamW     torch.optim.AdamW (Loshchilov & Hutter 2019, algorithm 2), f32 state, arithmetic in
 *             double
 *   schedule  transformers.get_scheduler
 */
#pragma once
#include "core/job/job.h"
#include <stddef.h>

/* The learning rate of step `step` (from 1) of a job of `steps`. */
double learning_rate_at(const struct job_optimizer *o, int steps, int step);

/* |g| in double, summed in order of the vector. */
double gradient_norm(const float *g, size_t n);
double clip_factor(const struct job_optimizer *o, double norm);

/* p, m and v of n numbers after one more gradient factor * g; t counts their steps from 1. */
void adamw_step(const struct job_optimizer *o, double rate, int t, double factor, const float *g,
                float *p, float *m, float *v, size_t n);
