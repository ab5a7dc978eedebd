/* core/pool.c - see pool.h. Blocks double up to a megabyte; a piece that is larger gets a block of
 * its own. Only the newest block has room. */
#include "core/pool.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_MIN = 4096, BLOCK_MAX = 1 << 20 };

struct pool_block {
    struct pool_block *before;
    size_t used, cap;
    _Alignas(16) char bytes[];
};

static struct pool_block *add_block(struct pool *p, size_t at_least)
{
    size_t cap = p->last ? 2 * p->last->cap : BLOCK_MIN;
    struct pool_block *b;

    if (cap > BLOCK_MAX)
        cap = BLOCK_MAX;
    if (cap < at_least)
        cap = at_least;
    if (cap > SIZE_MAX / 2)
        return NULL;
    b = malloc(sizeof(*b) + cap);
    if (!b)
        return NULL;
    *b = (struct pool_block){.before = p->last, .cap = cap};
    p->last = b;
    return b;
}

static void *take(struct pool *p, size_t bytes, size_t align)
{
    struct pool_block *b = p->last;
    size_t at = b ? (b->used + align - 1) & ~(align - 1) : 0;

    if (!b || at > b->cap || bytes > b->cap - at) {
        b = add_block(p, bytes);
        at = 0;
    }
    if (!b)
        return NULL;
    b->used = at + bytes;
    return b->bytes + at;
}

void *pool_alloc(struct pool *p, size_t bytes)
{
    return take(p, bytes, 16);
}

char *pool_text(struct pool *p, const char *text, size_t len)
{
    char *copy = len < SIZE_MAX ? take(p, len + 1, 1) : NULL;

    if (!copy)
        return NULL;
    if (len)
        memcpy(copy, text, len);
    copy[len] = '\0';
    return copy;
}

void pool_free(struct pool *p)
{
    while (p->last) {
        struct pool_block *before = p->last->before;
        free(p->last);
        p->last = before;
    }
}
