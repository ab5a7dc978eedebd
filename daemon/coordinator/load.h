/* daemon/coordinator/load.h - what the coordinator reads before it trains: the job from its folder,
 * the model's description (not its weights), the data as token ids. */
#pragma once
#include "core/buf.h"
#include "core/text/dataset.h"
#include "core/err.h"
#include "core/job/job.h"
#include "core/model/model.h"
#include "core/job/trainable.h"

struct loaded {
    struct job *job;
    struct model *model;
    struct dataset train, eval; /* eval.n is 0 without data.eval */
    struct trainable layout;
};

/* Reads <output>/job.yaml and what it names. What the user should know goes to notices, a line
 * each. */
int load_job(const char *output, struct loaded *ret, struct buf *notices, struct err *err);
void loaded_free(struct loaded *l);

/* Trained positions / all positions of the training data. */
double loaded_trained_fraction(const struct loaded *l);

/* Chooses stages and replicas where the job leaves them open, for `workers` workers or for as many
 * of them as can share it out, which is stages * replicas. */
int loaded_choose_shape(struct loaded *l, int workers, struct err *err);
