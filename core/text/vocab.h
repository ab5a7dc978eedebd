/* core/text/vocab.h - the tokens and merges of a tokenizer, in hash tables.
 *
 * Tokens are kept as the tokenizer's file spells them; a byte-level BPE spells each byte of the
 * text as one printable character (the alphabet that GPT-2 introduced: the space is U+0120). A
 * token with a character outside of that alphabet stands for its own UTF-8 bytes.
 */
#pragma once
#include "core/err.h"
#include "core/pool.h"
#include "core/text/token_text.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct vocab_token {
    const char *text; /* NUL-terminated, may hold NUL; NULL: no token has this id */
    uint32_t len;
};

/* As a message shows it. */
struct shown_text vocab_token_show(const struct vocab_token *token);

struct vocab_merge { /* key 0xffff...: free slot */
    uint64_t key;    /* left id << 32 | right id */
    int32_t rank;    /* lower is merged first */
    int32_t id;      /* of the merged token */
};

struct vocab {
    struct vocab_token *tokens; /* (n), by id */
    int n;
    int32_t *slots; /* open addressing: ids, -1 free */
    size_t slot_mask;
    struct vocab_merge *merges; /* open addressing */
    size_t merge_mask;
    uint64_t seed;         /* of the hashes */
    int32_t byte_ids[256]; /* of the token that is this byte alone, -1: none */
    struct pool pool;
};

enum {
    VOCAB_MAX = 1 << 24,      /* ids, and merges */
    VOCAB_TOKEN_MAX = 1 << 20 /* bytes of a token */
};

/* Room for ids 0 to n - 1 and n_merges merges, VOCAB_MAX of each at most (ERR_INVALID). Undone by
 * vocab_free(), on failure too. */
int vocab_init(struct vocab *v, int n, size_t n_merges, struct err *err);
void vocab_free(struct vocab *v);

/* Gives id to the text. Refuses an id that is not below n or that another text has; of two ids of
 * one text the later is found. */
int vocab_put(struct vocab *v, int id, const char *text, size_t len, struct err *err);
/* The id of the text, or -1. */
int vocab_find(const struct vocab *v, const char *text, size_t len);
/* To be called when all tokens are put: looks up the tokens of single bytes. */
void vocab_find_bytes(struct vocab *v);

/* The ids of the tokens <0x00> to <0xFF>, which stand for bytes; -1: none. Whether all are there.
 */
bool vocab_find_byte_pieces(const struct vocab *v, int32_t ids[256]);
/* The byte of such a token; -1: it is another. */
int vocab_byte_of_piece(const char *text, size_t len);

/* Both parts and what they make must be tokens, else ERR_INVALID. */
int vocab_put_merge(struct vocab *v, int32_t rank, const char *left, size_t left_len,
                    const char *right, size_t right_len, struct err *err);
/* The merge of two adjacent tokens, or NULL. */
const struct vocab_merge *vocab_find_merge(const struct vocab *v, int32_t left, int32_t right);

/* All of them, by rank. Caller frees. */
int vocab_list_merges(const struct vocab *v, struct vocab_merge **ret, size_t *ret_n,
                      struct err *err);

/* Writes the alphabet's character for a byte to text (at most 2 bytes of UTF-8); returns its
 * length. */
int vocab_spell_byte(uint8_t byte, char *text);
/* The bytes that a token stands for, written to out (room for len bytes); returns how many. */
size_t vocab_unspell(const char *text, size_t len, char *out);
