/* daemon/coordinator/load.h - what the coordinator reads: the job from its folder, the model's
 * description (not its weights), the data as token ids.
 *
 * The training data is read by a thread (reading.h) while workers are set up and,
 * where the job takes rows in file order, while the first steps are computed. What is wrong with it
 * ends the job as soon as it is found, and no job succeeds before the last row is read.
 */
#pragma once
#include "core/buf.h"
#include "core/text/dataset.h"
#include "core/err.h"
#include "core/job/job.h"
#include "core/job/parallel_shape.h"
#include "core/job/trainable.h"
#include "core/model/model.h"
#include "daemon/coordinator/reading.h"

struct reading_clock { /* for a line of the log now and then */
    double started, told;
};

struct loaded { /* zero-initialise; stays where it is, since the thread reads of it */
    struct job *job;
    struct model *model;
    struct tokenizer *tokenizer; /* the thread's; NULL: none */
    struct err refusal;          /* why there is none, or code 0 */
    struct dataset train;        /* what has been read of it */
    bool whole;                  /* all of it */
    struct dataset eval;         /* n is 0 without data.eval */
    struct trainable layout;
    struct worker_limits limits; /* set by loaded_choose_shape() */
    struct reading *reading;
    struct reading_clock reading_clock;
};

/* Reads <output>/job.yaml and what it names, but of the training data only as much as shows its
 * sizes. What the user should know goes to notices, a line each. */
int load_job(const char *output, struct loaded *ret, struct buf *notices, struct err *err);
void loaded_free(struct loaded *l);

/* Takes what has been read of the training data since, for which it waits a moment, or not. */
int loaded_take(struct loaded *l, bool wait, struct buf *notices, struct err *err);

/* Chooses stages and replicas where the job leaves them open, for `workers` workers or for as many
 * of them as can share it out, which is stages * replicas. Where memory is short, so that a long
 * row counts, it waits for the last row first. */
int loaded_choose_shape(struct loaded *l, int workers, struct buf *notices, struct err *err);
