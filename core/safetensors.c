/* core/safetensors.c - the safetensors format, read and written.
 *
 *   u64 n, little-endian | n bytes of JSON | data
 *   JSON: {"name": {"dtype", "shape", "data_offsets": [begin, end]}, ..., "__metadata__": {...}}
 *
 * Offsets count from the end of the header. As the reference implementation does, we ask that the
 * data of the tensors fill the rest of the file: a file that was cut off, or that grew, is never
 * taken for whole.
 */
#include "core/dequant.h"
#include "core/tensorfile_impl.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER_MAX = 100000000 }; /* the reference implementation's limit */

static const struct dtype {
    const char *name;
    enum tensor_type type;
    int bytes;
} dtypes[] = {
    {"F32", TENSOR_F32, 4},
    {"F16", TENSOR_F16, 2},
    {"BF16", TENSOR_BF16, 2},
    {"F64", TENSOR_F64, 8},
    {"I32", TENSOR_I32, 4},
    {"I64", TENSOR_I64, 8},
    {"BOOL", TENSOR_UNSUPPORTED, 1},
    {"U8", TENSOR_UNSUPPORTED, 1},
    {"I8", TENSOR_UNSUPPORTED, 1},
    {"F8_E4M3", TENSOR_UNSUPPORTED, 1},
    {"F8_E5M2", TENSOR_UNSUPPORTED, 1},
    {"F8_E8M0", TENSOR_UNSUPPORTED, 1},
    {"U16", TENSOR_UNSUPPORTED, 2},
    {"I16", TENSOR_UNSUPPORTED, 2},
    {"U32", TENSOR_UNSUPPORTED, 4},
    {"U64", TENSOR_UNSUPPORTED, 8},
    {"C64", TENSOR_UNSUPPORTED, 8},
};

static const struct dtype *find_dtype(const char *name)
{
    for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++)
        if (strcmp(dtypes[i].name, name) == 0)
            return &dtypes[i];
    return NULL;
}

static int read_dtype(struct tensorfile *f, const json_t *entry, struct tensor *t,
                      int *ret_value_bytes, struct err *err)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    const struct dtype *d = name ? find_dtype(name) : NULL;

    if (!name)
        return err_set(err, ERR_INVALID, "tensor '%.200s' has no dtype in the header", t->name);
    t->type = d ? d->type : TENSOR_UNSUPPORTED;
    t->type_name = d ? d->name : pool_text(&f->pool, name, strlen(name));
    *ret_value_bytes = d ? d->bytes : 0;
    return t->type_name ? 0 : err_nomem(err, strlen(name));
}

static int read_shape(const json_t *entry, struct tensor *t, struct err *err)
{
    const json_t *shape = json_object_get(entry, "shape"), *dimension;
    size_t i;

    if (!json_is_array(shape))
        return err_set(err, ERR_INVALID, "tensor '%.200s' has no shape in the header", t->name);
    if (json_array_size(shape) > TENSOR_DIMS_MAX)
        return err_set(err, ERR_UNSUPPORTED, "tensor '%.200s' has %zu dimensions; %d are possible",
                       t->name, json_array_size(shape), TENSOR_DIMS_MAX);
    t->n_dims = (int)json_array_size(shape);
    json_array_foreach(shape, i, dimension)
    {
        if (!json_is_integer(dimension) || json_integer_value(dimension) < 0)
            return err_set(err, ERR_INVALID,
                           "tensor '%.200s' has a dimension that is not a number of elements",
                           t->name);
        t->shape[i] = json_integer_value(dimension);
    }
    return 0;
}

/* Checks begin and end against the data section and, where the type's size is known, the shape. */
static int read_extent(const json_t *entry, const uint8_t *data, size_t data_len, int value_bytes,
                       struct tensor *t, struct err *err)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0), *end = json_array_get(offsets, 1);
    int64_t from = json_integer_value(begin), to = json_integer_value(end), elements, wanted;

    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end) ||
        from < 0 || to < from)
        return err_set(err, ERR_INVALID,
                       "tensor '%.200s' has no data_offsets [begin, end] in the header", t->name);
    if ((uint64_t)to > data_len)
        return err_set(
            err, ERR_INVALID,
            "the file is cut off: tensor '%.200s' ends at byte %lld of the data, of which "
            "there are %zu",
            t->name, (long long)to, data_len);
    if (value_bytes &&
        (!shape_elements(t->shape, t->n_dims, &elements) ||
         __builtin_mul_overflow(elements, value_bytes, &wanted) || wanted != to - from))
        return err_set(
            err, ERR_INVALID,
            "tensor '%.200s' has %lld bytes, which is not what its shape and type %s need", t->name,
            (long long)(to - from), t->type_name);
    t->data = data + from;
    t->bytes = (size_t)(to - from);
    return 0;
}

