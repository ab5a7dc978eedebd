/* worker/sampling.h - which token comes next, by its logits.
 *
 * As in transformers, in this order: the repetition penalty (Keskar et al. 2019: a logit of a token
 * that has occurred is divided by it where positive, else multiplied), the temperature, the k
 * largest logits (and what equals the last of them), and the nucleus (Holtzman et al. 2020: the
 * likeliest tokens that together have a probability of at least top_p; at least one).
 */
#pragma once
#include "core/err.h"
#include <stdint.h>

enum { SAMPLING_TOP_K_MAX = 1000 };

struct sampling {
    double temperature;        /* 0: the likeliest token, ties to the lower id */
    int top_k;                 /* 0: all */
    double top_p;              /* 1: all */
    double repetition_penalty; /* 1: none */
    uint64_t seed;
};
struct sampling sampling_default(void); /* always the likeliest token */

struct seen { /* tokens that have occurred, in several lists */
    const int32_t *ids;
    int n;
};

struct sampler;

/* V: tokens of the vocabulary. */
int sampler_open(int V, struct sampler **ret, struct err *err);
void sampler_close(struct sampler *s); /* NULL-safe */

/* Changes logits (V) to those that the next token is drawn from by softmax: -INFINITY where a token
 * is left out. seen (n) may overlap. */
void sampler_filter(struct sampler *s, const struct sampling *how, const struct seen *seen, int n,
                    float *logits);
/* Filters, and draws: with a temperature by the random number of (seed, index, position). */
int32_t sampler_next(struct sampler *s, const struct sampling *how, const struct seen *seen, int n,
                     long index, int position, float *logits);
