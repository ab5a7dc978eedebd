/* worker/score.h - how likely a model finds texts: the negative log-likelihood of the trained
 * tokens of examples, one forward pass over as many at a time as make a micro-batch.
 */
#pragma once
#include "core/err.h"
#include "core/text/dataset.h"
#include "core/text/template.h"
#include "worker/stage.h"

struct score {
    double loss; /* -log p of the trained tokens, summed; nats */
    int tokens;  /* how many those are */
};

struct scorer;

/* s, a whole model, is borrowed. */
int scorer_open(struct stage *s, struct scorer **ret, struct err *err);
void scorer_close(struct scorer *s); /* NULL-safe */

/* How many of the n > 0 examples one call should take, at least 1. */
int scorer_batch(const struct example *examples, int n);
/* Scores n examples in one pass; one without a trained token scores 0. ERR_INVALID where an example
 * has more tokens than the model has positions. */
int scorer_run(struct scorer *s, const struct example *examples, int n, struct score *ret,
               struct err *err);
