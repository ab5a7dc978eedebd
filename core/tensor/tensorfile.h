/* core/tensor/tensorfile.h - tensors in a file: safetensors and GGUF behind one reader, safetensors
 * written. The file is mapped read-only; names, shapes and extents are all checked at open, so
 * that a cut-off or hostile file is refused before anything is read from it.
 *
 * Shapes are row-major, outermost first (GGUF's own order reversed): a linear map is
 * (outputs, inputs). Values are read as f32 whatever the file holds.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "core/tensor/tensor_type.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TENSOR_DIMS_MAX = 4 };

struct tensor {
    const char *name; /* owned by the file */
    enum tensor_type type;
    const char
        *type_name; /* as the file's format calls it, also where type is TENSOR_UNSUPPORTED */
    int n_dims;
    int64_t shape[TENSOR_DIMS_MAX]; /* outermost first */
    const void *data;               /* in the map; may be unaligned */
    size_t bytes;                   /* 0 where the type's size is not known */
};

struct tensorfile; /* owns the map */

/* Opens by content: "GGUF" magic or a safetensors header. On success the caller owns *ret_file. A
 * tensor of a type that this program cannot read does not spoil the file: it is listed as
 * TENSOR_UNSUPPORTED. */
int tensorfile_open(const char *path, struct tensorfile **ret_file, struct err *err);
void tensorfile_close(struct tensorfile *file); /* NULL-safe */

/* Gives back the memory into which tensors were read; they are read again where they are used. */
void tensorfile_release(const struct tensorfile *file);

const char *tensorfile_path(const struct tensorfile *file);
int tensorfile_count(const struct tensorfile *file);
const struct tensor *tensorfile_at(const struct tensorfile *file, int i);
const struct tensor *tensorfile_find(const struct tensorfile *file, const char *name); /* or NULL */
/* A string of safetensors' __metadata__, or NULL. */
const char *tensorfile_metadata(const struct tensorfile *file, const char *key);

/* Elements of the whole tensor, and of one row (all but the outermost dimension). */
int64_t tensor_elements(const struct tensor *t);
int64_t tensor_row_elements(const struct tensor *t);
const char *tensor_type_name(enum tensor_type type);

/* Whether t holds values that can be read as f32: else ERR_INVALID (integers) or ERR_UNSUPPORTED.
 */
int tensor_check_readable(const struct tensor *t, struct err *err);
/* Writes rows [row, row + n_rows) of t to out as f32; a 1-d tensor is one row. Rows must exist and
 * integers are refused (ERR_INVALID); TENSOR_UNSUPPORTED is refused by the type's name
 * (ERR_UNSUPPORTED). */
int tensor_read_f32(const struct tensor *t, int64_t row, int64_t n_rows, float *out,
                    struct err *err);

/* The key-values of a GGUF (none in safetensors). Absent key or other type: fallback / NULL / 0. */
enum kv_kind { KV_ABSENT, KV_STRING, KV_NUMBER, KV_BOOL, KV_ARRAY };
enum kv_kind tensorfile_kv_kind(const struct tensorfile *file, const char *key);
struct gguf_array {
    int64_t n;
    bool strings;            /* else numbers */
    const uint8_t *at, *end; /* the values, in the map */
    int type;                /* of numbers, as GGUF counts types */
};
/* Number i of 0 to n - 1. */
double gguf_number(const struct gguf_array *a, int64_t i);
/* The next string: *at is NULL before the first and belongs to this function. It is not terminated
 * by NUL and may hold NUL. False behind the last, and where the file was changed since it was
 * opened. */
bool gguf_next_text(const struct gguf_array *a, const uint8_t **at, const char **ret_text,
                    size_t *ret_len);
const char *tensorfile_kv_string(const struct tensorfile *file, const char *key);
bool tensorfile_kv_number(const struct tensorfile *file, const char *key, double *ret);
bool tensorfile_kv_bool(const struct tensorfile *file, const char *key, bool *ret);
const struct gguf_array *tensorfile_kv_array(const struct tensorfile *file, const char *key);
bool tensorfile_is_gguf(const struct tensorfile *file);

/* One tensor to write. */
struct tensor_out {
    const char *name;
    enum tensor_type type; /* in a safetensors file, one that it has */
    int n_dims;
    int64_t shape[TENSOR_DIMS_MAX];
    const void *data; /* borrowed */
};

/* Appends to out the bytes of a safetensors file: tensors sorted by name, metadata sorted by key,
 * header padded with blanks to 8 bytes: the same input gives the same bytes. metadata is n_meta
 * pairs key, value. */
int safetensors_encode(const struct tensor_out *tensors, int n, const char *const *metadata,
                       int n_meta, struct buf *out, struct err *err);

/* The same without the data, for a file that is written piece by piece: what follows is the data of
 * tensors[ret_order[0]], of tensors[ret_order[1]] and so on, without gaps. ret_order: (n). */
int safetensors_encode_header(const struct tensor_out *tensors, int n, const char *const *metadata,
                              int n_meta, int *ret_order, struct buf *out, struct err *err);

/* Reads a safetensors image held in memory, which must outlive *ret_file. `name` is for messages.
 */
int tensorfile_from_memory(const void *bytes, size_t len, const char *name,
                           struct tensorfile **ret_file, struct err *err);
