/* core/tensor/safetensors_read.c - the safetensors format, read. See safetensors.c for its layout.
 *
 * The header may have a hundred megabytes: it is read from front to end, straight into the table of
 * tensors. Beside the table, of 80 bytes for an entry of at least 47, only names are kept.
 */
#include "core/json_scan.h"
#include "core/tensor/tensorfile_impl.h"
#include <string.h>

enum { HEADER_MAX = 100000000 }; /* the reference implementation's limit */
enum { ENTRY_BYTES_MIN = 44 };   /* of a tensor in the header, at least */
enum { METADATA_MAX = 1 << 16 }; /* strings: each takes more memory than bytes of the header */
enum { OTHER_KEYS_MAX = 8 };     /* of a tensor, that mean nothing here */
enum { KEY_BYTES_MAX = 64 };

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

struct raw { /* a string as the header writes it; bytes NULL: none */
    const char *bytes;
    size_t len;
};

/* What the header says of one tensor, before it is checked. */
struct entry {
    struct raw dtype;
    bool has_shape, wrong_dimension, has_offsets;
    size_t n_dims;
    int64_t shape[TENSOR_DIMS_MAX], from, to;
    bool seen[3]; /* of the keys below */
    struct raw others[OTHER_KEYS_MAX];
    int n_others;
};

enum entry_key { KEY_DTYPE, KEY_SHAPE, KEY_OFFSETS, KEYS };
static const char *const entry_keys[KEYS] = {"dtype", "shape", "data_offsets"};

static int not_json(const struct json_scan *s, struct err *err)
{
    return err_set(err, ERR_INVALID, "the safetensors header is not JSON: %s, near byte %zu of it",
                   s->fault ? s->fault : "something follows its end", (size_t)(s->at - s->start));
}

/* A copy in the file's pool of what the string stands for, or NULL. */
static const char *keep(struct tensorfile *f, struct raw raw)
{
    char *text = pool_text(&f->pool, raw.bytes, raw.len);

    if (text)
        json_scan_unescape(text, raw.len);
    return text;
}

static enum entry_key find_key(struct raw raw)
{
    char key[KEY_BYTES_MAX + 1];
    int i = KEYS;

    if (raw.len > KEY_BYTES_MAX)
        return KEYS;
    memcpy(key, raw.bytes, raw.len);
    json_scan_unescape(key, raw.len);
    for (i = 0; i < KEYS && strcmp(key, entry_keys[i]) != 0; i++)
        ;
    return i;
}

static bool scan_shape(struct json_scan *s, struct entry *e)
{
    bool first = true, fits;
    int64_t dimension;
    int rc;

    if (!json_scan_accept(s, '['))
        return json_scan_skip(s);
    e->has_shape = true;
    while ((rc = json_scan_element(s, &first)) > 0) {
        if (!json_scan_integer(s, &dimension, &fits))
            return false;
        if (!fits || dimension < 0)
            e->wrong_dimension = true;
        else if (e->n_dims < TENSOR_DIMS_MAX)
            e->shape[e->n_dims] = dimension;
        e->n_dims++;
    }
    return rc == 0;
}

static bool scan_offsets(struct json_scan *s, struct entry *e)
{
    int64_t at[2] = {0, 0}, v;
    bool first = true, fits, whole = true;
    size_t n = 0;
    int rc;

    if (!json_scan_accept(s, '['))
        return json_scan_skip(s);
    while ((rc = json_scan_element(s, &first)) > 0) {
        if (!json_scan_integer(s, &v, &fits))
            return false;
        whole &= fits;
        if (fits && n < 2)
            at[n] = v;
        n++;
    }
    e->from = at[0];
    e->to = at[1];
    e->has_offsets = whole && n == 2 && at[0] >= 0 && at[1] >= at[0];
    return rc == 0;
}

static bool scan_value(struct json_scan *s, enum entry_key key, struct entry *e)
{
    if (key == KEY_SHAPE)
        return scan_shape(s, e);
    if (key == KEY_OFFSETS)
        return scan_offsets(s, e);
    if (key == KEY_DTYPE && json_scan_peek(s) == '"')
        return json_scan_string(s, &e->dtype.bytes, &e->dtype.len);
    return json_scan_skip(s);
}

