/* core/text/normalizer.h - what changes a text before it is cut: a list of steps, as HF's
 * tokenizers and SentencePiece have them. Each is done exactly as there.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "core/text/charsmap.h"
#include "core/text/unicode_form.h"
#include <stdbool.h>
#include <stddef.h>

struct normalizer {
    struct normalizer_step *steps;
    int n;
};
void normalizer_free(struct normalizer *n);

/* Puts a text in front of every text that is not empty. */
int normalizer_add_prepend(struct normalizer *n, const char *text, struct err *err);
/* Replaces every occurrence of a text, which must not be empty. */
int normalizer_add_replace(struct normalizer *n, const char *what, const char *by, struct err *err);
/* Replaces every match of a pattern (pattern.h), also an empty one. */
int normalizer_add_replace_pattern(struct normalizer *n, const char *pattern, const char *by,
                                   struct err *err);
int normalizer_add_lower(struct normalizer *n, struct err *err);
/* Removes the white space in front, behind, or both. */
int normalizer_add_strip(struct normalizer *n, bool left, bool right, struct err *err);
int normalizer_add_form(struct normalizer *n, enum unicode_form form, struct err *err);
/* SentencePiece's rules of characters, as a model has them compiled. Where one of the tokens
 * `keep`, which must live as long, is in the text, it stays as it is. */
int normalizer_add_charsmap(struct normalizer *n, const void *bytes, size_t len,
                            const struct added_tokens *keep, struct err *err);
/* SentencePiece's remove_extra_whitespaces: removes blanks in front, and all but one of several. */
int normalizer_add_collapse(struct normalizer *n, struct err *err);
/* The same behind the text, where blanks may be U+2581 already. */
int normalizer_add_trim_end(struct normalizer *n, struct err *err);

/* What SentencePiece does behind its rules of characters: a blank in front if `prefix`, blanks
 * become U+2581, and no extra ones if `collapse`. */
int normalizer_add_blanks(struct normalizer *n, bool prefix, bool collapse, struct err *err);

/* Whether it is what normalizer_add_blanks() makes, or has a step Prepend of U+2581 in place of
 * that of the blank; and of what. */
bool normalizer_is_blanks(const struct normalizer *n, bool *ret_prefix, bool *ret_collapse);
/* Whether it brings texts to this form, and does nothing else. */
bool normalizer_is_form(const struct normalizer *n, enum unicode_form form);

/* Memory that calls reuse: zero-initialise, free with buf_free() each. */
struct normalizer_scratch {
    struct buf bufs[2];
    struct watch *watch; /* the caller's */
};
/* The normalised text, in the scratch or the text itself. ERR_UNSUPPORTED where it becomes out of
 * proportion longer, or takes longer than the watch allows. */
int normalizer_run(const struct normalizer *n, struct normalizer_scratch *s, const char *text,
                   size_t len, const char **ret_text, size_t *ret_len, struct err *err);
