/* core/tensor/gguf.c - the GGUF format (versions 2 and 3, little-endian), read.
 *
 *   "GGUF" | u32 version | u64 n_tensors | u64 n_kv | key-values | infos | padding | data
 *   key-value: string key | u32 type | value
 *   info:      string name | u32 n_dims | u64 dims[] | u32 type | u64 offset
 *   array:     u32 type | u64 n | n values
 *   string:    u64 length | bytes
 *
 * Dims are innermost first. Offsets count from the data, which starts at the next multiple of
 * general.alignment (32 where absent).
 *
 * Lists are not copied: a header may claim one of any length over a hole of a sparse file.
 */
#include "core/tensor/dequant.h"
#include "core/tensor/tensorfile_impl.h"
#include <stdio.h>
#include <string.h>

/* Bytes of a value of fixed size. */
static const uint8_t value_bytes[GGUF_TYPES] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
    [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

/* Bytes of the smallest entries, which bound the counts that a header may claim. */
enum { KV_BYTES_MIN = 8 + 4 + 1, INFO_BYTES_MIN = 8 + 4 + 8 + 4 + 8 };

/* What bounds the memory that a header takes, however much of the file is a hole: more than any
 * file has. Lists of texts hold tokens and merges. */
enum { KVS_MAX = 1 << 16, TENSORS_MAX = 1 << 20, NAME_BYTES_MAX = 65535 };
enum { ARRAY_STRINGS_MAX = 1 << 24 };

/* ggml's numbers of tensor types. Sizes of types that we do not read serve to check extents. */
static const struct ggml_type {
    const char *name;
    enum tensor_type type;
    int block_elements, block_bytes; /* of an unsupported type */
} ggml_types[] = {
    [0] = {"F32", TENSOR_F32},
    [1] = {"F16", TENSOR_F16},
    [2] = {"Q4_0", TENSOR_Q4_0},
    [3] = {"Q4_1", TENSOR_Q4_1},
    [6] = {"Q5_0", TENSOR_Q5_0},
    [7] = {"Q5_1", TENSOR_Q5_1},
    [8] = {"Q8_0", TENSOR_Q8_0},
    [9] = {"Q8_1", TENSOR_UNSUPPORTED, 32, 40},
    [10] = {"Q2_K", TENSOR_Q2_K},
    [11] = {"Q3_K", TENSOR_Q3_K},
    [12] = {"Q4_K", TENSOR_Q4_K},
    [13] = {"Q5_K", TENSOR_Q5_K},
    [14] = {"Q6_K", TENSOR_Q6_K},
    [15] = {"Q8_K", TENSOR_UNSUPPORTED, 256, 292},
    [16] = {"IQ2_XXS", TENSOR_IQ2_XXS},
    [17] = {"IQ2_XS", TENSOR_IQ2_XS},
    [18] = {"IQ3_XXS", TENSOR_IQ3_XXS},
    [19] = {"IQ1_S", TENSOR_IQ1_S},
    [20] = {"IQ4_NL", TENSOR_IQ4_NL},
    [21] = {"IQ3_S", TENSOR_IQ3_S},
    [22] = {"IQ2_S", TENSOR_IQ2_S},
    [23] = {"IQ4_XS", TENSOR_IQ4_XS},
    [24] = {"I8", TENSOR_UNSUPPORTED, 1, 1},
    [25] = {"I16", TENSOR_UNSUPPORTED, 1, 2},
    [26] = {"I32", TENSOR_I32},
    [27] = {"I64", TENSOR_I64},
    [28] = {"F64", TENSOR_F64},
    [29] = {"IQ1_M", TENSOR_IQ1_M},
    [30] = {"BF16", TENSOR_BF16},
    [34] = {"TQ1_0", TENSOR_TQ1_0},
    [35] = {"TQ2_0", TENSOR_TQ2_0},
    [39] = {"MXFP4", TENSOR_MXFP4},
    [40] = {"NVFP4", TENSOR_NVFP4},
    [41] = {"Q1_0", TENSOR_UNSUPPORTED, 128, 18},
};

struct cursor {
    const uint8_t *start, *at, *end;
};

static size_t left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}

