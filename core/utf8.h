/* core/utf8.h - UTF-8: what is valid, and text from outside made safe to print. */
#pragma once
#include "core/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character at p, of which len > 0 may be read; 0 where there is none. */
size_t utf8_len(const uint8_t *p, size_t len);
/* The same, and the character's code where there is one. */
size_t utf8_code(const uint8_t *p, size_t len, uint32_t *ret_code);
/* Bytes up to the first that belongs to no character; len where there is none. */
size_t utf8_valid(const char *text, size_t len);
/* Writes a code point of up to 0x10ffff (1 to 4 bytes); returns how many. */
size_t utf8_put(uint32_t code, char *out);

/* Bytes of the byte order mark with which the text begins: 3 or 0. */
size_t utf8_mark_len(const char *text, size_t len);

bool utf8_is_valid(const char *text);
/* Replaces bytes that are not UTF-8 by '?', in place. */
void utf8_make_valid(char *text, size_t len);
/* Bytes at the end that begin a character whose rest is not there: 0 to 3. */
size_t utf8_cut_bytes(const char *text, size_t len);
/* The longest beginning of at most max bytes that ends with a whole character. */
size_t utf8_fit(const char *text, size_t max);

enum utf8_lines { UTF8_ONE_LINE, UTF8_KEEP_LINES };

/* Appends text with everything that would act on a terminal or a log spelled out: control
 * characters as \x1b, those that reorder or break lines as \u202e, bytes that are not UTF-8 as
 * \xff. UTF8_KEEP_LINES leaves newlines and tabs as they are. */
void utf8_escape(const char *text, enum utf8_lines lines, struct buf *out);
/* True where utf8_escape() would change nothing. */
bool utf8_is_printable(const char *text, enum utf8_lines lines);
