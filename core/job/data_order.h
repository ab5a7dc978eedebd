/* core/job/data_order.h - which rows a step trains on, and what of each is computed.
 *
 * Both follow from the job and its data alone. Rows: with shuffle, pass e over the data is
 * permutation e of the seed; without, file order. The last step of a pass has what is left, and the
 * next pass begins with the next step. Rows in which nothing is trained are left out. A row is cut
 * behind its last trained token and loses that token, which nothing follows.
 */
#pragma once
#include "core/err.h"
#include "core/job/job.h"
#include "core/job/prefix_tree.h"
#include "core/text/dataset.h"

struct data_order {
    const struct dataset *data; /* borrowed */
    int batch_size;
    bool shuffle;
    uint64_t seed;
    long n;            /* rows that train */
    int32_t *rows;     /* (n) their numbers in data */
    int32_t *permuted; /* (n) rows in the order of pass `pass` */
    long pass;         /* -1: none made yet */
};

/* ERR_INVALID: no row of the data has a trained token. */
int data_order_open(const struct job_training *training, bool shuffle, const struct dataset *data,
                    struct data_order *ret, struct err *err);
void data_order_close(struct data_order *o);

/* The numbers of the rows of step `step` (from 1), in order; valid until the next call. */
const int32_t *data_order_step(struct data_order *o, int step, int *n_rows);
/* What is computed of a row. */
struct prefix_row data_order_useful(const struct data_order *o, int32_t row);

/* The share, in [0, 1), of what is computed that rows of a step have in common, in as many of steps
 * 1 to `steps` as are worth looking at. */
int data_order_shared(struct data_order *o, int steps, double *ret_share, struct err *err);
