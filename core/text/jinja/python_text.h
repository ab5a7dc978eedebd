/* core/text/jinja/python_text.h - texts as Python's str has them: by characters (code points), with
 * Unicode's properties and cases. All texts are valid UTF-8.
 */
#pragma once
#include "core/text/jinja/value.h"

enum char_property {
    CHAR_ALPHA = 1,
    CHAR_DECIMAL = 2,
    CHAR_DIGIT = 4,
    CHAR_NUMERIC = 8,
    CHAR_LOWER = 16,
    CHAR_UPPER = 32,
    CHAR_TITLE = 64,
    CHAR_PRINTABLE = 128,
    CHAR_SPACE = 256,
    CHAR_CASED = 512,
    CHAR_CASE_IGNORABLE = 1024,
};

/* The character at p, and its bytes. */
static inline uint32_t char_at(const char *text, size_t *ret_len)
{
    const uint8_t *p = (const uint8_t *)text;

    if (p[0] < 0x80)
        return *ret_len = 1, p[0];
    if (p[0] < 0xe0)
        return *ret_len = 2, (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    if (p[0] < 0xf0)
        return *ret_len = 3,
               (uint32_t)(p[0] & 0xf) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    return *ret_len = 4, (uint32_t)(p[0] & 7) << 18 | (uint32_t)(p[1] & 0x3f) << 12 |
                             (uint32_t)(p[2] & 0x3f) << 6 | (p[3] & 0x3f);
}

unsigned char_properties(uint32_t c); /* a set of enum char_property */

enum char_case { CASE_LOWER, CASE_UPPER, CASE_TITLE };
/* The character in that case: 1 to 3 characters; returns how many. Not for the final sigma. */
int char_to_case(uint32_t c, enum char_case wanted, uint32_t out[3]);

size_t text_count(struct str s); /* characters */
/* Where character number i begins; s.len where there are no more than i. */
size_t text_offset(struct str s, size_t i);
/* Without white space at its ends. */
struct str text_strip(struct str s, bool left, bool right);
/* Bytes of the white space at `at`; 0: none is there. */
size_t text_space_at(struct str s, size_t at);
/* Where `part` first (last) occurs within bytes [from, to); SIZE_MAX: nowhere. */
size_t text_find(struct str s, struct str part, size_t from, size_t to);
size_t text_rfind(struct str s, struct str part, size_t from, size_t to);
