/* core/text/pretokenizer.h - cutting text to the pieces within which BPE merges.
 *
 * A list of steps, each of which cuts every piece that the one before made. Patterns are those that
 * HF's tokenizers takes (Oniguruma's Ruby syntax over Unicode text); what PCRE2 reads otherwise is
 * translated or refused.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stddef.h>

enum split_behaviour {
    SPLIT_ISOLATED, /* matches and what lies between them are pieces */
    SPLIT_REMOVED,  /* only what lies between matches */
};

struct pretokenizer {
    struct split_step *steps;
    int n;
};

/* The patterns of GPT-2's tokenizer, which ByteLevel stands for, of Llama 3's and of Qwen 2's. */
extern const char pretokenizer_gpt2[];
extern const char pretokenizer_llama3[];
extern const char pretokenizer_qwen2[];

/* literal: the pattern is plain text. invert: matches and the text between them change roles. A
 * pattern that is not supported, or that is too large, is refused (ERR_UNSUPPORTED). */
int pretokenizer_add(struct pretokenizer *p, const char *pattern, bool literal,
                     enum split_behaviour behaviour, bool invert, struct err *err);
/* Every piece that reaches this step and does not begin with a blank gets one. */
int pretokenizer_add_blank(struct pretokenizer *p, struct err *err);
void pretokenizer_free(struct pretokenizer *p);

/* What one text needs for its calls to pretokenizer_split(), all of them from one thread: memory,
 * and the time that they may take together. NULL-safe free. */
struct pretokenizer_scratch;
int pretokenizer_scratch_new(const struct pretokenizer *p, size_t text_len,
                             struct pretokenizer_scratch **ret, struct err *err);
/* Whether the text has used up its time. To be called in long loops, with the number of small steps
 * since the last call. */
bool pretokenizer_is_late(struct pretokenizer_scratch *s, size_t work);
void pretokenizer_scratch_free(struct pretokenizer_scratch *s);

/* Calls fn for each piece of text (valid UTF-8), in order, none of them empty; stops where it
 * fails. ERR_UNSUPPORTED, naming the pattern, where it takes too long: more than 2 seconds and a
 * microsecond for each byte, whatever the pattern. */
typedef int (*piece_fn)(void *context, const char *piece, size_t len, struct err *err);
int pretokenizer_split(const struct pretokenizer *p, struct pretokenizer_scratch *s,
                       const char *text, size_t len, piece_fn fn, void *context, struct err *err);
