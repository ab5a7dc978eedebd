/* daemon/coordinator/data_order.h - which rows a step trains on, and how they are packed.
 *
 * Both follow from the job alone, never from the number of workers, so that every sharding does the
 * same sums. Rows: with shuffle, pass e over the data is permutation e of the seed; without, file
 * order. The last step of a pass has what is left, and the next pass begins with the next step.
 * Rows in which nothing is trained are left out. Packing: an example is cut behind its last trained
 * token and loses that token (which nothing follows). The step's rows, in order, are cut into n
 * runs of about equal length (parallel_shape_micro_batches()).
 */
#pragma once
#include "core/buf.h"
#include "core/text/dataset.h"
#include "core/err.h"
#include "core/job/job.h"
#include "proto/ranks.h"

struct data_order {
    const struct dataset *data; /* borrowed */
    int batch_size;
    int micro_batch_tokens;
    bool shuffle;
    uint64_t seed;
    long n;            /* rows that train */
    int32_t *rows;     /* (n) their numbers in data */
    int32_t *permuted; /* (n) rows in the order of pass `pass` */
    long pass;         /* -1: none made yet */
};

/* One step, packed. */
struct packed_step {
    int n_rows;
    int n_micro;
    long tokens, trained; /* of all rows */
    struct buf *micro;    /* (n_micro): struct rank_micro and its arrays */
};

int data_order_open(const struct job_training *training, bool shuffle, const struct dataset *data,
                    struct data_order *ret, struct err *err);
void data_order_close(struct data_order *o);

/* Rows of step `step` (from 1). The caller frees with packed_free(). */
int data_order_pack_step(struct data_order *o, int step, struct packed_step *ret, struct err *err);
/* For evaluation: rows [first, first + batch_size) of the file, fewer at the end. */
int data_order_pack_rows(struct data_order *o, long first, struct packed_step *ret,
                         struct err *err);
void packed_free(struct packed_step *p);

/* Which of `replicas` (a power of two) does micro-batch i of n (a power of two): aligned runs, see
 * core/tree.h. */
int data_order_replica(int i, int n_micro, int replicas);
