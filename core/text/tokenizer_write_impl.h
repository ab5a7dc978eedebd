/* core/text/tokenizer_write_impl.h - what tokenizer_write.c shares with its checks. */
#pragma once
#include "core/text/gguf_pre.h"
#include "core/text/gguf_tokens.h"
#include "core/text/tokenizer_impl.h"
#include "core/text/tokenizer_write.h"

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
/* Reads back keys in which merges have become scores: texts that get other ids are a problem. */
int tokenizer_write_try(const struct tokenizer_keys *k, struct err *err);
/* Fills what is found by the check. What a GGUF cannot say is added to problems. */
int tokenizer_write_check(struct tokenizer_keys *k, struct err *err);