static int cut_off(const struct cursor *c, struct err *err)
{
    err_set(err, ERR_INVALID,
            "the file is cut off or damaged: the header continues past byte %zu of %zu",
            (size_t)(c->at - c->start), (size_t)(c->end - c->start));
    return ERR_INVALID;
}

static int read_bytes(struct cursor *c, void *out, size_t bytes, struct err *err)
{
    if (left(c) < bytes)
        return cut_off(c, err);
    memcpy(out, c->at, bytes);
    c->at += bytes;
    return 0;
}

static int read_u32(struct cursor *c, uint32_t *ret, struct err *err)
{
    return read_bytes(c, ret, sizeof(*ret), err);
}

static int read_u64(struct cursor *c, uint64_t *ret, struct err *err)
{
    return read_bytes(c, ret, sizeof(*ret), err);
}

/* A string, where it lies in the file. */
static int read_string(struct cursor *c, const char **ret, size_t *ret_len, struct err *err)
{
    uint64_t len;
    int rc = read_u64(c, &len, err);

    if (rc < 0)
        return rc;
    if (len > left(c))
        return cut_off(c, err);
    *ret = (const char *)c->at;
    *ret_len = (size_t)len;
    c->at += len;
    return 0;
}

/* Text that C can hold, as a NUL-terminated copy in the file's pool. It is looked through for NUL
 * first: the holes of a sparse file are full of them, and are never copied. */
static int read_text(struct tensorfile *f, struct cursor *c, const char **ret, size_t *ret_len,
                     struct err *err)
{
    const char *text;
    size_t len;
    int rc = read_string(c, &text, &len, err);

    if (rc < 0)
        return rc;
    if (memchr(text, '\0', len))
        return err_set(err, ERR_INVALID, "a name or a string in the header holds a NUL byte");
    *ret = pool_text(&f->pool, text, len);
    if (!*ret)
        return err_nomem(err, len);
    *ret_len = strlen(*ret); /* of the copy: the file may have changed */
    return 0;
}

/* A key or a tensor's name. */
static int read_name(struct tensorfile *f, struct cursor *c, const char **ret, struct err *err)
{
    size_t len;
    int rc = read_text(f, c, ret, &len, err);

    if (rc == 0 && (len == 0 || len > NAME_BYTES_MAX))
        rc = err_set(err, ERR_INVALID, "a name in the header has %zu bytes; 1 to %d are possible",
                     len, NAME_BYTES_MAX);
    return rc;
}

static double number_at(const uint8_t *p, enum gguf_value type)
{
#define NUMBER_AS(ctype)                                                                           \
    {                                                                                              \
        ctype v;                                                                                   \
        memcpy(&v, p, sizeof(v));                                                                  \
        return (double)v;                                                                          \
    }
    switch (type) {
    case GGUF_I8:
        NUMBER_AS(int8_t)
    case GGUF_U16:
        NUMBER_AS(uint16_t)
    case GGUF_I16:
        NUMBER_AS(int16_t)
    case GGUF_U32:
        NUMBER_AS(uint32_t)
    case GGUF_I32:
        NUMBER_AS(int32_t)
    case GGUF_F32:
        NUMBER_AS(float)
    case GGUF_U64:
        NUMBER_AS(uint64_t)
    case GGUF_I64:
        NUMBER_AS(int64_t)
    case GGUF_F64:
        NUMBER_AS(double)
    default: /* one byte: U8, BOOL */
        return *p;
    }
#undef NUMBER_AS
}

