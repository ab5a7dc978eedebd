/* daemon/coordinator/packing.h - the rows of a step as micro-batches.
 *
 * They follow from the job alone, never from the number of workers, so that every sharding does the
 * same sums. The step's rows, in order, are cut into n runs of about equal length
 * (parallel_shape_micro_batches()). Rows that begin alike and are to share that
 * (training.share_prefixes) are sorted first, so that those that do are neighbours, and each run is
 * packed as a prefix tree (core/job/prefix_tree.h).
 */
#pragma once
#include "core/buf.h"
#include "core/job/data_order.h"
#include "proto/ranks.h"

struct packing_rules {
    int micro_batch_tokens;
    bool share;
};

/* One step, packed. */
struct packed_step {
    int n_rows;
    int n_micro;
    long tokens, trained; /* of all rows */
    long computed;        /* rows of all micro-batches */
    struct buf *micro;    /* (n_micro): struct rank_micro and its arrays */
};

/* Step `step` (from 1). The caller frees with packed_free(). */
int pack_step(struct data_order *o, const struct packing_rules *rules, int step,
              struct packed_step *ret, struct err *err);
void packed_free(struct packed_step *p);

/* Which of `replicas` (a power of two) does micro-batch i of n (a power of two): aligned runs, see
 * core/tree.h. */
int packing_replica(int i, int n_micro, int replicas);
