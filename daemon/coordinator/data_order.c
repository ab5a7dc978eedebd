/* daemon/coordinator/data_order.c - see data_order.h. The permutation of a pass is a function of
 * the seed and the pass: it is made again after a resume, and nothing of it is saved. */
#include "daemon/coordinator/data_order.h"
#include "core/job/parallel_shape.h"
#include "core/rng.h"
#include <stdlib.h>
#include <string.h>

int data_order_open(const struct job_training *training, bool shuffle, const struct dataset *data,
                    struct data_order *ret, struct err *err)
{
    size_t size = ((size_t)data->n + 1) * sizeof(int32_t);
    struct data_order o = {.data = data,
                           .batch_size = training->batch_size,
                           .seed = training->seed,
                           .micro_batch_tokens = training->micro_batch_tokens,
                           .shuffle = shuffle,
                           .pass = -1};
    long i;

    o.rows = malloc(size);
    o.permuted = malloc(size);
    if (!o.rows || !o.permuted) {
        data_order_close(&o);
        return err_nomem(err, 2 * size);
    }
    for (i = 0; i < data->n; i++)
        if (data->examples[i].n_trained > 0)
            o.rows[o.n++] = (int32_t)i;
    if (o.n == 0) {
        data_order_close(&o);
        return err_set(err, ERR_INVALID, "no row of the data has a trained token");
    }
    *ret = o;
    return 0;
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

/* Fisher and Yates' shuffle of the rows, as it is for this pass. */
static void permute(struct data_order *o, long pass)
{
    struct rng_key key = rng_key(o->seed, RNG_SHUFFLE);
    long i;

    if (o->pass == pass)
        return;
    memcpy(o->permuted, o->rows, (size_t)o->n * sizeof(*o->rows));
    for (i = o->n - 1; o->shuffle && i > 0; i--) {
        long j = draw_below(key, pass, i, i + 1);
        int32_t t = o->permuted[i];
        o->permuted[i] = o->permuted[j];
        o->permuted[j] = t;
    }
    o->pass = pass;
}

/* Rows that a forward pass needs of an example: up to the one that predicts the last trained token.
 */
static int useful_rows(const struct example *e)
{
    int last = e->n - 1;

    while (last > 0 && e->labels[last] == -100)
        last--;
    return last;
}

/* Packs examples [first, last) of the list as micro-batch `index`. */
static int pack_micro(const struct dataset *data, const int32_t *rows, int first, int last,
                      int index, struct buf *out, struct err *err)
{
    struct rank_micro m = {.index = index, .n_segments = last - first};
    int32_t at = 0;
    int i;

    for (i = first; i < last; i++) {
        m.T += useful_rows(&data->examples[rows[i]]);
        m.n_trained += data->examples[rows[i]].n_trained;
    }
    buf_append(out, &m, sizeof(m));
    for (i = first; i < last; i++)
        buf_append(out, data->examples[rows[i]].ids,
                   (size_t)useful_rows(&data->examples[rows[i]]) * sizeof(int32_t));
    for (i = first; i < last; i++)
        buf_append(out, data->examples[rows[i]].labels + 1,
                   (size_t)useful_rows(&data->examples[rows[i]]) * sizeof(int32_t));
    for (i = first; i < last; i++) {
        buf_append(out, &at, sizeof(at));
        at += useful_rows(&data->examples[rows[i]]);
    }
    buf_append(out, &at, sizeof(at));
    buf_append(out, rows + first, (size_t)(last - first) * sizeof(*rows));
    return out->failed ? err_nomem(err, out->cap) : 0;
}

/* The end of run i of n: at the row where i + 1 shares of all tokens are reached, leaving a row for
 * each later run. */
static int run_end(const struct data_order *o, const int32_t *rows, int n_rows, long tokens, int i,
                   int n, int first, long *done)
{
    int last = first;

    do {
        *done += useful_rows(&o->data->examples[rows[last++]]);
    } while (last < n_rows - (n - 1 - i) && *done * n < tokens * (i + 1));
    return i == n - 1 ? n_rows : last;
}

static int pack(const struct data_order *o, const int32_t *rows, int n_rows,
                struct packed_step *ret, struct err *err)
{
    struct packed_step p = {.n_rows = n_rows};
    long useful = 0, done = 0;
    int i, first = 0, rc = 0;

    for (i = 0; i < n_rows; i++) {
        const struct example *e = &o->data->examples[rows[i]];
        useful += useful_rows(e);
        p.tokens += e->n;
        p.trained += e->n_trained;
    }
    p.n_micro = parallel_shape_micro_batches(useful, o->micro_batch_tokens, n_rows);
    p.micro = calloc((size_t)p.n_micro, sizeof(*p.micro));
    if (!p.micro)
        return err_nomem(err, (size_t)p.n_micro * sizeof(*p.micro));
    for (i = 0; i < p.n_micro && rc == 0; i++) {
        int last = run_end(o, rows, n_rows, useful, i, p.n_micro, first, &done);
        rc = pack_micro(o->data, rows, first, last, i, &p.micro[i], err);
        first = last;
    }
    if (rc < 0)
        packed_free(&p);
    else
        *ret = p;
    return rc;
}

int data_order_pack_step(struct data_order *o, int step, struct packed_step *ret, struct err *err)
{
    long per_pass = job_steps_of_pass(o->batch_size, o->n);
    long first = (step - 1) % per_pass * o->batch_size, n = o->n - first;

    permute(o, (step - 1) / per_pass);
    return pack(o, o->permuted + first, (int)(n < o->batch_size ? n : o->batch_size), ret, err);
}

int data_order_pack_rows(struct data_order *o, long first, struct packed_step *ret, struct err *err)
{
    long n = o->n - first < o->batch_size ? o->n - first : o->batch_size;

    return pack(o, o->rows + first, (int)n, ret, err);
}

void packed_free(struct packed_step *p)
{
    int i;

    for (i = 0; p->micro && i < p->n_micro; i++)
        buf_free(&p->micro[i]);
    free(p->micro);
    *p = (struct packed_step){0};
}

int data_order_replica(int i, int n_micro, int replicas)
{
    int width = n_micro > replicas ? n_micro / replicas : 1;

    return i / width;
}
