/* worker/batch.c - see batch.h. What each row needs to know of its example is written out once, for
 * all rows and again for the trained ones, so that operations on rows need no segments. */
#include "worker/batch.h"
#include <stdlib.h>

enum { ARRAYS = 8 }; /* of up to T numbers, beside the trained rows' starts */

/* The arrays of a batch while they are filled. */
struct columns {
    int32_t *positions, *lengths, *rows;
};

static void fill_all(struct batch *b, struct columns all, const int32_t *rows, int unseen)
{
    struct segments segments = b->all.segments;

    b->inherited = segments_inherited(&segments);
    for (int i = 0; i < segments.n; i++) {
        int first = segments.starts[i], last = segments.starts[i + 1];
        int depth = segment_depth(&segments, i);
        if (depth + last - first > b->longest)
            b->longest = depth + last - first;
        for (int t = first; t < last; t++) {
            all.positions[t] = depth + t - first;
            all.lengths[t] = depth + last - first + unseen;
            all.rows[t] = rows[i];
        }
    }
}

static int fill_trained(struct columns all, struct segments segments, const int32_t *wanted,
                        struct columns trained, int32_t *starts, int32_t *at, int32_t *targets)
{
    int n = 0;

    for (int i = 0; i < segments.n; i++) {
        for (int t = segments.starts[i]; t < segments.starts[i + 1]; t++) {
            if (wanted[t] == NO_TARGET)
                continue;
            trained.positions[n] = all.positions[t];
            trained.lengths[n] = all.lengths[t];
            trained.rows[n] = all.rows[t];
            at[n] = t;
            targets[n++] = wanted[t];
        }
        starts[i + 1] = n;
    }
    return n;
}

/* Consecutive arrays of T numbers. */
static struct columns columns_at(int32_t *memory, size_t T)
{
    return (struct columns){memory, memory + T, memory + 2 * T};
}

int batch_make(const int32_t *ids, const int32_t *targets, int T, struct segments segments,
               const int32_t *rows, int unseen, struct batch *ret, struct err *err)
{
    size_t n = (size_t)T, numbers = ARRAYS * n + (size_t)segments.n + 1;
    int32_t *m = calloc(numbers, sizeof(*m)), *at, *wanted, *starts;
    struct batch b = {.T = T, .ids = ids, .memory = m};
    struct columns all, trained;

    if (!m)
        return err_nomem(err, numbers * sizeof(*m));
    all = columns_at(m, n);
    trained = columns_at(m + 3 * n, n);
    at = m + 6 * n;
    b.targets = wanted = m + 7 * n;
    starts = m + ARRAYS * n;
    b.all = (struct batch_rows){T, NULL, segments, all.positions, all.lengths, all.rows};
    fill_all(&b, all, rows, unseen);
    b.trained = (struct batch_rows){.at = at,
                                    .segments = {segments.n, starts, NULL},
                                    .positions = trained.positions,
                                    .lengths = trained.lengths,
                                    .rows = trained.rows};
    b.trained.n = fill_trained(all, segments, targets, trained, starts, at, wanted);
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
    segments = (struct segments){v.header.n_segments, v.starts, v.parents};
    rc = batch_make(v.ids, v.targets, v.header.T, segments, v.rows, 1, ret, err);
    if (rc == 0)
        ret->index = v.header.index;
    return rc;
}

void batch_free(struct batch *b)
{
    free(b->memory);
    *b = (struct batch){0};
}
