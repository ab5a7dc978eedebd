/* tests/unit/image.h - images of tensor files, built by hand in memory. */
#pragma once
#include "tests/unit/support.h"
#include "core/buf.h"
#include "core/tensor/tensorfile.h"

/* A little-endian number. */
static inline void put(struct buf *b, uint64_t v, int bytes)
{
    buf_append(b, &v, (size_t)bytes);
}

/* The image must be refused with these words. */
static inline void refused(const struct buf *b, int code, const char *words)
{
    struct tensorfile *f = NULL;
    struct err err;

    assert_int_equal(tensorfile_from_memory(b->data, b->len, "made", &f, &err), code);
    assert_null(f);
    assert_contains(err.text, words);
    assert_contains(err.text, "made: ");
}

/* A safetensors image: this header, and `data` bytes of zeros. */
static inline void header_only(struct buf *b, const char *json, size_t data)
{
    b->len = 0;
    put(b, strlen(json), 8);
    buf_puts(b, json);
    memset(buf_grow(b, data), 0, data);
}
