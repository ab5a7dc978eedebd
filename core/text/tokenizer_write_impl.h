/* core/text/tokenizer_write_impl.h - what tokenizer_write.c shares with its checks. */
#pragma once
#include "core/text/gguf_pre.h"
#include "core/text/gguf_tokens.h"
#include "core/text/tokenizer_impl.h"
#include "core/text/tokenizer_write.h"

enum {
    TOKENIZER_TOKEN_MAX = 1 << 12
}; /* bytes: checks take the square of a token's length in time */

struct tokenizer_keys {
    const struct tokenizer_writing *w;
    const struct tokenizer *t;
    struct gguf_out *o;
    struct buf *notices;
    struct problems *problems;
    /* found by the check */
    const struct gguf_pre *pre; /* TOKENIZER_BYTES */
    bool prefix, collapse;      /* of the other kinds: normalizer_add_blanks() */
    float *scores;              /* (vocab.n) TOKENIZER_CHARACTERS */
    bool *made;                 /* (vocab.n) TOKENIZER_CHARACTERS: by a merge */
};

/* Adds a problem: the words, and a text in quotes, which may be of any bytes. */
void tokenizer_write_fault(const struct tokenizer_keys *k, const char *words, const char *text,
                           size_t len);

/* A tokenizer, and what it became. */
struct tokenizer_trial {
    const struct tokenizer *is, *becomes;
    const bool *made; /* (is->vocab.n) of which tokens texts are made */
    void (*fault)(void *context, const char *text, size_t len); /* a text that gets other ids */
    void *context;
};
int tokenizer_try(const struct tokenizer_trial *k, struct err *err);
/* Fills what is found by the check. What a GGUF cannot say is added to problems. */
int tokenizer_write_check(struct tokenizer_keys *k, struct err *err);
