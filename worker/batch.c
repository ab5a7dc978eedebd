/* worker/batch.c - see batch.h. What each token needs to know of its row is written out once, so
 * that operations on rows need no segments. */
#include "worker/batch.h"
#include <stdlib.h>
#include <string.h>

static void fill(struct batch *b, const int32_t *targets, const int32_t *rows, int unseen)
{
    int i, t;

    for (i = 0; i < b->segments.n; i++) {
        int first = b->segments.starts[i], last = b->segments.starts[i + 1];
        if (last - first > b->longest)
            b->longest = last - first;
        for (t = first; t < last; t++) {
            b->positions[t] = t - first;
            b->lengths[t] = last - first + unseen;
            b->rows[t] = rows[i];
            if (targets[t] == NO_TARGET)
                continue;
            b->trained[b->n_trained] = t;
            b->targets[b->n_trained++] = targets[t];
        }
    }
}

int batch_make(const int32_t *ids, const int32_t *targets, int T, struct segments segments,
               const int32_t *rows, int unseen, struct batch *ret, struct err *err)
{
    size_t size = (size_t)T * sizeof(int32_t);
    struct batch b = {.T = T, .ids = ids, .segments = segments};

    b.positions = malloc(size);
    b.lengths = malloc(size);
    b.rows = malloc(size);
    b.trained = malloc(size);
    b.targets = malloc(size);
    if (!b.positions || !b.lengths || !b.rows || !b.trained || !b.targets) {
        batch_free(&b);
        return err_nomem(err, 5 * size);
    }
    fill(&b, targets, rows, unseen);
    *ret = b;
    return 0;
}

int batch_read(struct rank_cursor *c, int vocab, struct batch *ret, struct err *err)
{
    struct rank_micro_view v;
    struct segments segments;
    int rc = rank_micro_read(c, vocab, &v, err);

    if (rc < 0)
        return rc;
    segments = (struct segments){v.header.n_segments, v.starts};
    rc = batch_make(v.ids, v.targets, v.header.T, segments, v.rows, 1, ret, err);
    if (rc == 0)
        ret->index = v.header.index;
    return rc;
}

void batch_free(struct batch *b)
{
    free(b->positions);
    free(b->lengths);
    free(b->rows);
    free(b->trained);
    free(b->targets);
    *b = (struct batch){0};
}
