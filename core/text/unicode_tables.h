/* core/text/unicode_tables.h - what decomposition, composition and lower case need to know of
 * characters; Hangul syllables are not in the tables.
 */
#pragma once
#include <stdint.h>

struct unicode_decomposition {    /* sorted by code; one step, not the whole way */
    uint32_t code, first, second; /* second 0: a single character */
};
struct unicode_class { /* canonical combining class, where it is not 0; sorted */
    uint32_t first, last;
    uint8_t value;
};

/* Characters whose compatibility decomposition is not the canonical one; sorted. A run of n, each
 * of which becomes len characters, all the way: where len is 1, `to` is the first one's, and the
 * others' follow it; else they lie one behind the other in unicode_compat_texts, from place `to`
 * on. */
struct unicode_compat {
    uint32_t first;
    uint8_t n, len;
    uint16_t to;
};
struct unicode_lower { /* a run of capital letters, one or two codes apart; sorted */
    uint32_t first, last;
    uint8_t every;
    uint32_t to; /* of the first */
};

extern const struct unicode_decomposition unicode_decompositions[];
extern const int unicode_n_decompositions;
/* Places in unicode_decompositions of those that are composed again, sorted by (first, second). */
extern const uint16_t unicode_compositions[];
extern const int unicode_n_compositions;
extern const struct unicode_class unicode_classes[];
extern const int unicode_n_classes;

/* unicode_compat.c */
extern const struct unicode_compat unicode_compats[];
extern const int unicode_n_compats;
extern const uint16_t unicode_compat_texts[];
/* unicode_lower.c. U+0130 alone becomes two characters, the second being U+0307. */
extern const struct unicode_lower unicode_lowers[];
extern const int unicode_n_lowers;