/* The strings stay where they are: only that they all lie in the file is checked. */
static int read_strings(struct cursor *c, size_t n, struct gguf_array *a, struct err *err)
{
    const char *text;
    size_t len;
    int rc = 0;

    if (n > ARRAY_STRINGS_MAX)
        return err_set(err, ERR_INVALID,
                       "the file is cut off or damaged: an array in its header has %zu strings", n);
    a->strings = true;
    a->at = c->at;
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = read_string(c, &text, &len, err);
    a->end = c->at;
    return rc;
}

static int read_numbers(struct cursor *c, enum gguf_value type, size_t n, struct gguf_array *a,
                        struct err *err)
{
    size_t bytes = value_bytes[type];

    if (n > left(c) / bytes)
        return cut_off(c, err);
    a->at = c->at;
    c->at += n * bytes;
    a->end = c->at;
    a->type = type;
    return 0;
}

double gguf_number(const struct gguf_array *a, int64_t i)
{
    return number_at(a->at + (size_t)i * value_bytes[a->type], a->type);
}

bool gguf_next_text(const struct gguf_array *a, const uint8_t **at, const char **ret_text,
                    size_t *ret_len)
{
    struct cursor c = {a->at, *at ? *at : a->at, a->end};

    if (read_string(&c, ret_text, ret_len, NULL) < 0)
        return false;
    *at = c.at;
    return true;
}

static int read_array(struct cursor *c, struct file_kv *kv, struct err *err)
{
    uint32_t type;
    uint64_t n;
    int rc = read_u32(c, &type, err);

    if (rc == 0)
        rc = read_u64(c, &n, err);
    if (rc < 0)
        return rc;
    kv->array = (struct gguf_array){.n = (int64_t)n};
    if (type == GGUF_STRING)
        return read_strings(c, n, &kv->array, err);
    if (type < GGUF_TYPES && value_bytes[type])
        return read_numbers(c, type, n, &kv->array, err);
    return err_set(err, ERR_UNSUPPORTED, "the key '%.200s' is an array of values of type %u",
                   kv->key, type);
}

static int read_value(struct tensorfile *f, struct cursor *c, uint32_t type, struct file_kv *kv,
                      struct err *err)
{
    size_t len;

    if (type == GGUF_STRING) {
        kv->kind = KV_STRING;
        return read_text(f, c, &kv->text, &len, err);
    }
    if (type == GGUF_ARRAY) {
        kv->kind = KV_ARRAY;
        return read_array(c, kv, err);
    }
    if (type >= GGUF_TYPES)
        return err_set(err, ERR_INVALID, "the key '%.200s' has a value of unknown type %u", kv->key,
                       type);
    if (left(c) < value_bytes[type])
        return cut_off(c, err);
    if (type == GGUF_BOOL) {
        kv->kind = KV_BOOL;
        kv->truth = *c->at != 0;
    } else {
        kv->kind = KV_NUMBER;
        kv->number = number_at(c->at, type);
    }
    c->at += value_bytes[type];
    return 0;
}

static int read_kv(struct tensorfile *f, struct cursor *c, struct file_kv *kv, struct err *err)
{
    uint32_t type = GGUF_TYPES;
    int rc;

    *kv = (struct file_kv){.at = c->at};
    rc = read_name(f, c, &kv->key, err);
    if (rc == 0)
        rc = read_u32(c, &type, err);
    if (rc == 0)
        rc = read_value(f, c, type, kv, err);
    kv->bytes = (size_t)(c->at - kv->at);
    return rc;
}

int gguf_type_number(enum tensor_type type)
{
    for (size_t i = 0; i < sizeof(ggml_types) / sizeof(ggml_types[0]); i++)
        if (ggml_types[i].name && ggml_types[i].type == type)
            return (int)i;
    return -1;
}

static int set_type(struct tensorfile *f, struct tensor *t, uint32_t type, struct err *err)
{
    char number[32];

    if (type < sizeof(ggml_types) / sizeof(ggml_types[0]) && ggml_types[type].name) {
        t->type = ggml_types[type].type;
        t->type_name = ggml_types[type].name;
        return 0;
    }
    snprintf(number, sizeof(number), "number %u", type);
    t->type = TENSOR_UNSUPPORTED;
    t->type_name = pool_text(&f->pool, number, strlen(number));
    return t->type_name ? 0 : err_nomem(err, sizeof(number));
}

