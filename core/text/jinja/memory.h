/* core/text/jinja/memory.h - the memory of one render: pieces that are freed together, up to a
 * limit. Zero-initialise but for `most`; free with arena_free().
 */
#pragma once
#include "core/pool.h"
#include <stdbool.h>
#include <stddef.h>

struct arena {
    struct pool pool;
    char *at, *end;    /* what is left of the newest chunk */
    size_t used, most; /* bytes of all chunks, and their limit */
    size_t chunk;      /* bytes of the last one of usual size */
    bool limited;      /* a piece was refused for the limit */
};

/* Aligned to 8; contents undefined. NULL: the limit (`limited`), or no memory. */
void *arena_alloc(struct arena *a, size_t bytes);
/* As arena_alloc(), aligned to nothing. */
char *arena_text(struct arena *a, size_t bytes);
/* Makes the piece of len bytes at text longer by `more`, where it is the newest one and there is
 * room behind it. */
bool arena_extend(struct arena *a, const char *text, size_t len, size_t more);
void arena_free(struct arena *a);
