/* core/text/bpe.h - merging one piece of text to tokens by a list of merges (Sennrich et al. 2016),
 * as HF's tokenizers does.
 *
 * What is merged at first: the bytes of the piece, which are spelled in the alphabet of vocab.h, or
 * its characters.
 */
#pragma once
#include "core/text/breaks.h"
#include "core/text/merge.h"
#include "core/text/token_list.h"
#include "core/text/vocab.h"

/* Appends the ids of the piece. A byte that no token stands for is left out before anything is
 * merged, as HF's tokenizers does where no unknown token is set. */
int bpe_encode_bytes(const struct vocab *v, struct merge_scratch *s, const char *piece, size_t len,
                     struct token_list *out, struct err *err);

/* A character that no token stands for. */
struct bpe_fallback {
    bool bytes;            /* is the tokens of its bytes, "<0x0A>", if all of them are there */
    int32_t byte_ids[256]; /* -1: none */
    int unknown;           /* else is this token; -1: it is left out */
    bool fuse;             /* adjacent ones are one such token */
};

/* The same for characters (valid UTF-8). Where breaks allows it, the piece is merged in parts. */
int bpe_encode_characters(const struct vocab *v, const struct bpe_fallback *fallback,
                          const struct breaks *breaks, struct merge_scratch *s, const char *piece,
                          size_t len, struct token_list *out, struct err *err);
