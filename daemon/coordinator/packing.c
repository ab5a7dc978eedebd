/* daemon/coordinator/packing.c - see packing.h. */
#include "daemon/coordinator/packing.h"
#include "core/job/parallel_shape.h"
#include "core/job/prefix_tree.h"
#include <stdlib.h>

/* The rows of a step while they are packed. */
struct packing {
    const struct dataset *data;
    struct prefix_row *rows;   /* (n) */
    int *shared;               /* (n): with the row in front */
    struct prefix_node *nodes; /* (2 n): of one micro-batch */
    int n;
};

/* Packs rows [first, last) of the list as micro-batch `index`. */
static int pack_micro(const struct packing *p, int first, int last, int index, long *computed,
                      struct buf *out, struct err *err)
{
    struct rank_micro m = {.index = index};
    int32_t at = 0;

    m.n_segments = prefix_tree(p->rows, p->shared, first, last, p->nodes);
    for (int i = 0; i < m.n_segments; i++) {
        m.T += p->nodes[i].end - p->nodes[i].begin;
        m.is_tree |= p->nodes[i].parent >= 0;
    }
    for (int i = first; i < last; i++)
        m.n_trained += p->data->examples[p->rows[i].row].n_trained;
    buf_append(out, &m, sizeof(m));
    for (int i = 0; i < m.n_segments; i++) {
        const struct prefix_node *n = &p->nodes[i];
        buf_append(out, p->rows[n->of].ids + n->begin,
                   (size_t)(n->end - n->begin) * sizeof(int32_t));
    }
    for (int i = 0; i < m.n_segments; i++) {
        const struct prefix_node *n = &p->nodes[i];
        buf_append(out, p->data->examples[p->rows[n->of].row].labels + 1 + n->begin,
                   (size_t)(n->end - n->begin) * sizeof(int32_t));
    }
    for (int i = 0; i < m.n_segments; i++) {
        buf_append(out, &at, sizeof(at));
        at += p->nodes[i].end - p->nodes[i].begin;
    }
    buf_append(out, &at, sizeof(at));
    for (int i = 0; i < m.n_segments; i++)
        buf_append(out, &p->rows[p->nodes[i].of].row, sizeof(int32_t));
    for (int i = 0; m.is_tree && i < m.n_segments; i++)
        buf_append(out, &p->nodes[i].parent, sizeof(int32_t));
    *computed += m.T;
    return out->failed ? err_nomem(err, out->cap) : 0;
}

/* The end of run i of n: at the row where i + 1 shares of all rows to compute are reached, leaving
 * a row for each later run. */
static int run_end(const struct packing *p, long all, int i, int n, int first, long *done)
{
    int last = first;

    do {
        *done += p->rows[last].n - p->shared[last];
        last++;
    } while (last < p->n - (n - 1 - i) && *done * n < all * (i + 1));
    return i == n - 1 ? p->n : last;
}

static void packing_close(struct packing *p)
{
    free(p->rows);
    free(p->shared);
    free(p->nodes);
}

static void list_rows(struct packing *p, const struct data_order *o, const int32_t *rows)
{
    for (int i = 0; i < p->n; i++)
        p->rows[i] = data_order_useful(o, rows[i]);
}

static int packing_open(const struct data_order *o, const int32_t *rows, int n_rows,
                        struct packing *ret, struct err *err)
{
    size_t n = (size_t)n_rows;
    struct packing p = {.data = o->data, .n = n_rows};

    p.rows = calloc(n + 1, sizeof(*p.rows));
    p.shared = calloc(n + 1, sizeof(*p.shared));
    p.nodes = calloc(2 * n + 1, sizeof(*p.nodes));
    if (!p.rows || !p.shared || !p.nodes) {
        packing_close(&p);
        return err_nomem(err, 2 * n * sizeof(*p.nodes));
    }
    list_rows(&p, o, rows);
    *ret = p;
    return 0;
}

/* Returns how many rows are shared. Without any, rows keep their order. */
static long share(struct packing *p, const struct data_order *o, const int32_t *rows)
{
    long shared = prefix_sort(p->rows, p->n, p->shared);

    if (shared == 0)
        list_rows(p, o, rows);
    return shared;
}

/* Cuts the list into micro-batches of about equal work, `useful` rows in all. */
static int pack_micros(const struct packing *packing, long useful, struct packed_step *p,
                       struct err *err)
{
    long done = 0;
    int first = 0, rc = 0;

    p->micro = calloc((size_t)p->n_micro, sizeof(*p->micro));
    if (!p->micro)
        return err_nomem(err, (size_t)p->n_micro * sizeof(*p->micro));
    for (int i = 0; i < p->n_micro && rc == 0; i++) {
        int last = run_end(packing, useful, i, p->n_micro, first, &done);
        rc = pack_micro(packing, first, last, i, &p->computed, &p->micro[i], err);
        first = last;
    }
    return rc;
}

int pack_step(struct data_order *o, const struct packing_rules *rules, int step,
              struct packed_step *ret, struct err *err)
{
    struct packed_step p = {0};
    const int32_t *rows = data_order_step(o, step, &p.n_rows);
    struct packing packing = {0};
    long useful = 0;
    int rc = packing_open(o, rows, p.n_rows, &packing, err);

    if (rc < 0)
        return rc;
    for (int i = 0; i < p.n_rows; i++) {
        useful += packing.rows[i].n;
        p.tokens += o->data->examples[rows[i]].n;
        p.trained += o->data->examples[rows[i]].n_trained;
    }
    if (rules->share)
        useful -= share(&packing, o, rows);
    p.n_micro = parallel_shape_micro_batches(useful, rules->micro_batch_tokens, p.n_rows);
    rc = pack_micros(&packing, useful, &p, err);
    packing_close(&packing);
    if (rc < 0)
        packed_free(&p);
    else
        *ret = p;
    return rc;
}

void packed_free(struct packed_step *p)
{
    int i;

    for (i = 0; p->micro && i < p->n_micro; i++)
        buf_free(&p->micro[i]);
    free(p->micro);
    *p = (struct packed_step){0};
}

int packing_replica(int i, int n_micro, int replicas)
{
    int width = n_micro > replicas ? n_micro / replicas : 1;

    return i / width;
}
