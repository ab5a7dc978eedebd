/* core/text/pretokenizer.h - cutting text to the pieces within which BPE merges.
 *
 * A list of steps, each of which cuts every piece that the one before made. Patterns are those that
 * HF's tokenizers takes (Oniguruma's Ruby syntax over Unicode text); what PCRE2 reads otherwise is
 * translated or refused.
 */
#pragma once
#include "core/err.h"
#include "core/text/watch.h"
#include <stdbool.h>
#include <stddef.h>

enum split_behaviour {                 /* what becomes of matches and of what lies between them */
                       SPLIT_ISOLATED, /* both are pieces */
                       SPLIT_REMOVED,  /* only what lies between matches */
                       SPLIT_WITH_PREVIOUS, /* a match ends the piece in front */
                       SPLIT_WITH_NEXT,     /* a match begins the piece behind */
                       SPLIT_CONTIGUOUS,    /* both, but adjacent matches are one */
};

struct pretokenizer {
    struct split_step *steps;
    int n;
};

/* literal: the pattern is plain text. invert: matches and the text between them change roles. A
 * pattern that is not supported, or that is too large, is refused (ERR_UNSUPPORTED). */
int pretokenizer_add(struct pretokenizer *p, const char *pattern, bool literal,
                     enum split_behaviour behaviour, bool invert, struct err *err);
/* Every piece that reaches this step and does not begin with a blank gets one. */
int pretokenizer_add_blank(struct pretokenizer *p, struct err *err);

enum meta_prefix { META_NEVER, META_FIRST, META_ALWAYS };
/* HF's Metaspace: blanks become `by`, a character, and pieces that do not begin with it get one:
 * each, or that at the beginning of the text. */
int pretokenizer_add_meta(struct pretokenizer *p, const char *by, enum meta_prefix prefix,
                          struct err *err);
void pretokenizer_free(struct pretokenizer *p);

/* Whether its steps are these patterns (ended by NULL), of which matches and what lies between them
 * are pieces; one pattern alone may have all of a text as its matches. */
bool pretokenizer_is_patterns(const struct pretokenizer *p, const char *const *patterns);
/* Whether it is Metaspace with U+2581, and whether that begins a piece everywhere. */
bool pretokenizer_is_meta(const struct pretokenizer *p, enum meta_prefix *ret, bool *ret_splits);
/* Whether it cuts at blanks alone, of which a text that was normalised may have none. */
bool pretokenizer_is_blanks(const struct pretokenizer *p);

/* What one text needs for its calls to pretokenizer_split(), all of them from one thread: memory,
 * and the time that they may take together, which the watch has. NULL-safe free. */
struct pretokenizer_scratch;
int pretokenizer_scratch_new(const struct pretokenizer *p, size_t text_len, struct watch *watch,
                             struct pretokenizer_scratch **ret, struct err *err);
void pretokenizer_scratch_free(struct pretokenizer_scratch *s);

/* Where the pieces of a buffer are in the text: a step may have put blanks in front of what it
 * cuts, and other characters in place of its blanks. */
struct piece_map {
    const char *buffer; /* pieces point into it */
    size_t at;          /* of the text: what the buffer was made from */
    const char *raw;    /* those bytes; NULL: the buffer is a part of the text itself */
    size_t in_front;    /* bytes that were put in front */
    size_t blank;       /* bytes that each blank became */
    size_t from, to;    /* where the last question ended, of raw and of the buffer */
};
/* The byte of the text that a byte of the buffer comes from. Questions come in rising order. */
size_t piece_map_find(struct piece_map *map, const char *place);

/* Calls fn for each piece of text (valid UTF-8), in order, none of them empty; stops where it
 * fails. at_start: the text's first byte is that of the whole text. ERR_UNSUPPORTED, naming the
 * pattern, where it takes longer than the watch allows, whatever the pattern. */
typedef int (*piece_fn)(void *context, const char *piece, size_t len, struct piece_map *map,
                        struct err *err);
int pretokenizer_split(const struct pretokenizer *p, struct pretokenizer_scratch *s,
                       const char *text, size_t len, bool at_start, piece_fn fn, void *context,
                       struct err *err);
