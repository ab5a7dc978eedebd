/* core/pool.h - many small pieces of memory that are freed together. Zero-initialise; free with
 * pool_free(). Pieces never move.
 */
#pragma once
#include <stddef.h>

struct pool_block;

struct pool {
    struct pool_block *last;
};

/* Aligned to 16; contents undefined. NULL for lack of memory. */
void *pool_alloc(struct pool *p, size_t bytes);
/* A NUL-terminated copy of len bytes, aligned to nothing. NULL for lack of memory. */
char *pool_text(struct pool *p, const char *text, size_t len);
void pool_free(struct pool *p);
