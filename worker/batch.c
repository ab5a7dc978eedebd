/* worker/batch.c - see batch.h. */
#include "worker/batch.h"
#include <stdlib.h>
#include <string.h>

static void fill(struct batch *b, const int32_t *targets, const int32_t *rows)
{
    int i, t;

    for (i = 0; i < b->segments.n; i++) {
        int first = b->segments.starts[i], last = b->segments.starts[i + 1];
        if (last - first > b->longest)
            b->longest = last - first;
        for (t = first; t < last; t++) {
            b->positions[t] = t - first;
            b->rows[t] = rows[i];
            if (targets[t] == NO_TARGET)
                continue;
            b->trained[b->n_trained] = t;
            b->targets[b->n_trained++] = targets[t];
        }
    }
}

int batch_make(const int32_t *ids, const int32_t *targets, int T, struct segments segments,
               const int32_t *rows, struct batch *ret, struct err *err)
{
    size_t size = (size_t)T * sizeof(int32_t);
    struct batch b = {.T = T, .ids = ids, .segments = segments};

    b.positions = malloc(size);
    b.rows = malloc(size);
    b.trained = malloc(size);
    b.targets = malloc(size);
    if (!b.positions || !b.rows || !b.trained || !b.targets) {
        batch_free(&b);
        return err_nomem(err, 4 * size);
    }
    fill(&b, targets, rows);
    *ret = b;
    return 0;
}

int batch_read(struct rank_cursor *c, struct batch *ret, struct err *err)
{
    const struct rank_micro *m = rank_take(c, sizeof(*m));
    const int32_t *ids, *targets, *starts, *rows;
    struct segments segments;
    int rc;

    if (!m || m->T < 1 || m->n_segments < 1)
        return err_set(err, ERR_PEER, "a step's message ends before its micro-batches");
    ids = rank_take(c, (size_t)m->T * sizeof(*ids));
    targets = rank_take(c, (size_t)m->T * sizeof(*targets));
    starts = rank_take(c, ((size_t)m->n_segments + 1) * sizeof(*starts));
    rows = rank_take(c, (size_t)m->n_segments * sizeof(*rows));
    if (!ids || !targets || !starts || !rows)
        return err_set(err, ERR_PEER, "a step's message ends within a micro-batch");
    segments = (struct segments){m->n_segments, starts};
    rc = batch_make(ids, targets, m->T, segments, rows, ret, err);
    if (rc == 0)
        ret->index = m->index;
    return rc;
}

void batch_free(struct batch *b)
{
    free(b->positions);
    free(b->rows);
    free(b->trained);
    free(b->targets);
    *b = (struct batch){0};
}
