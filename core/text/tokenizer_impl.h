/* core/text/tokenizer_impl.h - what tokenizer.c shares with its loaders and no one else sees.
 *
 * A loader makes the tokenizer with tokenizer_new(), puts tokens, merges or scores, added tokens
 * and the steps of normalizer and pre-tokenizer, and ends with tokenizer_finish().
 */
#pragma once
#include "core/text/added_tokens.h"
#include "core/text/bpe.h"
#include "core/text/chat_source.h"
#include "core/text/normalizer.h"
#include "core/text/pieces.h"
#include "core/text/pretokenizer.h"
#include "core/text/tokenizer.h"
#include "core/text/vocab.h"

enum tokenizer_kind {
    TOKENIZER_BYTES,      /* merges of bytes, spelled in the alphabet of vocab.h */
    TOKENIZER_CHARACTERS, /* merges of characters */
    TOKENIZER_PIECES,     /* scores of pieces: SentencePiece */
};

/* Added tokens that HF calls normalized are looked for in what the others left. */
enum added_pass { ADDED_FIRST, ADDED_SECOND, ADDED_PASSES };
/* What decoding drops of the blanks that encoding put in front. */
enum decode_strip {
    STRIP_NOTHING,
    STRIP_BLANK,       /* one at the beginning of the text */
    STRIP_FIRST_TOKEN, /* all those of the first token: HF's Metaspace */
};
enum token_flag { TOKEN_ADDED = 1, TOKEN_SPECIAL = 2 };

struct tokenizer {
    enum tokenizer_kind kind;
    struct vocab vocab;
    struct normalizer normalizer;
    struct pretokenizer pre;
    struct added_tokens added[ADDED_PASSES];
    struct pool texts;            /* of added tokens, normalised */
    uint8_t *flags;               /* (vocab.n) of enum token_flag */
    bool ignore_merges;           /* a piece that is a token is not taken apart */
    struct bpe_fallback fallback; /* TOKENIZER_CHARACTERS */
    struct breaks breaks;         /* TOKENIZER_CHARACTERS */
    struct pieces pieces;         /* TOKENIZER_PIECES */
    enum decode_strip strip;
    bool adds_bos;
    int bos, eos;
    int behind;             /* token that a text ends with as the model expects it; -1: none */
    struct token_list ends; /* what ends a generated text beside eos */
    struct chat_source chat;
    struct piece_cache *cache;
};

int tokenizer_new(enum tokenizer_kind kind, int n_ids, size_t n_merges, struct tokenizer **ret,
                  struct err *err);
/* The token is put in the vocabulary, too. flags: of enum added_flag. One that is there already
 * gets them. */
int tokenizer_add_token(struct tokenizer *t, int id, const char *text, size_t len, unsigned flags,
                        enum added_pass pass, struct err *err);
/* Sorts and looks up what encoding needs; drops bos and eos that are no ids. */
int tokenizer_finish(struct tokenizer *t, struct err *err);

/* From the text of a tokenizer.json alone. */
int tokenizer_from_json_text(const char *text, size_t len, struct tokenizer **ret_tokenizer,
                             struct err *err);
