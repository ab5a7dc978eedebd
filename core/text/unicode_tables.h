/* core/text/unicode_tables.h - what canonical decomposition and composition need to know of
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

extern const struct unicode_decomposition unicode_decompositions[];
extern const int unicode_n_decompositions;
/* Places in unicode_decompositions of those that are composed again, sorted by (first, second). */
extern const uint16_t unicode_compositions[];
extern const int unicode_n_compositions;
extern const struct unicode_class unicode_classes[];
extern const int unicode_n_classes;
