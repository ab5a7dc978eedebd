/* core/job/parallel_shape.h - how many stages and replicas a job runs as, where it leaves that
 * open.
 *
 * Replicas cost no waiting (a pipeline does) but hold the model whole, and more of them than a step
 * has micro-batches would idle. So: the fewest stages S for which N / S is a power of two and no
 * more than the micro-batches, S is at most the number of layers, and a worker's share fits its
 * memory; where none fits, the fewest with which it fits if layers are made again
 * (worker_memory.h); else the most stages that N allows. The result of a job does not depend on it.
 */
#pragma once
#include "core/buf.h"
#include "core/job/job.h"
#include "core/model/model.h"
#include "core/job/trainable.h"
#include "core/job/worker_memory.h"

/* What each worker of the job may take of a node with that much memory (0: not known), where the
 * coordinator and the other workers of the node are, too: as cost_spare_bytes() has it; and its
 * threads on a node of that many cores. */
struct worker_room parallel_shape_worker_room(const struct job *job, const struct trainable *t,
                                              double node_bytes, int node_cores);
/* The threads of each of that many workers of a node. */
int parallel_shape_threads(const struct job *job, int workers_per_node, int node_cores);

/* Whether all workers of that many stages fit their memory with no layer made again. */
int parallel_shape_is_roomy(int stages, const struct model_config *c, const struct trainable *t,
                            const struct worker_limits *limits, bool *ret, struct err *err);

/* Adds a line where a step has fewer micro-batches than it could have and than there are workers,
 * some of which then wait. */
void parallel_shape_note(const struct job *job, const struct job_parallel *shaped,
                         int micro_batches, struct buf *notes);

/* Sets stages and replicas where they are 0, for N workers. ERR_INVALID in words where N cannot be
 * shared out so. */
int parallel_shape_choose(struct job_parallel *parallel, const struct model_config *c,
                          const struct trainable *t, const struct worker_limits *limits,
                          int workers, struct err *err);
