/* core/text/pattern.h - the patterns of tokenizers, in the syntax of PCRE2.
 *
 * Patterns come from a model's files and are written for Oniguruma with Ruby's syntax. Whatever
 * PCRE2 reads in the same way is copied, what it reads otherwise is rewritten, and everything else
 * is refused by name: recursion, callouts, verbs, conditions and \K among it, which would let a
 * match begin behind its own end, or run without bound.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"

enum {
    PATTERN_BYTES_MAX = 16 << 10, /* of the pattern */
    PATTERN_DEPTH_MAX = 100,      /* of groups within groups */
    PATTERN_SIZE_MAX = 50000,     /* items, when every repetition with a count is written out */
};

/* Appends the pattern (NUL-terminated UTF-8) to out. ERR_UNSUPPORTED, naming what is refused. Lack
 * of memory is left in out->failed. */
int pattern_translate(const char *pattern, struct buf *out, struct err *err);