/* Bytes of the whole tensor; 0 for a type of unknown size. */
static int size_of(const struct tensor *t, uint32_t type, size_t *ret, struct err *err)
{
    int64_t elements, bytes, block = 0, block_bytes = 0, row = t->shape[t->n_dims - 1];

    if (t->type != TENSOR_UNSUPPORTED) {
        block = tensor_layout(t->type)->block_elements;
        block_bytes = tensor_layout(t->type)->block_bytes;
    } else if (type < sizeof(ggml_types) / sizeof(ggml_types[0])) {
        block = ggml_types[type].block_elements;
        block_bytes = ggml_types[type].block_bytes;
    }
    *ret = 0;
    if (block == 0)
        return 0;
    if (row % block != 0)
        return err_set(err, ERR_INVALID,
                       "tensor '%.200s' has rows of %lld values, not a multiple of the %lld that a "
                       "%s block holds",
                       t->name, (long long)row, (long long)block, t->type_name);
    if (!shape_elements(t->shape, t->n_dims, &elements) ||
        __builtin_mul_overflow(elements / block, block_bytes, &bytes))
        return err_set(err, ERR_INVALID, "tensor '%.200s' is larger than any file", t->name);
    *ret = (size_t)bytes;
    return 0;
}

static int read_shape(struct cursor *c, struct tensor *t, struct err *err)
{
    uint32_t n_dims;
    uint64_t dim;
    int rc = read_u32(c, &n_dims, err);

    if (rc < 0)
        return rc;
    if (n_dims < 1 || n_dims > TENSOR_DIMS_MAX)
        return err_set(err, ERR_INVALID, "tensor '%.200s' has %u dimensions; 1 to %d are possible",
                       t->name, n_dims, TENSOR_DIMS_MAX);
    t->n_dims = (int)n_dims;
    for (int i = t->n_dims - 1; i >= 0; i--) {
        rc = read_u64(c, &dim, err);
        if (rc < 0)
            return rc;
        if (dim < 1 || dim > INT64_MAX)
            return err_set(err, ERR_INVALID, "tensor '%.200s' has an impossible dimension",
                           t->name);
        t->shape[i] = (int64_t)dim;
    }
    return 0;
}

/* Leaves the offset in *ret_offset: where the data begins is not known before the last info is
 * read. */
static int read_info(struct tensorfile *f, struct cursor *c, struct tensor *t, uint64_t *ret_offset,
                     struct err *err)
{
    uint32_t type;
    int rc;

    *t = (struct tensor){0};
    rc = read_name(f, c, &t->name, err);
    if (rc == 0)
        rc = read_shape(c, t, err);
    if (rc == 0)
        rc = read_u32(c, &type, err);
    if (rc == 0)
        rc = read_u64(c, ret_offset, err);
    if (rc == 0)
        rc = set_type(f, t, type, err);
    if (rc == 0)
        rc = size_of(t, type, &t->bytes, err);
    return rc;
}

static int read_alignment(const struct tensorfile *f, uint64_t *ret, struct err *err)
{
    *ret = 32;
    for (int i = 0; i < f->n_kvs; i++) {
        const struct file_kv *kv = &f->kvs[i];
        if (strcmp(kv->key, "general.alignment") != 0)
            continue;
        if (kv->kind != KV_NUMBER || !(kv->number >= 1 && kv->number <= 1 << 24))
            return err_set(err, ERR_INVALID, "general.alignment is not a possible alignment");
        *ret = (uint64_t)kv->number;
        if (*ret & (*ret - 1))
            return err_set(err, ERR_INVALID, "general.alignment is %llu, not a power of two",
                           (unsigned long long)*ret);
    }
    return 0;
}

