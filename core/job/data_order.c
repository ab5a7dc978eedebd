/* core/job/data_order.c - see data_order.h. The permutation of a pass is a function of the seed and
 * the pass: it is made again after a resume, and nothing of it is saved. */
#include "core/job/data_order.h"
#include "core/rng.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { LOOKED_AT = 100 /* steps, for the share that rows have in common */ };

void data_order_begin(const struct job_training *training, bool shuffle, const struct dataset *data,
                      struct data_order *ret)
{
    *ret = (struct data_order){.data = data,
                               .batch_size = training->batch_size,
                               .seed = training->seed,
                               .shuffle = shuffle,
                               .pass = -1};
}

int data_order_extend(struct data_order *o, bool whole, struct err *err)
{
    size_t size = ((size_t)o->data->n + 1) * sizeof(int32_t);
    int32_t *rows = realloc(o->rows, size);

    if (!rows)
        return err_nomem(err, size);
    o->rows = rows;
    for (; o->seen < o->data->n; o->seen++)
        if (o->data->examples[o->seen].n_trained > 0)
            o->rows[o->n++] = (int32_t)o->seen;
    if (whole && o->n == 0)
        return err_set(err, ERR_INVALID, "no row of the data has a trained token");
    if (whole && o->shuffle && !(o->permuted = malloc(size)))
        return err_nomem(err, size);
    o->whole = whole;
    return 0;
}

int data_order_open(const struct job_training *training, bool shuffle, const struct dataset *data,
                    struct data_order *ret, struct err *err)
{
    struct data_order o;
    int rc;

    data_order_begin(training, shuffle, data, &o);
    rc = data_order_extend(&o, true, err);
    if (rc < 0)
        data_order_close(&o);
    else
        *ret = o;
    return rc;
}

void data_order_close(struct data_order *o)
{
    free(o->rows);
    free(o->permuted);
    *o = (struct data_order){0};
}

/* Uniform in [0, n): 64 random bits leave a bias below 2^-32 for any data set that fits a 32-bit
 * row number. */
static long draw_below(struct rng_key key, long pass, long i, long n)
{
    uint32_t counter[4] = {(uint32_t)i, (uint32_t)pass, (uint32_t)(pass >> 32), 0}, words[4];

    rng_draw(key, counter, words);
    return (long)(((uint64_t)words[0] << 32 | words[1]) % (uint64_t)n);
}

/* The rows in the order of this pass: Fisher and Yates' shuffle. */
static const int32_t *pass_of(struct data_order *o, long pass)
{
    struct rng_key key = rng_key(o->seed, RNG_SHUFFLE);

    if (!o->shuffle)
        return o->rows;
    if (o->pass == pass)
        return o->permuted;
    memcpy(o->permuted, o->rows, (size_t)o->n * sizeof(*o->rows));
    for (long i = o->n - 1; i > 0; i--) {
        long j = draw_below(key, pass, i, i + 1);
        int32_t t = o->permuted[i];
        o->permuted[i] = o->permuted[j];
        o->permuted[j] = t;
    }
    o->pass = pass;
    return o->permuted;
}

bool data_order_knows(const struct data_order *o, int step)
{
    return o->whole || (!o->shuffle && (long)step * o->batch_size <= o->n);
}

const int32_t *data_order_step(struct data_order *o, int step, int *n_rows)
{
    long per_pass = o->whole ? job_steps_of_pass(o->batch_size, o->n) : LONG_MAX;
    long first = (step - 1) % per_pass * o->batch_size, n = o->n - first;

    *n_rows = (int)(n < o->batch_size ? n : o->batch_size);
    return pass_of(o, (step - 1) / per_pass) + first;
}

int data_order_useful_rows(const struct example *e)
{
    int last = e->n - 1;

    while (last > 0 && e->labels[last] == -100)
        last--;
    return last;
}

/* Rows before the first that predicts a trained token. */
static int free_rows(const struct example *e)
{
    int first = 1;

    while (first < e->n && e->labels[first] == -100)
        first++;
    return first - 1;
}

struct prefix_row data_order_useful(const struct data_order *o, int32_t row)
{
    const struct example *e = &o->data->examples[row];

    return (struct prefix_row){e->ids, data_order_useful_rows(e), free_rows(e), row};
}

int data_order_shared(struct data_order *o, int steps, double *ret_share, struct err *err)
{
    int looked_at = steps < LOOKED_AT ? steps : LOOKED_AT;
    size_t size = (size_t)o->batch_size * (sizeof(struct prefix_row) + sizeof(int));
    struct prefix_row *rows = malloc(size);
    double all = 0, shared = 0;
    int *each;

    if (!rows)
        return err_nomem(err, size);
    each = (int *)(rows + o->batch_size);
    for (int i = 0; i < looked_at; i++) {
        int n;
        const int32_t *numbers = data_order_step(o, (int)((long)steps * i / looked_at) + 1, &n);
        for (int j = 0; j < n; j++) {
            rows[j] = data_order_useful(o, numbers[j]);
            all += rows[j].n;
        }
        shared += (double)prefix_sort(rows, n, each);
    }
    *ret_share = all > 0 ? shared / all : 0;
    free(rows);
    return 0;
}
