/* core/tensor/weight.c - see weight.h.
 *
 * GGUF's converter stores the rows of a q or k head of D rows interleaved, the two halves that rope
 * turns against each other side by side: GGUF row h*D + 2j + i is HF row h*D + i*D/2 + j, i in {0,
 * 1}, j < D/2. They are put back when they are copied.
 */
#define XXH_STATIC_LINKING_ONLY /* the state on the stack */
#include "core/tensor/weight.h"
#include "core/tensor/dequant.h"
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { ALIGNMENT = 64, LINE = 64, ROWS_AHEAD = 8 };

/* What is kept of a tensor: doubles are not. */
static enum tensor_type kept_type(const struct tensor *t)
{
    return t->type == TENSOR_F64 ? TENSOR_F32 : t->type;
}

static size_t row_bytes(const struct tensor *t)
{
    const struct tensor_layout *l = tensor_layout(kept_type(t));

    return (size_t)(t->shape[1] / l->block_elements) * (size_t)l->block_bytes;
}

double weight_tensor_bytes(const struct tensor *t)
{
    return t->type == TENSOR_UNSUPPORTED ? 0 : (double)t->shape[0] * (double)row_bytes(t);
}

int64_t weight_source_row(const struct weight_source *source, int64_t row)
{
    int64_t D = source->interleaved;

    return D ? row / D * D + 2 * (row % (D / 2)) + row % D / (D / 2) : row;
}

int64_t weight_matrix_row(const struct weight_source *source, int64_t row)
{
    int64_t D = source->interleaved;

    return D ? row / D * D + row % 2 * (D / 2) + row % D / 2 : row;
}

static void copy_rows(const struct weight_source *s, uint8_t *to)
{
    const struct tensor *t = s->tensor;
    const uint8_t *from = t->data;
    size_t bytes = row_bytes(t), stored = t->bytes / (size_t)t->shape[0];

    for (int64_t row = 0; row < t->shape[0]; row++, to += bytes) {
        const uint8_t *at = from + (size_t)weight_source_row(s, row) * stored;
        if (t->type == TENSOR_F64)
            dequant(TENSOR_F64, at, t->shape[1], (float *)(void *)to);
        else
            memcpy(to, at, bytes);
    }
}

int weight_open(const struct weight_source *sources, int n, struct weight *ret, struct err *err)
{
    struct weight w = {.columns = (int)sources[0].tensor->shape[1], .block = 1, .n = n};
    size_t bytes = 0;
    bool all_f32 = true;
    uint8_t *at;

    for (int i = 0; i < n; i++) {
        int rc = tensor_check_readable(sources[i].tensor, err);
        if (rc < 0)
            return rc;
    }
    for (int i = 0; i < n; i++) {
        const struct tensor *t = sources[i].tensor;
        int block = tensor_layout(kept_type(t))->block_elements;
        w.block = block > w.block ? block : w.block;
        w.pieces[i] = (struct weight_piece){w.rows, kept_type(t), row_bytes(t), NULL};
        w.rows += (int)t->shape[0];
        bytes += (size_t)t->shape[0] * row_bytes(t);
        all_f32 &= kept_type(t) == TENSOR_F32;
    }
    w.memory = aligned_alloc(ALIGNMENT, (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
    if (!w.memory)
        return err_nomem(err, bytes);
    at = w.memory;
    for (int i = 0; i < n; i++) {
        copy_rows(&sources[i], at);
        w.pieces[i].at = at;
        at += (size_t)sources[i].tensor->shape[0] * w.pieces[i].row_bytes;
    }
    w.f32 = all_f32 ? w.memory : NULL;
    *ret = w;
    return 0;
}

struct weight weight_of_floats(const float *at, int rows, int columns)
{
    return (struct weight){
        .rows = rows,
        .columns = columns,
        .block = 1,
        .f32 = at,
        .n = 1,
        .pieces = {{0, TENSOR_F32, (size_t)columns * sizeof(float), (const uint8_t *)at}},
    };
}

void weight_close(struct weight *w)
{
    free(w->memory);
    *w = (struct weight){0};
}

size_t weight_bytes(const struct weight *w)
{
    size_t bytes = 0;

    for (int i = 0; i < w->n; i++) {
        int last = i + 1 < w->n ? w->pieces[i + 1].first : w->rows;
        bytes += (size_t)(last - w->pieces[i].first) * w->pieces[i].row_bytes;
    }
    return bytes;
}

void weight_read(const struct weight *w, int row, int column, int n, float *out)
{
    const struct weight_piece *p = w->pieces;
    const struct tensor_layout *l;
    const uint8_t *at, *ahead;
    size_t bytes;

    while (p + 1 < w->pieces + w->n && p[1].first <= row)
        p++;
    l = tensor_layout(p->type);
    at = p->at + (size_t)(row - p->first) * p->row_bytes +
         (size_t)(column / l->block_elements) * (size_t)l->block_bytes;
    /* Panels are filled row by row, some columns of each, which no CPU foresees. */
    ahead = at + ROWS_AHEAD * p->row_bytes;
    bytes = (size_t)(n / l->block_elements) * (size_t)l->block_bytes;
    for (size_t i = 0; i < bytes; i += LINE)
        __builtin_prefetch(ahead + i);
    __builtin_prefetch(ahead + bytes - 1); /* where it begins in the middle of a line */
    dequant(p->type, at, n, out);
}

void weight_read_rows(const struct weight_rows *rows, float *out)
{
    for (int i = 0; i < rows->n; i++)
        weight_read(rows->w, rows->first + i, 0, rows->w->columns,
                    out + (size_t)i * (size_t)rows->w->columns);
}

void weight_hash(const struct weight_rows *rows, uint64_t seed, uint64_t ret[2])
{
    enum { PART = 4 * WEIGHT_BLOCK_MAX };
    int columns = rows->w->columns;
    XXH3_state_t state;
    XXH128_hash_t h;
    float part[PART];

    XXH3_128bits_reset_withSeed(&state, seed);
    for (int i = 0; i < rows->n; i++)
        for (int j = 0; j < columns; j += PART) {
            int n = columns - j < PART ? columns - j : PART;
            weight_read(rows->w, rows->first + i, j, n, part);
            XXH3_128bits_update(&state, part, (size_t)n * sizeof(float));
        }
    h = XXH3_128bits_digest(&state);
    ret[0] = h.low64;
    ret[1] = h.high64;
}
