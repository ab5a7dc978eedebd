/* daemon/coordinator/packing.c - see packing.h: micro-batches as the bodies of messages. */
#include "daemon/coordinator/packing.h"
#include "core/job/micro_batches.h"
#include <stdlib.h>

struct packing {
    const struct dataset *data;
    struct micro_batches micro;
    struct prefix_node *nodes; /* (2 rows): of one micro-batch */
};

static int pack_micro(const struct packing *packing, int index, long *computed, struct buf *out,
                      struct err *err)
{
    const struct micro_batches *p = &packing->micro;
    const struct example *examples = packing->data->examples;
    const struct prefix_node *nodes = packing->nodes;
    struct rank_micro m = {.index = index};
    int32_t at = 0;
    int first, last;

    micro_batches_run(p, index, &first, &last);
    m.n_segments = prefix_tree(p->rows, p->shared, first, last, packing->nodes);
    for (int i = 0; i < m.n_segments; i++) {
        m.T += nodes[i].end - nodes[i].begin;
        m.is_tree |= nodes[i].parent >= 0;
    }
    for (int i = first; i < last; i++)
        m.n_trained += examples[p->rows[i].row].n_trained;
    buf_append(out, &m, sizeof(m));
    for (int i = 0; i < m.n_segments; i++) {
        const struct prefix_node *n = &nodes[i];
        buf_append(out, p->rows[n->of].ids + n->begin,
                   (size_t)(n->end - n->begin) * sizeof(int32_t));
    }
    for (int i = 0; i < m.n_segments; i++) {
        const struct prefix_node *n = &nodes[i];
        buf_append(out, examples[p->rows[n->of].row].labels + 1 + n->begin,
                   (size_t)(n->end - n->begin) * sizeof(int32_t));
    }
    for (int i = 0; i < m.n_segments; i++) {
        buf_append(out, &at, sizeof(at));
        at += nodes[i].end - nodes[i].begin;
    }
    buf_append(out, &at, sizeof(at));
    for (int i = 0; i < m.n_segments; i++)
        buf_append(out, &p->rows[nodes[i].of].row, sizeof(int32_t));
    for (int i = 0; m.is_tree && i < m.n_segments; i++)
        buf_append(out, &nodes[i].parent, sizeof(int32_t));
    *computed += m.T;
    return out->failed ? err_nomem(err, out->cap) : 0;
}

/* Fills in what is known of the step's rows. */
static int pack_micros(struct packing *packing, struct packed_step *p, struct err *err)
{
    const struct micro_batches *m = &packing->micro;
    int rc = 0;

    p->n_rows = m->n_rows;
    for (int i = 0; i < m->n_rows; i++) {
        p->tokens += packing->data->examples[m->rows[i].row].n;
        p->trained += packing->data->examples[m->rows[i].row].n_trained;
    }
    p->n_micro = m->n;
    p->micro = calloc((size_t)m->n, sizeof(*p->micro));
    packing->nodes = calloc(2 * (size_t)m->n_rows + 1, sizeof(*packing->nodes));
    if (!p->micro || !packing->nodes)
        return err_nomem(err, 2 * (size_t)m->n_rows * sizeof(*packing->nodes));
    for (int i = 0; i < m->n && rc == 0; i++)
        rc = pack_micro(packing, i, &p->computed, &p->micro[i], err);
    return rc;
}

int pack_step(struct data_order *o, const struct packing_rules *rules, int step,
              struct packed_step *ret, struct err *err)
{
    struct packing packing = {.data = o->data};
    struct packed_step p = {0};
    int rc = micro_batches_open(o, rules, step, &packing.micro, err);

    if (rc == 0)
        rc = pack_micros(&packing, &p, err);
    micro_batches_close(&packing.micro);
    free(packing.nodes);
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
