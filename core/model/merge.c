/* core/model/merge.c - see merge.h: the plan, and the numbers of one tensor.
 *
 * A tensor is written in the order of its rows in the file, which for q and k of a GGUF is not that
 * of the map's outputs; a row of the result needs one row of W and of B and all of A. Compiled
 * without contraction, so that every CPU rounds alike.
 */
#include "core/model/merge.h"
#include "core/finite.h"
#include "core/model/merge_impl.h"
#include "core/tensor/dequant.h"
#include "core/tensor/quant.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PART_BYTES = 4 << 20 };

/* ---- the plan ---- */

void merge_adapt(const struct merge *m, struct merge_tensor *t)
{
    const struct adapter *a = m->adapter;

    for (int i = 0; i < a->n; i++) {
        const struct adapter_map *map = &a->maps[i];
        if (m->model->layers[map->layer].modules[map->kind] != t->source.tensor)
            continue;
        t->map = map;
        t->scale = m->scales[i];
        t->source.interleaved = m->model->gguf ? model_gguf_interleaved(m->model, map->kind) : 0;
        return;
    }
}

int merge_plan_open(const struct merge *m, struct merge_plan *ret, struct err *err)
{
    const struct model_files *files = &m->model->files;
    struct merge_plan p = {0};
    size_t n = 0;

    for (int i = 0; i < files->n; i++)
        n += (size_t)tensorfile_count(files->items[i]);
    p.of = calloc(n + 1, sizeof(*p.of));
    if (!p.of)
        return err_nomem(err, n * sizeof(*p.of));
    for (int i = 0; i < files->n; i++)
        for (int k = 0; k < tensorfile_count(files->items[i]); k++) {
            struct merge_tensor *t = &p.of[p.n++];
            t->source.tensor = tensorfile_at(files->items[i], k);
            t->file = files->items[i];
            t->name = t->source.tensor->name;
            t->type = t->source.tensor->type;
            merge_adapt(m, t);
        }
    *ret = p;
    return 0;
}

int merge_open_tokenizer(const struct model *m, struct tokenizer **ret, struct problems *problems,
                         struct err *err)
{
    struct err refusal;
    int rc = model_open_tokenizer_if_usable(m, ret, &refusal, err);

    if (rc == 0 && refusal.code != 0)
        problems_add(problems, NULL, 0, "%s", refusal.text);
    return rc;
}

void merge_plan_close(struct merge_plan *p)
{
    free(p->of);
    *p = (struct merge_plan){0};
}

static int64_t row_bytes(const struct merge_tensor *t)
{
    const struct tensor_layout *l = tensor_layout(t->type);

    return tensor_row_elements(t->source.tensor) / l->block_elements * l->block_bytes;
}

static int64_t rows_of(const struct tensor *t)
{
    return t->n_dims < 2 ? 1 : t->shape[0];
}

uint64_t merge_tensor_bytes(const struct merge_tensor *t)
{
    return (uint64_t)(rows_of(t->source.tensor) * row_bytes(t));
}

/* ---- the numbers ---- */

struct rows {
    float *row;       /* (columns) */
    double *sum;      /* (columns) */
    uint8_t *encoded; /* PART_BYTES, or a row where one is longer */
};

/* Adds row i of s B A to row. */
static void add_delta(const struct adapter_map *map, double scale, int64_t i, float *row,
                      double *sum)
{
    const float *b = map->B + i * map->rank;
    int columns = map->columns;

    memset(sum, 0, (size_t)columns * sizeof(*sum));
    for (int t = 0; t < map->rank; t++) {
        const float *a = map->A + (size_t)t * (size_t)columns;
        double factor = b[t];
        for (int j = 0; j < columns; j++)
            sum[j] += factor * a[j];
    }
    for (int j = 0; j < columns; j++)
        row[j] = (float)(row[j] + scale * sum[j]);
}

static int cannot_hold(const struct merge_tensor *t, int64_t row, int64_t at, double value,
                       struct err *err)
{
    const char *name = t->source.tensor->name, *path = tensorfile_path(t->file);

    if (!isfinite(value))
        return err_set(err, ERR_INVALID, "%s: tensor %.200s: number %lld of row %lld %s", path,
                       name, (long long)at, (long long)row,
                       t->map ? "is not finite once the adapter is added" : "is not finite");
    return err_set(err, ERR_INVALID,
                   "%s: tensor %.200s: number %lld of row %lld is %g%s, which %s cannot hold: "
                   "choose --type BF16 or F32",
                   path, name, (long long)at, (long long)row, value,
                   t->map ? " with the adapter" : "", tensor_type_name(t->type));
}

