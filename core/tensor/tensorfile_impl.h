/* core/tensor/tensorfile_impl.h - what tensorfile.c shares with its two parsers and no one else
 * sees.
 *
 * A parser fills tensors, kvs and gguf from bytes; it has checked that every tensor's data lies
 * within the file and has as many bytes as its shape and type ask for. What holds for both kinds of
 * file (names are unique, data does not overlap) is checked by tensorfile.c afterwards.
 */
#pragma once
#include "core/pool.h"
#include "core/tensor/tensorfile.h"

struct file_kv { /* a GGUF key-value, or a string of safetensors' __metadata__ */
    const char *key;
    const uint8_t *at; /* key, type and value as they lie in a GGUF */
    size_t bytes;
    enum kv_kind kind;
    union {
        const char *text;
        double number;
        bool truth;
        struct gguf_array array;
    };
};

struct tensorfile {
    char *path;
    const uint8_t *bytes; /* the map, or the caller's memory */
    size_t len;
    void *map; /* NULL: bytes belong to the caller */
    bool gguf;
    struct tensor *tensors; /* in the file's order */
    int n;
    int *by_name; /* (n) indices into tensors, sorted by name */
    struct file_kv *kvs;
    int n_kvs;
    struct pool pool; /* names, strings, arrays */
};

/* GGUF's numbers of the types of values. */
enum gguf_value {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_TYPES
};

/* GGUF's number of a type of tensors, or -1: it has none. */
int gguf_type_number(enum tensor_type type);

/* Messages of the parsers do not name the file: tensorfile.c puts the path in front. */
int gguf_parse(struct tensorfile *f, struct err *err);
int safetensors_parse(struct tensorfile *f, struct err *err);

/* Elements of a shape of dimensions >= 0. False where they do not fit in 63 bits. */
bool shape_elements(const int64_t *shape, int n_dims, int64_t *ret);
