/* daemon/coordinator/train.h - one launch of a job, from its folder to an adapter, a stop, or a
 * sentence that says why not.
 *
 *   load -> set up workers -> [load checkpoint | initialise] -> step ... step -> export
 *                                                                |-- after step t: identify
 *
 * A step: pack rows; workers answer with the summed gradient; check it; clip; AdamW; write a row of
 * metrics; submit a checkpoint; report. The checkpoint before is durable by then (checkpoint.h).
 */
#pragma once
#include "core/err.h"
#include "proto/ranks.h"
#include <signal.h>
#include <stdbool.h>

struct train_options {
    const char *output;                /* the job's folder; holds job.yaml */
    const char *contact;               /* file with dashd's addresses (proto/contact.h), or NULL */
    const volatile sig_atomic_t *stop; /* set by signals that ask to end */
};

enum train_outcome { TRAIN_DONE, TRAIN_STOPPED };

/* Reports and writes outcome.json whatever happens. */
int train_run(struct ranks *ranks, const struct train_options *options,
              enum train_outcome *ret_outcome, struct err *err);

/* Reports and writes down that the ranks of this launch do not come together (ranks_open() failed
 * with err). */
void train_refuse(const struct train_options *options, const struct err *err);
