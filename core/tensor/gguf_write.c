/* core/tensor/gguf_write.c - see gguf_write.h; gguf.c describes the format. Counts stand in front
 * of what they count, so keys and infos are gathered apart and joined at the end. */
#include "core/tensor/gguf_write.h"
#include "core/tensor/dequant.h"
#include "core/tensor/tensorfile_impl.h"
#include <stdlib.h>
#include <string.h>

enum { VERSION = 3 };

static void put_u32(struct buf *b, uint32_t v)
{
    buf_append(b, &v, sizeof(v));
}

static void put_u64(struct buf *b, uint64_t v)
{
    buf_append(b, &v, sizeof(v));
}

static void put_text(struct buf *b, const char *text)
{
    put_u64(b, strlen(text));
    buf_append(b, text, strlen(text));
}

static void begin_key(struct gguf_out *o, const char *key, enum gguf_value type)
{
    put_text(&o->keys, key);
    put_u32(&o->keys, type);
    o->n_keys++;
}

void gguf_put_string(struct gguf_out *o, const char *key, const char *text)
{
    begin_key(o, key, GGUF_STRING);
    put_text(&o->keys, text);
}

void gguf_put_u32(struct gguf_out *o, const char *key, uint32_t value)
{
    begin_key(o, key, GGUF_U32);
    put_u32(&o->keys, value);
}

void gguf_put_f32(struct gguf_out *o, const char *key, float value)
{
    begin_key(o, key, GGUF_F32);
    buf_append(&o->keys, &value, sizeof(value));
}

void gguf_put_bool(struct gguf_out *o, const char *key, bool value)
{
    uint8_t byte = value;

    begin_key(o, key, GGUF_BOOL);
    buf_append(&o->keys, &byte, sizeof(byte));
}

static void begin_list(struct gguf_out *o, const char *key, enum gguf_value type, size_t n)
{
    begin_key(o, key, GGUF_ARRAY);
    put_u32(&o->keys, type);
    put_u64(&o->keys, n);
}

void gguf_put_i32s(struct gguf_out *o, const char *key, const int32_t *values, size_t n)
{
    begin_list(o, key, GGUF_I32, n);
    buf_append(&o->keys, values, n * sizeof(*values));
}

void gguf_put_f32s(struct gguf_out *o, const char *key, const float *values, size_t n)
{
    begin_list(o, key, GGUF_F32, n);
    buf_append(&o->keys, values, n * sizeof(*values));
}

void gguf_put_bools(struct gguf_out *o, const char *key, const bool *values, size_t n)
{
    begin_list(o, key, GGUF_BOOL, n);
    for (size_t i = 0; i < n; i++)
        buf_append(&o->keys, values[i] ? "\1" : "\0", 1);
}

void gguf_begin_texts(struct gguf_out *o, const char *key, size_t n)
{
    begin_list(o, key, GGUF_STRING, n);
}

void gguf_add_text(struct gguf_out *o, const char *text, size_t len)
{
    put_u64(&o->keys, len);
    buf_append(&o->keys, text, len);
}

static int by_place(const void *a, const void *b)
{
    const struct file_kv *x = *(const struct file_kv *const *)a;
    const struct file_kv *y = *(const struct file_kv *const *)b;

    return (x->at > y->at) - (x->at < y->at);
}

int gguf_copy_keys(struct gguf_out *o, const struct tensorfile *file,
                   bool (*leaves)(const char *key, void *context), void *context, struct err *err)
{
    const struct file_kv **order = malloc(((size_t)file->n_kvs + 1) * sizeof(*order));
    double alignment;

    if (!order)
        return err_nomem(err, (size_t)file->n_kvs * sizeof(*order));
    for (int i = 0; i < file->n_kvs; i++)
        order[i] = &file->kvs[i];
    qsort(order, (size_t)file->n_kvs, sizeof(*order), by_place);
    for (int i = 0; i < file->n_kvs; i++)
        if (!leaves(order[i]->key, context)) {
            buf_append(&o->keys, order[i]->at, order[i]->bytes);
            o->n_keys++;
        }
    free(order);
    if (tensorfile_kv_number(file, "general.alignment", &alignment))
        o->alignment = (uint64_t)alignment;
    return 0;
}

static uint64_t padding_of(const struct gguf_out *o, uint64_t bytes)
{
    return -bytes & (o->alignment - 1);
}

uint64_t gguf_put_tensor(struct gguf_out *o, const struct tensor_out *t)
{
    const struct tensor_layout *l = tensor_layout(t->type);
    uint64_t elements = 1, bytes;

    put_text(&o->infos, t->name);
    put_u32(&o->infos, (uint32_t)t->n_dims);
    for (int i = t->n_dims - 1; i >= 0; i--) {
        put_u64(&o->infos, (uint64_t)t->shape[i]);
        elements *= (uint64_t)t->shape[i];
    }
    put_u32(&o->infos, (uint32_t)gguf_type_number(t->type));
    put_u64(&o->infos, o->data);
    bytes = elements / (uint64_t)l->block_elements * (uint64_t)l->block_bytes;
    o->data += bytes + padding_of(o, bytes);
    o->n_tensors++;
    return bytes;
}

int gguf_file_type(enum tensor_type type)
{
    switch (type) {
    case TENSOR_F32:
        return 0;
    case TENSOR_F16:
        return 1;
    case TENSOR_Q4_0:
        return 2;
    case TENSOR_Q4_1:
        return 3;
    case TENSOR_Q8_0:
        return 7;
    case TENSOR_Q5_0:
        return 8;
    case TENSOR_Q5_1:
        return 9;
    case TENSOR_BF16:
        return 32;
    default:
        return -1;
    }
}

int gguf_out_header(const struct gguf_out *o, struct buf *out, struct err *err)
{
    size_t padding;

    buf_append(out, "GGUF", 4);
    put_u32(out, VERSION);
    put_u64(out, o->n_tensors);
    put_u64(out, o->n_keys);
    buf_append(out, o->keys.data, o->keys.len);
    buf_append(out, o->infos.data, o->infos.len);
    padding = padding_of(o, out->len);
    if (buf_grow(out, padding))
        memset(out->data + out->len - padding, 0, padding);
    return out->failed || o->keys.failed || o->infos.failed ? err_nomem(err, out->len) : 0;
}

int gguf_out_begin(const struct gguf_out *o, const char *path, struct file_writer *ret_w,
                   struct err *err)
{
    struct file_writer w = {0};
    struct buf header = {0};
    int rc = gguf_out_header(o, &header, err);

    if (rc == 0)
        rc = file_check_space(path, header.len + o->data, err);
    if (rc == 0)
        rc = file_writer_open(path, 0666, &w, err);
    if (rc == 0)
        rc = file_writer_add(&w, header.data, header.len, err);
    buf_free(&header);
    if (rc < 0)
        file_writer_abandon(&w);
    else
        *ret_w = w;
    return rc;
}

int gguf_out_pad(const struct gguf_out *o, uint64_t bytes, struct file_writer *w, struct err *err)
{
    static const char zeros[4096] = {0};
    uint64_t n = padding_of(o, bytes), part;
    int rc = 0;

    for (; n > 0 && rc == 0; n -= part) {
        part = n < sizeof(zeros) ? n : sizeof(zeros);
        rc = file_writer_add(w, zeros, part, err);
    }
    return rc;
}

void gguf_out_free(struct gguf_out *o)
{
    buf_free(&o->keys);
    buf_free(&o->infos);
}
