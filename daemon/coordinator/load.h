/* daemon/coordinator/load.h - what the coordinator reads before it trains: the job from its folder,
 * the model's description (not its weights), the data as token ids. */
#pragma once
#include "core/buf.h"
#include "core/text/dataset.h"
#include "core/err.h"
#include "core/job/job.h"
#include "core/job/micro_batches.h"
#include "core/job/parallel_shape.h"
#include "core/model/model.h"
#include "core/job/trainable.h"

struct loaded {
    struct job *job;
    struct model *model;
    struct dataset train, eval; /* eval.n is 0 without data.eval */
    struct trainable layout;
    struct worker_limits limits; /* set by loaded_choose_shape() */
};

/* Reads <output>/job.yaml and what it names. What the user should know goes to notices, a line
 * each. */
int load_job(const char *output, struct loaded *ret, struct buf *notices, struct err *err);
void loaded_free(struct loaded *l);

/* Chooses stages and replicas where the job leaves them open, for `workers` workers or for as many
 * of them as can share it out, which is stages * replicas. */
int loaded_choose_shape(struct loaded *l, const struct micro_batch_sizes *sizes, int workers,
                        struct err *err);
