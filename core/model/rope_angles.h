/* core/model/rope_angles.h - the frequencies of rotary embeddings and their scalings, as
 * transformers computes them (modeling_rope_utils.py), in double.
 */
#pragma once
#include "core/model/architecture.h"

/* freq[i] = theta^(-i / pairs), scale 1. */
void rope_plain(struct rope_angles *a, int pairs, double theta);

/* All waves longer by a factor (Chen et al. 2023, arXiv 2306.15595). */
void rope_scale_linear(struct rope_angles *a, int pairs, double factor);

/* Llama 3: waves longer than original / low are slowed by the factor, those shorter than original /
 * high are kept, those between are blended. */
struct rope_llama3 {
    double factor, low, high, original;
};
void rope_scale_llama3(struct rope_angles *a, int pairs, const struct rope_llama3 *s);
/* The inverse: what makes `scaled` of `plain`, to f32. Several do, as only original / low and
 * original / high count: low is 1, and high 4 where that fits. False: nothing does, and *ret has
 * only the factor right. */
bool rope_find_llama3(const struct rope_angles *plain, const struct rope_angles *scaled, int pairs,
                      struct rope_llama3 *ret);

/* YaRN (Peng et al. 2023, arXiv 2309.00071, section 3): waves that turn more than beta_fast times
 * in the original positions are kept, those that turn less than beta_slow times are slowed by the
 * factor, those between are blended. */
struct rope_yarn {
    double theta, factor, original;
    double beta_fast, beta_slow;
    double attention_factor; /* 0: 0.1 ln(factor) + 1, or of mscale and mscale_all */
    double mscale, mscale_all;
    bool truncate; /* the bounds to whole numbers */
};
void rope_scale_yarn(struct rope_angles *a, int pairs, const struct rope_yarn *s);

/* freq[i] is divided by divisors[i]: LongRoPE (Ding et al. 2024, arXiv 2402.13753). */
void rope_divide(struct rope_angles *a, int pairs, const double *divisors);
/* Its scale of cos and sin: sqrt(1 + ln(factor) / ln(original)). */
double rope_long_scale(double factor, double original);
