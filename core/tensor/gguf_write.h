/* core/tensor/gguf_write.h - the header of a GGUF file (version 3), made key by key and tensor by
 * tensor. The data follows it, tensor after tensor, each padded.
 *
 * A refused allocation is reported by gguf_out_begin(). Zero-initialise, and set alignment.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "core/file.h"
#include "core/tensor/tensorfile.h"

enum { GGUF_ALIGNMENT = 32 }; /* where general.alignment does not say */

struct gguf_out {
    struct buf keys, infos;
    uint64_t n_keys, n_tensors;
    uint64_t data;      /* bytes of the tensors so far, padding included */
    uint64_t alignment; /* a power of two */
};

void gguf_put_string(struct gguf_out *o, const char *key, const char *text);
void gguf_put_u32(struct gguf_out *o, const char *key, uint32_t value);
void gguf_put_f32(struct gguf_out *o, const char *key, float value);
void gguf_put_bool(struct gguf_out *o, const char *key, bool value);
void gguf_put_i32s(struct gguf_out *o, const char *key, const int32_t *values, size_t n);
void gguf_put_f32s(struct gguf_out *o, const char *key, const float *values, size_t n);
void gguf_put_bools(struct gguf_out *o, const char *key, const bool *values, size_t n);
/* A list of n texts, which follow, each by gguf_add_text(). */
void gguf_begin_texts(struct gguf_out *o, const char *key, size_t n);
void gguf_add_text(struct gguf_out *o, const char *text, size_t len);
/* Every key of a file that `leaves` does not refuse, as it lies there and in its order; the file's
 * alignment becomes o's. */
int gguf_copy_keys(struct gguf_out *o, const struct tensorfile *file,
                   bool (*leaves)(const char *key, void *context), void *context, struct err *err);

/* The next tensor, of a type that GGUF has; t->data is not looked at. Returns the bytes of its
 * data, without the padding. */
uint64_t gguf_put_tensor(struct gguf_out *o, const struct tensor_out *t);
/* llama.cpp's number of a file whose matrices are mostly of this type, the value of
 * general.file_type (enum llama_ftype); -1: not known here. */
int gguf_file_type(enum tensor_type type);

/* Begins the file with the header, once it is known that its file system has room for all. The
 * caller adds the data, and ends w. */
int gguf_out_begin(const struct gguf_out *o, const char *path, struct file_writer *ret_w,
                   struct err *err);
/* Adds the zeros that follow that many bytes of a tensor. */
int gguf_out_pad(const struct gguf_out *o, uint64_t bytes, struct file_writer *w, struct err *err);
/* Appends the header, with the zeros behind it, as gguf_out_begin() writes it. */
int gguf_out_header(const struct gguf_out *o, struct buf *out, struct err *err);
void gguf_out_free(struct gguf_out *o);
