/* core/buf.h - a growable run of bytes. Zero-initialise; free with buf_free().
 *
 * A refused allocation sets `failed` and turns every later append into nothing, so that a builder
 * checks once at its end. data is always NUL-terminated after a successful append.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;
    size_t len, cap;
    bool failed;
};

void buf_append(struct buf *b, const void *bytes, size_t len);
void buf_puts(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A finite number, as the fewest digits that give it back; whole ones without an exponent. */
void buf_put_number(struct buf *b, double x);
/* Makes room for len more bytes and returns where they go (len grows by it); NULL on failure. */
void *buf_grow(struct buf *b, size_t len);
/* How many bytes both begin with. */
size_t buf_common(const struct buf *a, const struct buf *b);
/* Hands the bytes to the caller, who frees them, and empties b. NULL if an append had failed. */
char *buf_take(struct buf *b);
void buf_free(struct buf *b);
