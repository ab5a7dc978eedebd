/* daemon/coordinator/packing.h - the micro-batches of a step (core/job/micro_batches.h) as workers
 * receive them. */
#pragma once
#include "core/buf.h"
#include "core/job/micro_batches.h"
#include "proto/ranks.h"

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