static int place_tensors(struct tensorfile *f, const struct cursor *c, const uint64_t *offsets,
                         struct err *err)
{
    uint64_t alignment, header = (uint64_t)(c->at - c->start), data;
    int rc = read_alignment(f, &alignment, err);

    if (rc < 0)
        return rc;
    data = (header + alignment - 1) & ~(alignment - 1);
    if (data > f->len)
        data = f->len;
    for (int i = 0; i < f->n; i++) {
        struct tensor *t = &f->tensors[i];
        if (offsets[i] % alignment)
            return err_set(err, ERR_INVALID,
                           "tensor '%.200s' begins at offset %llu, not a multiple of %llu", t->name,
                           (unsigned long long)offsets[i], (unsigned long long)alignment);
        if (offsets[i] > f->len - data || t->bytes > f->len - data - offsets[i])
            return err_set(
                err, ERR_INVALID,
                "the file is cut off: tensor '%.200s' needs %zu bytes from byte %llu, the "
                "file has %zu",
                t->name, t->bytes, (unsigned long long)(data + offsets[i]), f->len);
        t->data = f->bytes + data + offsets[i];
    }
    return 0;
}

static int read_version(struct cursor *c, struct err *err)
{
    uint32_t version;
    int rc;

    c->at += 4; /* the magic, which the caller has seen */
    rc = read_u32(c, &version, err);
    if (rc < 0)
        return rc;
    if (version == 2 || version == 3)
        return 0;
    if ((version & 0xffff) == 0)
        return err_set(err, ERR_UNSUPPORTED, "is a big-endian GGUF file");
    return err_set(err, ERR_UNSUPPORTED, "is GGUF version %u; versions 2 and 3 can be read",
                   version);
}

static int read_counts(struct cursor *c, size_t *ret_tensors, size_t *ret_kvs, struct err *err)
{
    uint64_t n_tensors, n_kvs;
    int rc = read_u64(c, &n_tensors, err);

    if (rc == 0)
        rc = read_u64(c, &n_kvs, err);
    if (rc < 0)
        return rc;
    if (n_tensors > left(c) / INFO_BYTES_MIN || n_kvs > left(c) / KV_BYTES_MIN ||
        n_tensors > TENSORS_MAX || n_kvs > KVS_MAX)
        return err_set(err, ERR_INVALID,
                       "the file is cut off or damaged: its header announces %llu tensors and %llu "
                       "keys",
                       (unsigned long long)n_tensors, (unsigned long long)n_kvs);
    *ret_tensors = (size_t)n_tensors;
    *ret_kvs = (size_t)n_kvs;
    return 0;
}

int gguf_parse(struct tensorfile *f, struct err *err)
{
    struct cursor c = {f->bytes, f->bytes, f->bytes + f->len};
    size_t n_tensors = 0, n_kvs = 0;
    uint64_t *offsets;
    int rc;

    f->gguf = true;
    rc = read_version(&c, err);
    if (rc == 0)
        rc = read_counts(&c, &n_tensors, &n_kvs, err);
    if (rc < 0)
        return rc;
    f->kvs = pool_alloc(&f->pool, n_kvs * sizeof(*f->kvs));
    f->tensors = pool_alloc(&f->pool, n_tensors * sizeof(*f->tensors));
    offsets = pool_alloc(&f->pool, n_tensors * sizeof(*offsets));
    if (!f->kvs || !f->tensors || !offsets)
        return err_nomem(err, n_tensors * sizeof(*f->tensors));
    for (size_t i = 0; i < n_kvs && rc == 0; i++, f->n_kvs++)
        rc = read_kv(f, &c, &f->kvs[i], err);
    for (size_t i = 0; i < n_tensors && rc == 0; i++, f->n++)
        rc = read_info(f, &c, &f->tensors[i], &offsets[i], err);
    if (rc == 0)
        rc = place_tensors(f, &c, offsets, err);
    return rc;
}
