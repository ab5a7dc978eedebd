/* worker/ops/attention.h - causal grouped-query attention over packed examples.
 *
 *   o_t = sum_{s <= t, same segment} p_ts v_s,   p_ts = softmax_s(cap(scale q_t . k_s))
 *   with a window only s > t - window;  cap(z) is soft_cap.h's, where there is a cap
 *
 * Rows of qkv (T, (H + 2G) D) hold H query heads, then G key heads, then G value heads; query head
 * h uses key and value head h / (H / G). Segments do not see each other: the block diagonal is all
 * that is computed. Probabilities are not kept: the backward pass makes them again from the
 * log-sum-exp (Dao et al. 2022, section 3.1), a block of queries at a time.
 */
#pragma once
#include "core/err.h"
#include "worker/team.h"
#include <stdint.h>

struct attention {
    int H, G, D;
    float scale;
    float cap;  /* 0: none */
    int window; /* tokens that a token sees, itself included; 0: all before it */
};

struct segments {
    int n;
    const int32_t *starts; /* (n + 1): segment i is rows [starts[i], starts[i + 1]) */
};

/* Floats of scratch a thread needs for segments of at most `longest` rows. */
long attention_scratch(int longest);

/* Writes o (T, H D) and, where lse is not NULL, lse (T, H). scratch: attention_scratch() floats for
 * each thread of the team, one after the other. */
void attention_forward(struct team *team, const struct attention *a, float *o, float *lse,
                       const float *qkv, struct segments segments, float *scratch, long stride);

/* Writes dqkv (T, (H + 2G) D), given do (T, H D) and the forward's qkv, o and lse. */
void attention_backward(struct team *team, const struct attention *a, float *dqkv, const float *d_o,
                        const float *qkv, const float *o, const float *lse,
                        struct segments segments, float *scratch, long stride);

/* One query row a sequence against its cache, for generation: sequence i has len[i] keys, keys[i]
 * and values[i] (len, G D). qkv (n, (H + 2G) D) gives the queries. */
void attention_cached(struct team *team, const struct attention *a, float *o, const float *qkv,
                      int n, const float *const *keys, const float *const *values, const int *len,
                      float *scratch, long stride);
