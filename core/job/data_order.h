/* core/job/data_order.h - which rows a step trains on, and what of each is computed.
 *
 * Both follow from the job and its data alone. Rows: with shuffle, pass e over the data is
 * permutation e of the seed; without, file order. The last step of a pass has what is left, and the
 * next pass begins with the next step. Rows in which nothing is trained are left out. A row is cut
 * behind its last trained token and loses that token, which nothing follows.
 *
 * In file order the first steps are known before the last row is (data_order_extend()).
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
    bool whole;        /* data has all its rows */
    long seen;         /* rows of data that were looked at */
    long n;            /* of them, those that train */
    int32_t *rows;     /* (n) their numbers in data */
    int32_t *permuted; /* (n) rows in the order of pass `pass`; with shuffle */
    long pass;         /* -1: none made yet */
};

/* Of data that is whole. ERR_INVALID: no row of it has a trained token. */
int data_order_open(const struct job_training *training, bool shuffle, const struct dataset *data,
                    struct data_order *ret, struct err *err);
/* Of data that gets its rows later. */
void data_order_begin(const struct job_training *training, bool shuffle, const struct dataset *data,
                      struct data_order *ret);
/* Takes in what data has got; whole: that is all. ERR_INVALID then as above. */
int data_order_extend(struct data_order *o, bool whole, struct err *err);
void data_order_close(struct data_order *o);

/* Whether the rows of step `step` (from 1) are known. */
bool data_order_knows(const struct data_order *o, int step);
/* Their numbers, in order; valid until the next call. */
const int32_t *data_order_step(struct data_order *o, int step, int *n_rows);
/* How many tokens of an example are computed: up to the one that predicts the last trained token.
 */
int data_order_useful_rows(const struct example *e);
/* What is computed of a row. */
struct prefix_row data_order_useful(const struct data_order *o, int32_t row);

/* The share, in [0, 1), of what is computed that rows of a step have in common, in as many of steps
 * 1 to `steps` as are worth looking at. */
int data_order_shared(struct data_order *o, int steps, double *ret_share, struct err *err);
