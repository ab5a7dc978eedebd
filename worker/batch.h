/* worker/batch.h - one micro-batch as the operations see it: segments packed one after the other,
 * without padding.
 *
 * A segment is an example without its last token (whose prediction nobody asks for): row p holds
 * token p and is trained to predict targets[p], token p + 1 of the example, or nothing (-100).
 * Where examples begin alike, a segment may be their beginning, and others continue it; nothing in
 * such a beginning is trained.
 */
#pragma once
#include "core/err.h"
#include "proto/ranks.h"
#include "worker/ops/attention.h"
#include <stdint.h>

enum { NO_TARGET = RANK_NO_TARGET };

/* Rows of a micro-batch, in its order: all of them or some. */
struct batch_rows {
    int n;
    const int32_t *at;        /* (n): each one's row in the micro-batch; NULL: all */
    struct segments segments; /* of these rows; one that has none is empty */
    const int32_t *positions; /* (n): 0 at the start of the example */
    const int32_t *lengths;   /* (n): tokens of the whole example */
    const int32_t *rows;      /* (n): the data row, for dropout */
};

struct batch {
    int index; /* in the step */
    int T;
    const int32_t *ids;        /* (T), in the message */
    int longest;               /* one more than the last position */
    long inherited;            /* segments_inherited() */
    struct batch_rows all;     /* the T rows */
    struct batch_rows trained; /* those with a target */
    const int32_t *targets;    /* of the trained rows */
    int32_t *memory;           /* what the arrays are in, owned */
};

/* Reads one micro-batch from a RANK_STEP body, which must outlive it; ids and targets are below
 * vocab. */
int batch_read(struct rank_cursor *c, int vocab, struct batch *ret, struct err *err);
/* From arrays of the caller: ids (T), targets (T), starts (n + 1), rows (n). unseen: tokens of an
 * example that are not in its segment. ids and starts must outlive the batch. */
int batch_make(const int32_t *ids, const int32_t *targets, int T, struct segments segments,
               const int32_t *rows, int unseen, struct batch *ret, struct err *err);
void batch_free(struct batch *b);
