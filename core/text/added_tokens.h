/* core/text/added_tokens.h - tokens that are looked for in a text before anything else is done to
 * it, as HF's tokenizers does: the leftmost, and of several at one place the longest.
 */
#pragma once
#include "core/err.h"
#include "core/text/watch.h"
#include <stdbool.h>
#include <stddef.h>

enum added_flag {
    ADDED_LSTRIP = 1,      /* takes the white space in front with it */
    ADDED_RSTRIP = 2,      /* and behind */
    ADDED_SINGLE_WORD = 4, /* not next to a character of a word */
    ADDED_SPECIAL = 8,     /* passed over where special tokens are not recognised */
};

struct added_token {
    const char *text; /* borrowed, at least one byte */
    size_t len;
    int id;
    unsigned flags; /* enum added_flag */
};

struct added_tokens { /* zero-initialise; sorted by bytes once added_tokens_sort() was called */
    struct added_token *items;
    int n, cap;
    int first[257]; /* items [first[b], first[b + 1]) begin with byte b */
};

int added_tokens_put(struct added_tokens *a, const struct added_token *token, struct err *err);
/* Of equal texts the one that was put last stays. */
void added_tokens_sort(struct added_tokens *a);
void added_tokens_free(struct added_tokens *a);

/* The longest token at the beginning of text (len > 0), or NULL. Adds to *work what it took. */
const struct added_token *added_tokens_at(const struct added_tokens *a, const char *text,
                                          size_t len, size_t *work);

struct added_match {
    const struct added_token *token;
    size_t begin, end; /* with the white space that it takes */
    size_t next;       /* where to look on */
};

/* The next token of text[m->next, len) that counts. m->end is where the last one ended: white space
 * in front of it is not taken again. special: special tokens count, too. 1: *m is set; 0: there is
 * none; ERR_UNSUPPORTED where it takes too long. */
int added_tokens_next(const struct added_tokens *a, const char *text, size_t len, bool special,
                      struct watch *watch, struct added_match *m, struct err *err);
