/* core/job/micro_batches.h - the rows of a step as micro-batches.
 *
 * They follow from the job alone, never from the number of workers, so that every sharding does the
 * same sums. The step's rows, in order, are cut into n runs of about equal length. Rows that begin
 * alike and are to share that (training.share_prefixes) are sorted first, so that those that do are
 * neighbours, and each run is packed as a prefix tree (prefix_tree.h).
 */
#pragma once
#include "core/job/data_order.h"
#include <limits.h>

struct packing_rules {
    int micro_batches; /* of a step, at least, where it has as many rows */
    int micro_batch_tokens;
    bool share;
};
struct packing_rules packing_rules(const struct job *job, const struct model_config *config);

struct micro_batches {
    struct prefix_row *rows; /* (n_rows), in the order in which they are packed */
    int *shared;             /* (n_rows): tokens in common with the row in front */
    int n_rows;
    int *ends; /* (n): micro-batch i has the rows [ends[i - 1], ends[i]) */
    int n;     /* a power of two */
};

/* Those of step `step` (from 1). */
int micro_batches_open(struct data_order *o, const struct packing_rules *rules, int step,
                       struct micro_batches *ret, struct err *err);
void micro_batches_close(struct micro_batches *m);

/* Rows [first, last) of micro-batch i. */
void micro_batches_run(const struct micro_batches *m, int i, int *ret_first, int *ret_last);

struct micro_batch_sizes {
    int n;       /* of a step with the most */
    int longest; /* tokens that the largest of all computes */
    int row;     /* tokens of the longest row */
};
enum { LOOK_AT_SOME = 100, LOOK_AT_ALL = INT_MAX };
/* In steps 1 to `steps`, or in `most` of them. */
int micro_batches_look(struct data_order *o, const struct packing_rules *rules, int steps, int most,
                       struct micro_batch_sizes *ret, struct err *err);
/* Raises tokens to those of another, where it has more. */
void micro_batch_sizes_raise(struct micro_batch_sizes *s, const struct micro_batch_sizes *other);
/* Tokens that no micro-batch has more than, whatever its rows of up to `longest` tokens are. */
int micro_batches_most(const struct packing_rules *rules, int longest);
