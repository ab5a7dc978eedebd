/* core/text/pattern_code.h - a pattern of pattern.h compiled, and finding it in a text. */
#pragma once
#include "core/err.h"
#include "core/text/watch.h"
#include <stdbool.h>
#include <stddef.h>

struct pattern_code {
    struct pcre2_real_code_8 *code;
    char *pattern; /* as it was given */
};

/* literal: the pattern is plain text. ERR_UNSUPPORTED where it is not supported or too large.
 * Undone by pattern_code_free(), on failure too. */
int pattern_code_compile(const char *pattern, bool literal, struct pattern_code *ret,
                         struct err *err);
void pattern_code_free(struct pattern_code *c);

/* What finding patterns in one text needs, from one thread. */
struct pattern_scratch {
    struct watch *watch;
    size_t place;                             /* where the last callout was */
    size_t text_len;                          /* of the whole text */
    struct pcre2_real_match_data_8 **matches; /* (n) */
    int n;
    struct pcre2_real_match_context_8 *context;
    struct pcre2_real_jit_stack_8 *stack;
};
/* codes: (n) the patterns, any of them NULL. */
int pattern_scratch_init(struct pattern_scratch *s, const struct pattern_code *const *codes, int n,
                         size_t text_len, struct watch *watch, struct err *err);
void pattern_scratch_free(struct pattern_scratch *s);

/* Finds the next match of pattern i at or after *from; it is not empty. 1, with its place in *from
 * and *ret_end; 0: there is none; ERR_UNSUPPORTED, naming the pattern, where it takes too long. */
int pattern_code_find(const struct pattern_code *c, struct pattern_scratch *s, int i,
                      const char *text, size_t len, size_t *from, size_t *ret_end, struct err *err);
/* The same, but the match may be empty. */
int pattern_code_find_any(const struct pattern_code *c, struct pattern_scratch *s, int i,
                          const char *text, size_t len, size_t *from, size_t *ret_end,
                          struct err *err);
