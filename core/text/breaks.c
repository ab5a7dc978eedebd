/* core/text/breaks.c - a bit for each hashed pair of characters. A bit that is set by chance only
 * keeps a text whole where it could have been cut.
 */
#include "core/text/breaks.h"
#include <stdlib.h>
#include <string.h>

enum { BITS = 22, WORDS = 1 << (BITS - 6) };

int breaks_init(struct breaks *b, struct err *err)
{
    b->words = calloc(WORDS, sizeof(*b->words));
    return b->words ? 0 : err_nomem(err, WORDS * sizeof(*b->words));
}

void breaks_free(struct breaks *b)
{
    free(b->words);
    *b = (struct breaks){0};
}

static size_t character_len(const char *at, size_t left)
{
    uint8_t first = (uint8_t)*at;
    size_t len = first < 0xc0 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;

    return len < left ? len : left;
}

/* The bytes of two characters as one number each. */
static uint32_t place_of(const char *left, size_t left_len, const char *right, size_t right_len)
{
    uint32_t a = 0, b = 0;

    memcpy(&a, left, left_len);
    memcpy(&b, right, right_len);
    return (uint32_t)(((uint64_t)a * 0x9e3779b97f4a7c15 ^ (uint64_t)b * 0xc2b2ae3d27d4eb4f) >>
                      (64 - BITS));
}

void breaks_forbid_within(struct breaks *b, const char *token, size_t len)
{
    size_t before = 0, n = len ? character_len(token, len) : 0;

    for (size_t at = n; at < len; at += n) {
        size_t left = n;
        uint32_t place;
        n = character_len(token + at, len - at);
        place = place_of(token + before, left, token + at, n);
        b->words[place >> 6] |= 1ull << (place & 63);
        before = at;
    }
}

void breaks_forbid_all(struct breaks *b)
{
    memset(b->words, 0xff, WORDS * sizeof(*b->words));
}

bool breaks_allow(const struct breaks *b, const char *text, size_t before, size_t at, size_t len)
{
    uint32_t place =
        place_of(text + before, at - before, text + at, character_len(text + at, len - at));

    return !(b->words[place >> 6] >> (place & 63) & 1);
}