/* Which row of the source a row of the result is. */
static int64_t source_row(const struct merge_tensor *t, int64_t row)
{
    const struct weight_source order = {NULL, t->interleave};

    return t->in_order ? weight_source_row(&t->source, row) : weight_matrix_row(&order, row);
}

/* The numbers of a vector in the order that the result has. */
static void reorder(const struct merge_tensor *t, int64_t n, struct rows *r)
{
    for (int64_t i = 0; i < n; i++)
        r->sum[i] = r->row[source_row(t, i)];
    for (int64_t i = 0; i < n; i++)
        r->row[i] = (float)r->sum[i];
}

/* A row as the file holds it, to `to`. */
static int encode_row(const struct merge_tensor *t, int64_t row, struct rows *r, uint8_t *to,
                      struct err *err)
{
    int64_t n = tensor_row_elements(t->source.tensor), wrong = 0;
    int64_t from = t->source.tensor->n_dims < 2 ? row : source_row(t, row);
    int rc = tensor_read_f32(t->source.tensor, from, 1, r->row, err);

    if (rc < 0)
        return err_prefix(err, "%s", tensorfile_path(t->file));
    if (t->map)
        add_delta(t->map, t->scale, weight_matrix_row(&t->source, from), r->row, r->sum);
    if ((t->interleave || t->in_order) && t->source.tensor->n_dims < 2)
        reorder(t, n, r);
    for (int64_t i = 0; t->added && i < n; i++)
        r->row[i] += (float)t->added;
    if (floats_are_right(r->row, (size_t)n, -FLT_MAX))
        wrong = quant(t->type, r->row, n, to);
    else
        while (isfinite(r->row[wrong]))
            wrong++;
    return wrong < n ? cannot_hold(t, row, wrong, r->row[wrong], err) : 0;
}

static int report(const struct merge *m, uint64_t done, uint64_t total, struct err *err)
{
    if (m->progress && m->progress(m->context, done, total) != 0)
        return err_set(err, ERR_STATE, "interrupted: nothing was written");
    return 0;
}

static int write_rows(const struct merge *m, const struct merge_tensor *t, struct rows *r,
                      struct file_writer *w, uint64_t *done, uint64_t total, struct err *err)
{
    int64_t bytes = row_bytes(t), n = rows_of(t->source.tensor), at_once = PART_BYTES / bytes;
    int rc = 0;

    at_once = at_once < 1 ? 1 : at_once;
    for (int64_t row = 0; row < n && rc == 0; row += at_once) {
        int64_t part = n - row < at_once ? n - row : at_once;
        for (int64_t i = 0; i < part && rc == 0; i++)
            rc = encode_row(t, row + i, r, r->encoded + i * bytes, err);
        if (rc == 0)
            rc = file_writer_add(w, r->encoded, (size_t)(part * bytes), err);
        *done += (uint64_t)(part * bytes);
        if (rc == 0)
            rc = report(m, *done, total, err);
    }
    return rc;
}

static int write_encoded(const struct merge *m, const struct merge_tensor *t, struct file_writer *w,
                         uint64_t *done, uint64_t total, struct err *err)
{
    size_t columns = (size_t)tensor_row_elements(t->source.tensor), bytes = (size_t)row_bytes(t);
    struct rows r = {
        .row = malloc(columns * sizeof(float)),
        .sum = malloc(columns * sizeof(double)),
        .encoded = malloc(bytes > PART_BYTES ? bytes : PART_BYTES),
    };
    int rc = r.row && r.sum && r.encoded ? write_rows(m, t, &r, w, done, total, err)
                                         : err_nomem(err, columns * sizeof(double) + bytes);

    free(r.row);
    free(r.sum);
    free(r.encoded);
    return rc;
}

static int write_as_it_is(const struct merge *m, const struct tensor *t, struct file_writer *w,
                          uint64_t *done, uint64_t total, struct err *err)
{
    int rc = 0;

    for (size_t at = 0; at < t->bytes && rc == 0; at += PART_BYTES) {
        size_t part = t->bytes - at < PART_BYTES ? t->bytes - at : PART_BYTES;
        rc = file_writer_add(w, (const char *)t->data + at, part, err);
        *done += part;
        if (rc == 0)
            rc = report(m, *done, total, err);
    }
    return rc;
}

int merge_write(const struct merge *m, const struct merge_tensor *t, struct file_writer *w,
                uint64_t *done, uint64_t total, struct err *err)
{
    const struct tensor *from = t->source.tensor;
    int rc;

    if (tensor_elements(from) == 0)
        return 0;
    if (!t->map && !t->interleave && !t->in_order && !t->added && t->type == from->type)
        rc = write_as_it_is(m, from, w, done, total, err);
    else
        rc = write_encoded(m, t, w, done, total, err);
    tensorfile_release(t->file);
    return rc;
}