static int read_metadata(struct tensorfile *f, const json_t *metadata, struct err *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(metadata))
        return err_set(err, ERR_INVALID, "__metadata__ in the header is not an object");
    f->kvs = pool_alloc(&f->pool, (json_object_size(metadata) + 1) * sizeof(*f->kvs));
    if (!f->kvs)
        return err_nomem(err, json_object_size(metadata) * sizeof(*f->kvs));
    json_object_foreach((json_t *)metadata, key, value)
    {
        struct file_kv *kv = &f->kvs[f->n_kvs];
        if (!json_is_string(value))
            return err_set(err, ERR_INVALID, "__metadata__ '%.200s' is not a string", key);
        *kv = (struct file_kv){
            .key = pool_text(&f->pool, key, strlen(key)),
            .kind = KV_STRING,
            .text = pool_text(&f->pool, json_string_value(value), json_string_length(value)),
        };
        if (!kv->key || !kv->text)
            return err_nomem(err, json_string_length(value));
        f->n_kvs++;
    }
    return 0;
}

static int read_tensor(struct tensorfile *f, const char *name, const json_t *entry,
                       const uint8_t *data, struct err *err)
{
    struct tensor *t = &f->tensors[f->n];
    size_t data_len = f->len - (size_t)(data - f->bytes);
    int value_bytes = 0, rc;

    *t = (struct tensor){.name = pool_text(&f->pool, name, strlen(name))};
    if (!t->name)
        return err_nomem(err, strlen(name));
    rc = read_dtype(f, entry, t, &value_bytes, err);
    if (rc == 0)
        rc = read_shape(entry, t, err);
    if (rc == 0)
        rc = read_extent(entry, data, data_len, value_bytes, t, err);
    if (rc == 0)
        f->n++;
    return rc;
}

static int read_entries(struct tensorfile *f, json_t *header, const uint8_t *data, struct err *err)
{
    size_t most = json_object_size(header), used = 0;
    const char *name;
    json_t *entry;
    int rc = 0;

    f->tensors = pool_alloc(&f->pool, (most + 1) * sizeof(*f->tensors));
    if (!f->tensors)
        return err_nomem(err, most * sizeof(*f->tensors));
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            rc = read_metadata(f, entry, err);
        else
            rc = read_tensor(f, name, entry, data, err);
        if (rc < 0)
            return rc;
    }
    for (int i = 0; i < f->n; i++)
        used += f->tensors[i].bytes;
    if (data + used != f->bytes + f->len)
        return err_set(
            err, ERR_INVALID,
            "the tensors take %zu bytes but the file has %zu bytes of data: it is damaged", used,
            (size_t)(f->bytes + f->len - data));
    return 0;
}

int safetensors_parse(struct tensorfile *f, struct err *err)
{
    uint64_t header_len = 0;
    json_error_t why;
    json_t *header;
    int rc;

    if (f->len < 8)
        return err_set(err, ERR_INVALID,
                       "is neither a safetensors nor a GGUF file (it has only %zu bytes)", f->len);
    for (int i = 7; i >= 0; i--)
        header_len = header_len << 8 | f->bytes[i];
    if (header_len < 2 || header_len > HEADER_MAX || (f->len > 8 && f->bytes[8] != '{'))
        return err_set(err, ERR_INVALID, "is neither a safetensors nor a GGUF file");
    if (header_len > f->len - 8)
        return err_set(err, ERR_INVALID,
                       "the file is cut off: its header should have %llu bytes, the file has %zu",
                       (unsigned long long)header_len, f->len);
    header =
        json_loadb((const char *)f->bytes + 8, (size_t)header_len, JSON_REJECT_DUPLICATES, &why);
    if (!header)
        return err_set(err, ERR_INVALID, "the safetensors header is not JSON: %s", why.text);
    rc = read_entries(f, header, f->bytes + 8 + header_len, err);
    json_decref(header);
    return rc;
}

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

int safetensors_encode(const struct tensor_out *tensors, int n, const char *const *metadata,
                       int n_meta, struct buf *out, struct err *err)
{
    const struct tensor_out **sorted = malloc(((size_t)n + 1) * sizeof(*sorted));
    json_t *header = json_object();
    char *text = NULL;
    size_t bytes;
    int rc;

    if (!sorted || !header) {
        rc = err_nomem(err, (size_t)n * sizeof(*sorted));
        goto done;
    }
    for (int i = 0; i < n; i++)
        sorted[i] = &tensors[i];
    qsort(sorted, (size_t)n, sizeof(*sorted), compare_out);
    rc = build_header(sorted, n, metadata, n_meta, header, err);
    if (rc < 0)
        goto done;
    text = json_dumps(header, JSON_SORT_KEYS | JSON_COMPACT);
    if (text)
        append_header(text, out);
    for (int i = 0; text && i < n; i++)
        if (tensor_bytes(sorted[i], &bytes) == 0)
            buf_append(out, sorted[i]->data, bytes);
    if (!text || out->failed)
        rc = err_nomem(err, out->len);
done:
    free(text);
    json_decref(header);
    free(sorted);
    return rc;
}
