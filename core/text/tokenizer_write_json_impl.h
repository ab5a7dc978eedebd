/* core/text/tokenizer_write_json_impl.h - what the files of tokenizer_write_json.h share. */
#pragma once
#include "core/json_write.h"
#include "core/text/tokenizer_write_impl.h"
#include "core/text/tokenizer_write_json.h"

struct tokenizer_folder { /* one that is being written */
    const struct tokenizer_writing *w;
    const struct tokenizer *t;
    struct json_writer j; /* tokenizer.json */
    struct buf *notices;
    struct problems *problems;
    const struct gguf_pre *pre; /* TOKENIZER_BYTES */
    bool prefix;                /* TOKENIZER_PIECES: a blank in front of a text */
    const struct added_token **added[ADDED_PASSES]; /* (vocab.n) by id; NULL: it is none */
    bool *made;                                     /* (vocab.n) TOKENIZER_PIECES: by a merge */
};

/* Adds a problem. */
void tokenizer_folder_fault(const struct tokenizer_folder *k, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Members of tokenizer.json: from added_tokens to the decoder. */
void tokenizer_folder_put_steps(struct tokenizer_folder *k);
/* tokenizer_config.json. */
void tokenizer_folder_put_config(const struct tokenizer_folder *k, struct buf *out);
