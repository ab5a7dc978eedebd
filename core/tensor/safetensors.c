/* core/tensor/safetensors.c - the safetensors format, written; safetensors_read.c reads it.
 *
 *   u64 n, little-endian | n bytes of JSON | data
 *   JSON: {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ..., "__metadata__": {...}}
 *
 * Offsets count from the end of the header. As the reference implementation does, we ask that the
 * data of the tensors fill the rest of the file: a file that was cut off, or that grew, is never
 * taken for whole.
 */
#include "core/tensor/dequant.h"
#include "core/tensor/tensorfile_impl.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static int tensor_bytes(const struct tensor_out *t, size_t *ret)
{
    int64_t elements;

    if (t->n_dims > TENSOR_DIMS_MAX || !shape_elements(t->shape, t->n_dims, &elements))
        return -1;
    *ret = (size_t)elements * (size_t)tensor_layout(t->type)->block_bytes;
    return 0;
}

/* Wide types first, so that every value is aligned to its size; then by name. */
static int compare_out(const void *a, const void *b)
{
    const struct tensor_out *x = *(const struct tensor_out *const *)a;
    const struct tensor_out *y = *(const struct tensor_out *const *)b;
    int wide = tensor_layout(y->type)->block_bytes - tensor_layout(x->type)->block_bytes;

    return wide ? wide : strcmp(x->name, y->name);
}

/* NULL for lack of memory. */
static json_t *describe(const struct tensor_out *t, size_t from, size_t to)
{
    json_t *shape = json_array();
    bool failed = false;

    for (int i = 0; i < t->n_dims; i++)
        failed |= json_array_append_new(shape, json_integer(t->shape[i])) < 0;
    if (failed) {
        json_decref(shape);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", tensor_layout(t->type)->name, "shape", shape,
                     "data_offsets", (json_int_t)from, (json_int_t)to);
}

static json_t *describe_metadata(const char *const *metadata, int n_meta)
{
    json_t *object = json_object();

    for (size_t i = 0; i < (size_t)n_meta; i++)
        if (json_object_set_new(object, metadata[2 * i], json_string(metadata[2 * i + 1])) < 0) {
            json_decref(object);
            return NULL;
        }
    return object;
}

static int build_header(const struct tensor_out *const *sorted, int n, const char *const *metadata,
                        int n_meta, json_t *header, struct err *err)
{
    size_t at = 0, bytes;

    if (n_meta > 0 &&
        json_object_set_new(header, "__metadata__", describe_metadata(metadata, n_meta)) < 0)
        return err_set(err, ERR_INVALID,
                       "the metadata of the tensors is not UTF-8, or memory is out");
    for (int i = 0; i < n; i++) {
        const struct tensor_out *t = sorted[i];
        if (json_object_get(header, t->name))
            return err_set(err, ERR_INVALID, "two tensors have the name '%.200s'", t->name);
        if (tensor_bytes(t, &bytes) < 0)
            return err_set(err, ERR_INVALID, "tensor '%.200s' has no possible shape", t->name);
        if (json_object_set_new(header, t->name, describe(t, at, at + bytes)) < 0)
            return err_set(err, ERR_INVALID,
                           "the name of tensor '%.200s' is not UTF-8, or memory is out", t->name);
        at += bytes;
    }
    return 0;
}

static void append_header(const char *text, struct buf *out)
{
    size_t len = strlen(text), padded = (len + 7) & ~(size_t)7;
    char *at = buf_grow(out, 8 + padded);

    if (!at)
        return;
    for (int i = 0; i < 8; i++)
        at[i] = (char)(padded >> (8 * i) & 255);
    memset(at + 8, ' ', padded);
    memcpy(at + 8, text, len);
}

static int encode_header(const struct tensor_out *const *sorted, int n, const char *const *metadata,
                         int n_meta, struct buf *out, struct err *err)
{
    json_t *header = json_object();
    char *text = NULL;
    int rc = header ? build_header(sorted, n, metadata, n_meta, header, err)
                    : err_nomem(err, sizeof(json_t));

    if (rc == 0)
        text = json_dumps(header, JSON_SORT_KEYS | JSON_COMPACT);
    if (text)
        append_header(text, out);
    if (rc == 0 && (!text || out->failed))
        rc = err_nomem(err, out->len);
    free(text);
    json_decref(header);
    return rc;
}

int safetensors_encode_header(const struct tensor_out *tensors, int n, const char *const *metadata,
                              int n_meta, int *ret_order, struct buf *out, struct err *err)
{
    const struct tensor_out **sorted = malloc(((size_t)n + 1) * sizeof(*sorted));
    int rc;

    if (!sorted)
        return err_nomem(err, (size_t)n * sizeof(*sorted));
    for (int i = 0; i < n; i++)
        sorted[i] = &tensors[i];
    qsort(sorted, (size_t)n, sizeof(*sorted), compare_out);
    rc = encode_header(sorted, n, metadata, n_meta, out, err);
    for (int i = 0; i < n; i++)
        ret_order[i] = (int)(sorted[i] - tensors);
    free(sorted);
    return rc;
}

int safetensors_encode(const struct tensor_out *tensors, int n, const char *const *metadata,
                       int n_meta, struct buf *out, struct err *err)
{
    int *order = malloc(((size_t)n + 1) * sizeof(*order));
    size_t bytes;
    int rc = order ? safetensors_encode_header(tensors, n, metadata, n_meta, order, out, err)
                   : err_nomem(err, (size_t)n * sizeof(*order));

    for (int i = 0; rc == 0 && i < n; i++)
        if (tensor_bytes(&tensors[order[i]], &bytes) == 0)
            buf_append(out, tensors[order[i]].data, bytes);
    if (rc == 0 && out->failed)
        rc = err_nomem(err, out->len);
    free(order);
    return rc;
}
