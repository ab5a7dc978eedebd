/* core/job/parallel_shape.h - how many stages and replicas a job runs as, where it leaves that
 * open.
 *
 * Replicas cost no waiting (a pipeline does) but hold the model whole, and more of them than a step
 * has micro-batches would idle. So: the fewest stages S for which N / S is a power of two and no
 * more than the micro-batches, S is at most the number of layers, and a worker's share fits its
 * memory; where none fits, the most stages that N allows. The result of a job does not depend on
 * it.
 */
#pragma once
#include "core/job/job.h"
#include "core/model/model.h"
#include "core/job/trainable.h"

/* The number of micro-batches of a step with these tokens and rows: a power of two, enough that
 * one holds about `target` tokens, and four where there are as many rows, so that pipelines and
 * replicas have something to share. */
int parallel_shape_micro_batches(long tokens, int target, int n_rows);

struct parallel_shape_limits {
    int micro_batches; /* of a step */
    int micro_batch_tokens;
    double trained; /* trained positions / all positions of the data */
    struct model_memory weights;
    double worker_bytes; /* memory that each worker may take; 0: not known */
};
struct parallel_shape_limits parallel_shape_limits(const struct job_training *training,
                                                   const struct model *model, double tokens_per_row,
                                                   double trained, double worker_bytes);

/* What a stage takes that holds layers [first[stage], first[stage + 1]): weights; activations,
 * gradients and the decomposition of a matrix. */
void parallel_shape_stage_bytes(const struct parallel_shape_limits *limits,
                                const struct model_config *c, const struct trainable *t, int stages,
                                int stage, const int *first, double *ret_weights, double *ret_rest);

/* Sets stages and replicas where they are 0, for N workers. ERR_INVALID in words where N cannot be
 * shared out so. */
int parallel_shape_choose(struct job_parallel *parallel, const struct model_config *c,
                          const struct trainable *t, const struct parallel_shape_limits *limits,
                          int workers, struct err *err);
