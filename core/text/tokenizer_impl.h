/* core/text/tokenizer_impl.h - what tokenizer.c shares with its two loaders and no one else sees.
 *
 * A loader makes the tokenizer with tokenizer_new(), puts tokens, merges, added tokens and
 * pre-tokenizer steps, and ends with tokenizer_finish().
 */
#pragma once
#include "core/text/pretokenizer.h"
#include "core/text/tokenizer.h"
#include "core/text/vocab.h"

struct added_token {  /* found in the text before anything else is done to it */
    const char *text; /* the vocabulary's */
    size_t len;
    int id;
};

struct added_tokens {
    struct added_token *items; /* by first byte, then the longest first */
    int n, cap;
    int first[257]; /* items [first[b], first[b + 1]) begin with byte b */
};

/* Added tokens that HF calls normalized are looked for in what the others left. */
enum added_pass { ADDED_FIRST, ADDED_SECOND, ADDED_PASSES };
enum token_flag { TOKEN_ADDED = 1, TOKEN_SPECIAL = 2 };

struct tokenizer {
    struct vocab vocab;
    struct pretokenizer pre;
    struct added_tokens added[ADDED_PASSES];
    uint8_t *flags;     /* (vocab.n) of enum token_flag */
    bool ignore_merges; /* a piece that is a token is not taken apart */
    bool adds_bos;
    int bos, eos;
    char *chat_template; /* owned, or NULL */
};

int tokenizer_new(int n_ids, size_t n_merges, struct tokenizer **ret, struct err *err);
/* The token is put in the vocabulary, too. */
int tokenizer_add_token(struct tokenizer *t, int id, const char *text, size_t len, bool special,
                        enum added_pass pass, struct err *err);
/* Sorts and looks up what encoding needs; drops bos and eos that are no ids. */
int tokenizer_finish(struct tokenizer *t, struct err *err);
