/* core/text/bpe.c - see bpe.h.
 *
 * The symbols of the piece are a doubly linked list in an array. A heap holds (rank, place) of
 * every adjacent pair that can merge, as one number each, so that its least is the lowest rank,
 * ties to the left. Entries are never taken out when a merge makes them stale: an entry counts only
 * if the pair now at its place has its rank.
 */
#include "core/text/bpe.h"
#include <stdlib.h>

struct bpe_symbol {
    int32_t id;     /* -1: merged into its left neighbour */
    int prev, next; /* -1: none */
};

struct heap {
    uint64_t *keys; /* least at 0 */
    int n;
};

void bpe_scratch_free(struct bpe_scratch *s)
{
    free(s->symbols);
    free(s->heap);
    *s = (struct bpe_scratch){0};
}

/* A piece of n bytes has at most n - 1 pairs at first, and each of its n - 1 merges makes at most
 * two new ones. */
static int reserve(struct bpe_scratch *s, size_t len, struct err *err)
{
    size_t cap = len < 256 ? 256 : len + len / 2;

    if (len <= (size_t)s->cap)
        return 0;
    if (len > INT32_MAX / 8)
        return err_set(err, ERR_INVALID, "a text of %zu bytes without a break is too long", len);
    bpe_scratch_free(s);
    s->symbols = malloc(cap * sizeof(*s->symbols));
    s->heap = malloc(3 * cap * sizeof(*s->heap));
    if (!s->symbols || !s->heap) {
        bpe_scratch_free(s);
        return err_nomem(err, cap * sizeof(*s->symbols));
    }
    s->cap = (int)cap;
    return 0;
}

static void heap_push(struct heap *h, uint64_t key)
{
    int at = h->n++;

    while (at > 0 && h->keys[(at - 1) / 2] > key) {
        h->keys[at] = h->keys[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    h->keys[at] = key;
}

static uint64_t heap_pop(struct heap *h)
{
    uint64_t least = h->keys[0], key = h->keys[--h->n];
    int at = 0, child;

    while ((child = 2 * at + 1) < h->n) {
        if (child + 1 < h->n && h->keys[child + 1] < h->keys[child])
            child++;
        if (h->keys[child] >= key)
            break;
        h->keys[at] = h->keys[child];
        at = child;
    }
    h->keys[at] = key;
    return least;
}

/* Puts the pair that begins at `place` on the heap if it can merge. */
static void consider(const struct vocab *v, const struct bpe_symbol *symbols, int place,
                     struct heap *h)
{
    const struct vocab_merge *m;

    if (place < 0 || symbols[place].next < 0)
        return;
    m = vocab_find_merge(v, symbols[place].id, symbols[symbols[place].next].id);
    if (m)
        heap_push(h, (uint64_t)(uint32_t)m->rank << 32 | (uint32_t)place);
}

static void merge_all(const struct vocab *v, struct bpe_symbol *symbols, struct heap *h)
{
    while (h->n > 0) {
        uint64_t key = heap_pop(h);
        int place = (int)(uint32_t)key, next = symbols[place].next;
        const struct vocab_merge *m;
        if (symbols[place].id < 0 || next < 0)
            continue;
        m = vocab_find_merge(v, symbols[place].id, symbols[next].id);
        if (!m || m->rank != (int32_t)(key >> 32))
            continue;
        symbols[place].id = m->id;
        symbols[place].next = symbols[next].next;
        symbols[next].id = -1;
        if (symbols[place].next >= 0)
            symbols[symbols[place].next].prev = place;
        consider(v, symbols, symbols[place].prev, h);
        consider(v, symbols, place, h);
    }
}

int bpe_encode(const struct vocab *v, struct bpe_scratch *s, const char *piece, size_t len,
               struct token_list *out, struct err *err)
{
    struct heap h = {0};
    int n = 0, rc = reserve(s, len, err);

    if (rc < 0)
        return rc;
    for (size_t i = 0; i < len; i++) {
        int32_t id = v->byte_ids[(uint8_t)piece[i]];
        if (id < 0)
            continue;
        s->symbols[n] = (struct bpe_symbol){.id = id, .prev = n - 1, .next = n + 1};
        n++;
    }
    if (n == 0)
        return 0;
    s->symbols[n - 1].next = -1;
    h.keys = s->heap;
    for (int i = 0; i < n - 1; i++)
        consider(v, s->symbols, i, &h);
    merge_all(v, s->symbols, &h);
    for (int i = 0; i >= 0 && rc == 0; i = s->symbols[i].next)
        rc = token_list_push(out, s->symbols[i].id, err);
    return rc;
}
