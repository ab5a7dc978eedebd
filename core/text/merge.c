/* core/text/merge.c - see merge.h.
 *
 * A few symbols are an array, and the ranks of their pairs another, which is looked through for the
 * least. Many are a doubly linked list in an array. A heap holds (rank, place) of every adjacent
 * pair that can merge, as one number each, so that its least is the lowest rank, ties to the left.
 * Entries are never taken out when a merge makes them stale: an entry counts only if the pair now
 * at its place has its rank.
 */
#include "core/text/merge.h"
#include <stdlib.h>
#include <string.h>

enum { FEW = 32 };

struct heap {
    uint64_t *keys; /* least at 0 */
    int n;
};

struct merging {
    struct merge_symbol *symbols;
    uint32_t len;
    merge_find_fn find;
    const void *context;
    struct heap heap;
};

void merge_scratch_free(struct merge_scratch *s)
{
    free(s->symbols);
    free(s->heap);
    *s = (struct merge_scratch){.cache = s->cache};
}

/* A text of n symbols has at most n - 1 pairs at first, and each of its n - 1 merges makes at most
 * two new ones. */
int merge_reserve(struct merge_scratch *s, size_t len, struct err *err)
{
    size_t cap = len < 256 ? 256 : len + len / 2;

    if (len <= (size_t)s->cap)
        return 0;
    if (len > INT32_MAX / 8)
        return err_set(err, ERR_INVALID, "a text of %zu bytes without a break is too long", len);
    merge_scratch_free(s);
    s->symbols = malloc(cap * sizeof(*s->symbols));
    s->heap = malloc(3 * cap * sizeof(*s->heap));
    if (!s->symbols || !s->heap) {
        merge_scratch_free(s);
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

/* The pair that begins at `place`; its rank is MERGE_NEVER where it cannot merge. */
static struct merge_pair pair_at(const struct merging *m, int place)
{
    const struct merge_symbol *left = &m->symbols[place], *right;
    struct merge_pair pair = {MERGE_NEVER, 0};
    uint32_t end;

    if (left->next < 0)
        return pair;
    right = &m->symbols[left->next];
    end = right->next < 0 ? m->len : m->symbols[right->next].begin;
    if (!m->find(m->context, left, right, end, &pair))
        pair.rank = MERGE_NEVER;
    return pair;
}

static void consider(struct merging *m, int place)
{
    struct merge_pair pair = {MERGE_NEVER, 0};

    if (place >= 0)
        pair = pair_at(m, place);
    if (pair.rank != MERGE_NEVER)
        heap_push(&m->heap, (uint64_t)pair.rank << 32 | (uint32_t)place);
}

static void merge_many(struct merging *m, int n)
{
    for (int i = 0; i < n - 1; i++)
        consider(m, i);
    while (m->heap.n > 0) {
        uint64_t key = heap_pop(&m->heap);
        int place = (int)(uint32_t)key, next;
        struct merge_symbol *s = &m->symbols[place];
        struct merge_pair pair;
        if (s->id == MERGE_GONE)
            continue;
        pair = pair_at(m, place);
        if (pair.rank == MERGE_NEVER || pair.rank != (uint32_t)(key >> 32))
            continue;
        next = s->next;
        s->id = pair.id;
        s->next = m->symbols[next].next;
        m->symbols[next].id = MERGE_GONE;
        if (s->next >= 0)
            m->symbols[s->next].prev = place;
        consider(m, s->prev);
        consider(m, place);
    }
}

/* Moves those that are left to the front. */
static int gather(struct merge_symbol *symbols)
{
    int n = 0;

    for (int i = 0; i >= 0;) {
        int next = symbols[i].next;
        symbols[n++] = symbols[i];
        i = next;
    }
    return n;
}

static uint32_t end_of(const struct merging *m, int place, int n)
{
    return place + 1 < n ? m->symbols[place + 1].begin : m->len;
}

static struct merge_pair pair_of_few(const struct merging *m, int place, int n)
{
    struct merge_pair pair = {MERGE_NEVER, 0};

    if (place < 0 || place + 1 >= n ||
        !m->find(m->context, &m->symbols[place], &m->symbols[place + 1], end_of(m, place + 1, n),
                 &pair))
        pair.rank = MERGE_NEVER;
    return pair;
}

static int merge_few(const struct merging *m, int n)
{
    struct merge_pair pairs[FEW] = {{0}};
    struct merge_symbol *s = m->symbols;

    for (int i = 0; i < FEW; i++)
        pairs[i] = i < n ? pair_of_few(m, i, n) : (struct merge_pair){MERGE_NEVER, 0};
    for (;;) {
        int best = 0;
        for (int i = 1; i < n - 1; i++)
            if (pairs[i].rank < pairs[best].rank)
                best = i;
        if (pairs[best].rank == MERGE_NEVER)
            return n;
        s[best].id = pairs[best].id;
        n--;
        memmove(&s[best + 1], &s[best + 2], (size_t)(n - best - 1) * sizeof(*s));
        memmove(&pairs[best + 1], &pairs[best + 2], (size_t)(n - best - 1) * sizeof(*pairs));
        pairs[best] = pair_of_few(m, best, n);
        if (best > 0)
            pairs[best - 1] = pair_of_few(m, best - 1, n);
    }
}

int merge_all(struct merge_scratch *s, int n, size_t len, merge_find_fn find, const void *context)
{
    struct merging m = {s->symbols, (uint32_t)len, find, context, {s->heap, 0}};

    if (n <= 1)
        return n;
    if (n <= FEW)
        return merge_few(&m, n);
    for (int i = 0; i < n; i++) {
        s->symbols[i].prev = i - 1;
        s->symbols[i].next = i + 1 < n ? i + 1 : -1;
    }
    merge_many(&m, n);
    return gather(s->symbols);
}
