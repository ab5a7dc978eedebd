/* core/text/jinja/memory.c - see memory.h. Pieces are cut from chunks that double. The newest piece
 * can grow in place: a template that adds to a text again and again copies each byte once. */
#include "core/text/jinja/memory.h"
#include <stdint.h>

enum { CHUNK_MIN = 8 << 10, CHUNK_MAX = 1 << 20 };

static bool add_chunk(struct arena *a, size_t at_least)
{
    size_t size = a->chunk == 0 ? CHUNK_MIN : a->chunk < CHUNK_MAX ? 2 * a->chunk : CHUNK_MAX;
    char *chunk;

    a->chunk = size;
    if (size < at_least)
        size = at_least;
    if (size > a->most - a->used)
        size = at_least; /* the last one before the limit */
    if (size > a->most - a->used) {
        a->limited = true;
        return false;
    }
    chunk = pool_alloc(&a->pool, size);
    if (!chunk)
        return false;
    a->used += size;
    a->at = chunk;
    a->end = chunk + size;
    return true;
}

char *arena_text(struct arena *a, size_t bytes)
{
    char *piece;

    if ((!a->at || bytes > (size_t)(a->end - a->at)) && !add_chunk(a, bytes))
        return NULL;
    piece = a->at;
    a->at += bytes;
    return piece;
}

void *arena_alloc(struct arena *a, size_t bytes)
{
    size_t pad = -(uintptr_t)a->at & 7;

    if (a->at && pad <= (size_t)(a->end - a->at))
        a->at += pad;
    else
        a->at = a->end = NULL;
    return bytes <= SIZE_MAX / 2 ? arena_text(a, bytes) : NULL;
}

bool arena_extend(struct arena *a, const char *text, size_t len, size_t more)
{
    if (!a->at || text + len != a->at || more > (size_t)(a->end - a->at))
        return false;
    a->at += more;
    return true;
}

void arena_free(struct arena *a)
{
    pool_free(&a->pool);
    a->at = a->end = NULL;
}