/* Notes that the key appears. False where it did before, or where too many others do. */
static bool note_key(struct entry *e, enum entry_key key, struct raw raw)
{
    if (key < KEYS) {
        bool before = e->seen[key];
        e->seen[key] = true;
        return !before;
    }
    for (int i = 0; i < e->n_others; i++)
        if (e->others[i].len == raw.len && memcmp(e->others[i].bytes, raw.bytes, raw.len) == 0)
            return false;
    if (e->n_others == OTHER_KEYS_MAX)
        return false;
    e->others[e->n_others++] = raw;
    return true;
}

/* A value that is not an object leaves the entry empty. */
static int scan_entry(struct json_scan *s, const char *name, struct entry *e, struct err *err)
{
    enum entry_key key;
    bool first = true;
    struct raw raw;
    int rc;

    if (!json_scan_accept(s, '{'))
        return json_scan_skip(s) ? 0 : not_json(s, err);
    while ((rc = json_scan_member(s, &first, &raw.bytes, &raw.len)) > 0) {
        key = find_key(raw);
        if (!note_key(e, key, raw))
            return err_set(err, ERR_INVALID,
                           "tensor '%.200s' has in the header a duplicate key, or too many: '%.*s'",
                           name, (int)(raw.len < 60 ? raw.len : 60), raw.bytes);
        if (!scan_value(s, key, e))
            return not_json(s, err);
    }
    return rc < 0 ? not_json(s, err) : 0;
}

static int read_dtype(struct tensorfile *f, const struct entry *e, struct tensor *t,
                      int *ret_value_bytes, struct err *err)
{
    if (!e->dtype.bytes)
        return err_set(err, ERR_INVALID, "tensor '%.200s' has no dtype in the header", t->name);
    for (size_t i = 0; i < sizeof(dtypes) / sizeof(dtypes[0]); i++)
        if (strlen(dtypes[i].name) == e->dtype.len &&
            memcmp(dtypes[i].name, e->dtype.bytes, e->dtype.len) == 0) {
            t->type = dtypes[i].type;
            t->type_name = dtypes[i].name;
            *ret_value_bytes = dtypes[i].bytes;
            return 0;
        }
    t->type = TENSOR_UNSUPPORTED;
    t->type_name = keep(f, e->dtype);
    *ret_value_bytes = 0;
    return t->type_name ? 0 : err_nomem(err, e->dtype.len);
}

static int read_shape(const struct entry *e, struct tensor *t, struct err *err)
{
    if (!e->has_shape)
        return err_set(err, ERR_INVALID, "tensor '%.200s' has no shape in the header", t->name);
    if (e->n_dims > TENSOR_DIMS_MAX)
        return err_set(err, ERR_UNSUPPORTED, "tensor '%.200s' has %zu dimensions; %d are possible",
                       t->name, e->n_dims, TENSOR_DIMS_MAX);
    if (e->wrong_dimension)
        return err_set(err, ERR_INVALID,
                       "tensor '%.200s' has a dimension that is not a number of elements", t->name);
    t->n_dims = (int)e->n_dims;
    memcpy(t->shape, e->shape, sizeof(t->shape));
    return 0;
}

/* Checks begin and end against the data section and, where the type's size is known, the shape. */
static int read_extent(const struct entry *e, const uint8_t *data, size_t data_len, int value_bytes,
                       struct tensor *t, struct err *err)
{
    int64_t elements, wanted, bytes = e->to - e->from;

    if (!e->has_offsets)
        return err_set(err, ERR_INVALID,
                       "tensor '%.200s' has no data_offsets [begin, end] in the header", t->name);
    if ((uint64_t)e->to > data_len)
        return err_set(
            err, ERR_INVALID,
            "the file is cut off: tensor '%.200s' ends at byte %lld of the data, of which "
            "there are %zu",
            t->name, (long long)e->to, data_len);
    if (value_bytes && (!shape_elements(t->shape, t->n_dims, &elements) ||
                        __builtin_mul_overflow(elements, value_bytes, &wanted) || wanted != bytes))
        return err_set(
            err, ERR_INVALID,
            "tensor '%.200s' has %lld bytes, which is not what its shape and type %.60s need",
            t->name, (long long)bytes, t->type_name);
    t->data = data + e->from;
    t->bytes = (size_t)bytes;
    return 0;
}

static int read_tensor(struct tensorfile *f, struct json_scan *s, const char *name,
                       const uint8_t *data, struct err *err)
{
    struct tensor *t = &f->tensors[f->n];
    size_t data_len = f->len - (size_t)(data - f->bytes);
    struct entry e = {0};
    int value_bytes = 0, rc = scan_entry(s, name, &e, err);

    *t = (struct tensor){.name = name};
    if (rc == 0)
        rc = read_dtype(f, &e, t, &value_bytes, err);
    if (rc == 0)
        rc = read_shape(&e, t, err);
    if (rc == 0)
        rc = read_extent(&e, data, data_len, value_bytes, t, err);
    if (rc == 0)
        f->n++;
    return rc;
}

