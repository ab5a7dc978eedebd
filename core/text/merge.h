/* core/text/merge.h - the loop of byte-pair encoding: of all adjacent pairs of symbols that can
 * merge, the one of the lowest rank does, the leftmost of equals, until none can.
 *
 * Which pairs can merge, and in what order, is the caller's to say: by a list of merges (bpe.h) or
 * by the scores of whole pieces (pieces.h). O(n log n).
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct piece_cache;

struct merge_symbol {
    int32_t id;     /* the caller's; MERGE_GONE: merged into its left neighbour */
    int32_t prev;   /* -1: none */
    int32_t next;   /* -1: none */
    uint32_t begin; /* of its text, in bytes; it ends where the next begins */
};
enum { MERGE_GONE = INT32_MIN };

struct merge_pair {
    uint32_t rank; /* lower is merged first; not MERGE_NEVER */
    int32_t id;    /* of what they make */
};
static const uint32_t MERGE_NEVER = UINT32_MAX;

/* What left and right make, right ending at byte `end`; false: they do not merge. */
typedef bool (*merge_find_fn)(const void *context, const struct merge_symbol *left,
                              const struct merge_symbol *right, uint32_t end,
                              struct merge_pair *ret);

/* Memory that calls reuse: zero-initialise, one a thread, free with merge_scratch_free(). */
struct merge_scratch {
    struct merge_symbol *symbols;
    uint64_t *heap;
    int cap;                   /* symbols; the heap has three times as many */
    struct piece_cache *cache; /* the caller's; NULL: none */
};

void merge_scratch_free(struct merge_scratch *s);

/* Room in s->symbols for what a text of len bytes has at most. ERR_INVALID where it is too long. */
int merge_reserve(struct merge_scratch *s, size_t len, struct err *err);

/* Merges the n first of s->symbols, whose id and begin are set, and whose text is len bytes long.
 * Returns how many are left, which are the first then, with their begin. */
int merge_all(struct merge_scratch *s, int n, size_t len, merge_find_fn find, const void *context);
