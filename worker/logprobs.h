/* worker/logprobs.h - how likely a token was, and which were likeliest: log softmax of the logits,
 * in the form of OpenAI's chat completions. */
#pragma once
#include "core/err.h"
#include "core/text/tokenizer.h"
#include <jansson.h>

enum { LOGPROBS_TOP_MAX = 20 };

struct logprobs;

int logprobs_open(int V, struct logprobs **ret, struct err *err);
void logprobs_close(struct logprobs *l); /* NULL-safe */

/* Keeps the logits (V) of the next token, before it is sampled. */
void logprobs_keep(struct logprobs *l, const float *logits);
/* {"token", "logprob", "bytes", "top_logprobs": [...]} of the token that was sampled then, with the
 * n_top likeliest; NULL for lack of memory. */
json_t *logprobs_of(const struct logprobs *l, const struct tokenizer *t, int32_t id, int n_top);
