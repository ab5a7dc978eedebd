/* core/text/breaks.h - between which characters no token ever reaches across.
 *
 * Merging joins what becomes one token. Two adjacent characters that stand next to each other in no
 * token are never joined, so that a text can be cut between them and its parts be merged by
 * themselves, with the same tokens. This keeps a text without a pre-tokenizer from being one piece.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct breaks { /* a set of hashed pairs: one that is in it may be there by chance */
    uint64_t *words;
};

/* A set without pairs; undone by breaks_free(). */
int breaks_init(struct breaks *b, struct err *err);
void breaks_free(struct breaks *b);
/* To be called for every token that merging can make. */
void breaks_forbid_within(struct breaks *b, const char *token, size_t len);
/* Nowhere is a break. */
void breaks_forbid_all(struct breaks *b);

/* Whether text[at] (0 < at < len, valid UTF-8) begins a part of its own. before: where the
 * character in front begins. */
bool breaks_allow(const struct breaks *b, const char *text, size_t before, size_t at, size_t len);
