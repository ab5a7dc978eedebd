/* core/text/jinja/lexer_strings.h - numbers and strings of a template. */
#pragma once
#include "core/text/jinja/value.h"

/* Reads the number that begins at `at` with a digit, and returns its bytes. *why: it is beyond what
 * this program holds. */
size_t jinja_read_number(struct str s, size_t at, bool *ret_real, int64_t *integer, double *real,
                         const char **why);
/* Resolves the escapes of a string, which are Python's; out has room for 2 * s.len + 16 bytes.
 * Returns the bytes written; *why: an escape is wrong. */
size_t jinja_unescape(struct str s, char *out, const char **why);
