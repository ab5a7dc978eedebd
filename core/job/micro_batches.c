/* core/job/micro_batches.c - see micro_batches.h. */
#include "core/job/micro_batches.h"
#include <stdlib.h>

struct packing_rules packing_rules(const struct job *job, const struct model_config *config)
{
    return (struct packing_rules){.micro_batches = job->training.micro_batches,
                                  .micro_batch_tokens = job->training.micro_batch_tokens,
                                  .share = !prefix_hindrance(job, config)};
}

/* A power of two, enough that one holds about as many tokens as it should. */
static int count(const struct packing_rules *rules, long tokens, int n_rows)
{
    int n = 1;

    while ((n < rules->micro_batches || (long)n * rules->micro_batch_tokens < tokens) &&
           2 * n <= n_rows)
        n *= 2;
    return n;
}

/* The end of run i of n: at the row where i + 1 shares of all rows to compute are reached, leaving
 * a row for each later run. */
static int run_end(const struct micro_batches *m, long all, int i, int first, long *done)
{
    int last = first;

    do {
        *done += m->rows[last].n - m->shared[last];
        last++;
    } while (last < m->n_rows - (m->n - 1 - i) && *done * m->n < all * (i + 1));
    return i == m->n - 1 ? m->n_rows : last;
}

static void list_rows(struct micro_batches *m, const struct data_order *o, const int32_t *rows)
{
    for (int i = 0; i < m->n_rows; i++)
        m->rows[i] = data_order_useful(o, rows[i]);
}

/* Returns how many tokens are shared. Without any, rows keep their order. */
static long share(struct micro_batches *m, const struct data_order *o, const int32_t *rows)
{
    long shared = prefix_sort(m->rows, m->n_rows, m->shared);

    if (shared == 0)
        list_rows(m, o, rows);
    return shared;
}

int micro_batches_open(struct data_order *o, const struct packing_rules *rules, int step,
                       struct micro_batches *ret, struct err *err)
{
    struct micro_batches m = {0};
    const int32_t *rows = data_order_step(o, step, &m.n_rows);
    size_t n = (size_t)m.n_rows;
    long useful = 0, done = 0;

    m.rows = calloc(n + 1, sizeof(*m.rows));
    m.shared = calloc(n + 1, sizeof(*m.shared));
    m.ends = calloc(n + 1, sizeof(*m.ends));
    if (!m.rows || !m.shared || !m.ends) {
        micro_batches_close(&m);
        return err_nomem(err, n * sizeof(*m.rows));
    }
    list_rows(&m, o, rows);
    for (int i = 0; i < m.n_rows; i++)
        useful += m.rows[i].n;
    if (rules->share)
        useful -= share(&m, o, rows);
    m.n = count(rules, useful, m.n_rows);
    for (int i = 0; i < m.n; i++)
        m.ends[i] = run_end(&m, useful, i, i ? m.ends[i - 1] : 0, &done);
    *ret = m;
    return 0;
}

void micro_batches_close(struct micro_batches *m)
{
    free(m->rows);
    free(m->shared);
    free(m->ends);
    *m = (struct micro_batches){0};
}

void micro_batches_run(const struct micro_batches *m, int i, int *ret_first, int *ret_last)
{
    *ret_first = i ? m->ends[i - 1] : 0;
    *ret_last = m->ends[i];
}

/* The first row of a tree is in it whole. */
static int tokens_of(const struct micro_batches *m, int i)
{
    int first, last, n = 0;

    micro_batches_run(m, i, &first, &last);
    for (int row = first; row < last; row++)
        n += m->rows[row].n - (row > first ? m->shared[row] : 0);
    return n;
}

static void raise_to(int *x, int to)
{
    *x = to > *x ? to : *x;
}

int micro_batches_look(struct data_order *o, const struct packing_rules *rules, int steps, int most,
                       struct micro_batch_sizes *ret, struct err *err)
{
    int looked_at = steps < most ? steps : most;

    *ret = (struct micro_batch_sizes){.n = 1};
    for (int i = 0; i < looked_at; i++) {
        struct micro_batches m;
        int rc = micro_batches_open(o, rules, (int)((long)steps * i / looked_at) + 1, &m, err);
        if (rc < 0)
            return rc;
        raise_to(&ret->n, m.n);
        for (int j = 0; j < m.n; j++)
            raise_to(&ret->longest, tokens_of(&m, j));
        for (int j = 0; j < m.n_rows; j++)
            raise_to(&ret->row, m.rows[j].n);
        micro_batches_close(&m);
    }
    return 0;
}

void micro_batch_sizes_raise(struct micro_batch_sizes *s, const struct micro_batch_sizes *other)
{
    raise_to(&s->longest, other->longest);
    raise_to(&s->row, other->row);
}

/* A share is the target, or that of two rows where there are too few for that; a run passes its end
 * by less than a row, and has its first row whole. */
int micro_batches_most(const struct packing_rules *rules, int longest)
{
    long share = rules->micro_batch_tokens, two = 2L * longest;
    long most = (share > two ? share : two) + two;

    return most < INT_MAX ? (int)most : INT_MAX;
}
