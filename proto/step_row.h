/* proto/step_row.h - what is reported of an optimizer step: a row of metrics.jsonl, a Step of
 * dash.proto, a row of dashd's store.
 *
 *   {"step": 1, "loss": ..., "grad_norm": ..., "learning_rate": ..., "tokens": ...,
 *    "trained_tokens": ..., "computed_tokens": ..., "seconds": ..., "phase": "dash",
 *    "eval_loss": ..., "best": true}
 *
 * metrics.jsonl has a line a step; its numbers have ten digits, those of a message all.
 */
#pragma once
#include "core/buf.h"
#include "proto/dash.pb-c.h"
#include "proto/phase.h"
#include <stdbool.h>
#include <stdint.h>

struct step_row {
    int step;    /* from 1 */
    double loss; /* mean cross entropy of the trained tokens of the step */
    double grad_norm, learning_rate;
    int64_t tokens, trained_tokens;
    int64_t computed_tokens; /* once where rows begin alike; in metrics.jsonl alone; 0: not known */
    double seconds;
    int phase;                 /* enum phase */
    double eval_loss;          /* 0: none was measured after this step */
    double checkpoint_seconds; /* that writing the checkpoint before it took; in messages alone */
    bool best; /* the lowest so far of a job that keeps the best; in metrics.jsonl alone */
};

enum { STEP_ROW_BYTES_MAX = 1000 }; /* of a line; step_row_print() writes at most 400 */

/* Appends the line, with its end. */
void step_row_print(const struct step_row *row, struct buf *out);
/* False where the line is not one, or has an impossible number; len without the line's end. */
bool step_row_parse(const char *line, size_t len, struct step_row *ret);

/* Initialises the message. */
void step_row_to_message(const struct step_row *row, Dash__V1__Step *ret);
/* False where the message has an impossible number. */
bool step_row_from_message(const Dash__V1__Step *m, struct step_row *ret);