static int read_metadata_string(struct tensorfile *f, struct json_scan *s, struct raw key,
                                struct err *err)
{
    struct file_kv *kv = &f->kvs[f->n_kvs];
    struct raw value;

    if (f->n_kvs == METADATA_MAX)
        return err_set(err, ERR_INVALID, "__metadata__ has more than %d strings", METADATA_MAX);
    *kv = (struct file_kv){.key = keep(f, key), .kind = KV_STRING};
    if (!kv->key)
        return err_nomem(err, key.len);
    if (json_scan_peek(s) != '"')
        return err_set(err, ERR_INVALID, "__metadata__ '%.200s' is not a string", kv->key);
    if (!json_scan_string(s, &value.bytes, &value.len))
        return not_json(s, err);
    kv->text = keep(f, value);
    if (!kv->text)
        return err_nomem(err, value.len);
    f->n_kvs++;
    return 0;
}

static int read_metadata(struct tensorfile *f, struct json_scan *s, struct err *err)
{
    size_t most = (size_t)(s->end - s->at) / 6 + 1; /* "":"", */
    bool first = true;
    struct raw key;
    int rc;

    if (f->kvs)
        return err_set(err, ERR_INVALID, "__metadata__ is a duplicate in the header");
    most = most < METADATA_MAX ? most : METADATA_MAX;
    f->kvs = pool_alloc(&f->pool, (most + 1) * sizeof(*f->kvs));
    if (!f->kvs)
        return err_nomem(err, most * sizeof(*f->kvs));
    if (!json_scan_accept(s, '{'))
        return err_set(err, ERR_INVALID, "__metadata__ in the header is not an object");
    while ((rc = json_scan_member(s, &first, &key.bytes, &key.len)) > 0) {
        rc = read_metadata_string(f, s, key, err);
        if (rc < 0)
            return rc;
    }
    return rc < 0 ? not_json(s, err) : 0;
}

/* No more tensors than this can be in the header. */
static size_t count_tensors(const struct json_scan *s)
{
    size_t most = (size_t)(s->end - s->at) / ENTRY_BYTES_MIN, n = 0;
    const char *at = s->at;

    while (n < most && (at = memchr(at, '{', (size_t)(s->end - at)))) {
        at++;
        n++;
    }
    return n + 1;
}

static int read_entries(struct tensorfile *f, struct json_scan *s, const uint8_t *data,
                        struct err *err)
{
    size_t most = count_tensors(s);
    bool first = true;
    const char *name;
    struct raw key;
    int rc;

    f->tensors = pool_alloc(&f->pool, most * sizeof(*f->tensors));
    if (!f->tensors)
        return err_nomem(err, most * sizeof(*f->tensors));
    if (!json_scan_accept(s, '{'))
        return not_json(s, err);
    while ((rc = json_scan_member(s, &first, &key.bytes, &key.len)) > 0) {
        name = keep(f, key);
        if (!name)
            return err_nomem(err, key.len);
        if (strcmp(name, "__metadata__") == 0)
            rc = read_metadata(f, s, err);
        else if ((size_t)f->n < most)
            rc = read_tensor(f, s, name, data, err);
        else
            rc = not_json(s, err); /* the file changes while it is read */
        if (rc < 0)
            return rc;
    }
    return rc < 0 || json_scan_peek(s) >= 0 ? not_json(s, err) : 0;
}

static int check_used(const struct tensorfile *f, const uint8_t *data, struct err *err)
{
    size_t used = 0, there = (size_t)(f->bytes + f->len - data);

    for (int i = 0; i < f->n; i++) /* each is at most the file's length, and there are few */
        used += f->tensors[i].bytes;
    if (used == there)
        return 0;
    return err_set(err, ERR_INVALID,
                   "the tensors take %zu bytes but the file has %zu bytes of data: it is damaged",
                   used, there);
}

int safetensors_parse(struct tensorfile *f, struct err *err)
{
    uint64_t header_len = 0;
    struct json_scan s;
    const uint8_t *data;
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
    data = f->bytes + 8 + header_len;
    s = (struct json_scan){.start = (const char *)f->bytes + 8, .end = (const char *)data};
    s.at = s.start;
    rc = read_entries(f, &s, data, err);
    return rc < 0 ? rc : check_used(f, data, err);
}
