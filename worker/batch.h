/* worker/batch.h - one micro-batch as the operations see it: segments packed one after the other,
 * without padding.
 *
 * A segment is an example without its last token (whose prediction nobody asks for): row p holds
 * token p and is trained to predict targets[p], token p + 1 of the example, or nothing (-100).
 */
#pragma once
#include "core/err.h"
#include "proto/ranks.h"
#include "worker/ops/attention.h"
#include <stdint.h>

enum { NO_TARGET = RANK_NO_TARGET };

struct batch {
    int index; /* in the step */
    int T;
    const int32_t *ids; /* (T), in the message */
    struct segments segments;
    int longest;        /* rows of the longest segment */
    int32_t *positions; /* (T), owned: 0 at each segment's start */
    int32_t *lengths;   /* (T), owned: tokens of the whole example */
    int32_t *rows;      /* (T), owned: the data row of each token, for dropout */
    int32_t *trained;   /* (n_trained), owned: rows with a target */
    int32_t *targets;   /* (n_trained), owned: their targets */
    int n_trained;
};

/* Reads one micro-batch from a RANK_STEP body, which must outlive it; ids and targets are below
 * vocab. */
int batch_read(struct rank_cursor *c, int vocab, struct batch *ret, struct err *err);
/* From arrays of the caller: ids (T), targets (T), starts (n + 1), rows (n). unseen: tokens of an
 * example that are not in its segment. */
int batch_make(const int32_t *ids, const int32_t *targets, int T, struct segments segments,
               const int32_t *rows, int unseen, struct batch *ret, struct err *err);
void batch_free(struct batch *b);
