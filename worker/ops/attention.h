/* worker/ops/attention.h - causal grouped-query attention over packed examples.
 *
 *   o_t = sum_{s <= t, same segment} p_ts v_s,   p_ts = softmax_s(cap(scale q_t . k_s))
 *   with a window only s > t - window;  cap(z) is soft_cap.h's, where there is a cap
 *
 * A row of queries is H heads of D numbers; a row of keys and values is G key heads, then G value
 * heads; query head h uses key and value head h / (H / G). Every row of a segment has a key and a
 * value, and some or all of them have a query. A segment sees itself and, where it continues
 * another, what that one sees: examples that begin alike share their beginning, as a prefix tree.
 * Others are not seen and cost nothing. Probabilities are not kept: the backward pass makes them
 * again from the log-sum-exp (Dao et al. 2022, section 3.1), a block of queries at a time.
 */
#pragma once
#include "core/err.h"
#include "worker/team.h"
#include <stddef.h>
#include <stdint.h>

struct attention {
    int H, G, D;
    float scale;
    float cap;  /* 0: none */
    int window; /* tokens that a token sees, itself included; 0: all before it */
};

struct segments {
    int n;
    const int32_t *starts;  /* (n + 1): segment i is rows [starts[i], starts[i + 1]) */
    const int32_t *parents; /* (n): the segment at whose end it continues, an earlier one; -1: none.
                               Those that continue a segment stand behind it, before any that does
                               not. NULL: none does */
};

/* Rows of all segments that a segment continues: its first row's position in its example. */
int segment_depth(const struct segments *s, int i);
/* Of all segments together. */
long segments_inherited(const struct segments *s);

/* The rows of a pass: T with keys and values, n with queries. */
struct attention_rows {
    struct segments keys;     /* of the T rows */
    struct segments queries;  /* of the n rows: as many segments, some may be empty */
    const int32_t *positions; /* (n): of each query in its example, rising in a segment */
};

/* Queries, keys and values, or the gradients to them. Where every row has all three they may lie
 * in one array (T, (H + 2G) D): kv = q + H D. */
struct attention_arrays {
    float *q;  /* (n, ldq) */
    float *kv; /* (T, ldkv) */
    int ldq, ldkv;
};

/* Floats of scratch a thread needs where no row's position reaches `longest`: the stride below. */
long attention_scratch(const struct attention *a, int longest);
/* Floats that the backward pass needs beside for what segments inherit. */
size_t attention_inherited(const struct attention *a, long inherited);

/* Writes o (n, H D) and, where lse is not NULL, lse (n, H). scratch: `stride` floats for each
 * thread of the team, one after the other. */
void attention_forward(struct team *team, const struct attention *a, float *o, float *lse,
                       struct attention_arrays in, struct attention_rows rows, float *scratch,
                       long stride);

/* Writes d, given do (n, H D) and the forward's in, o and lse. inherited: memory for what segments
 * inherit, of attention_inherited() floats; it is not read. */
void attention_backward(struct team *team, const struct attention *a, struct attention_arrays d,
                        const float *d_o, struct attention_arrays in, const float *o,
                        const float *lse, struct attention_rows rows, float *scratch, long stride,
                        float *inherited);

/* One query row a sequence against its cache, for generation: sequence i has len[i] keys, keys[i]
 * and values[i] (len, G D). q: (n, ldq). */
void attention_cached(struct team *team, const struct attention *a, float *o, const float *q,
                      int ldq, int n, const float *const *keys, const float *const *values,
                      const int *len, float *scratch, long stride);
