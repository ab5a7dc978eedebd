/* core/text/tokenizer.h - text to token ids and back: byte-level BPE, BPE over characters, and
 * SentencePiece's BPE.
 *
 * Text is cut at added tokens (the leftmost, the longest of several), each rest is normalised, cut
 * by the model's pre-tokenizer (PCRE2), and merged: by a list of merges, lowest rank first, or by
 * the scores of pieces, highest first (ties to the left). Ids are exactly those of HF's tokenizers,
 * or for tokenizer.model of sentencepiece.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "core/text/token_list.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct tokenizer;
struct tensorfile;
struct chat_source;

/* From what a model's folder has: tokenizer.json; else tokenizer.model; else vocab.json with
 * merges.txt. tokenizer_config.json, special_tokens_map.json, added_tokens.json and
 * generation_config.json beside it add tokens, and name the end, as in transformers. bos_id and
 * eos_id come from the model's description (-1: none). *ret_tokenizer is NULL (and 0 is returned)
 * where there is none. What it cannot do is refused by name (ERR_UNSUPPORTED). */
int tokenizer_from_folder(const char *folder, int bos_id, int eos_id,
                          struct tokenizer **ret_tokenizer, struct err *err);
/* From a file alone, by its content: a GGUF, a tokenizer.json or a tokenizer.model; or a folder.
 * Files beside it are read, too. ERR_INVALID where there is none. */
int tokenizer_from_path(const char *path, struct tokenizer **ret_tokenizer, struct err *err);

/* From tokenizer.json: model BPE. */
int tokenizer_from_json(const char *path, int bos_id, int eos_id, struct tokenizer **ret_tokenizer,
                        struct err *err);
/* From SentencePiece's tokenizer.model: BPE. */
int tokenizer_from_pieces(const char *path, int bos_id, int eos_id,
                          struct tokenizer **ret_tokenizer, struct err *err);
/* From vocab.json, with merges.txt beside it: byte-level BPE. */
int tokenizer_from_vocab(const char *path, int bos_id, int eos_id, struct tokenizer **ret_tokenizer,
                         struct err *err);
/* From a GGUF's key-values: tokenizer.ggml.model "gpt2", with most of llama.cpp's
 * tokenizer.ggml.pre, or "llama". */
int tokenizer_from_gguf(const struct tensorfile *file, struct tokenizer **ret_tokenizer,
                        struct err *err);
void tokenizer_free(struct tokenizer *t); /* NULL-safe */

/* Appends the ids of text (len bytes, may hold NUL; invalid UTF-8 is refused). No BOS or EOS is
 * added. A byte that the vocabulary cannot spell is left out, as HF's does. A text that the model's
 * pattern, normalizer or added tokens make take longer than a watch allows is refused
 * (ERR_UNSUPPORTED). Safe from several threads on one tokenizer. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t len,
                     struct token_list *out, struct err *err);
/* The same, but special tokens in the text are text like any other. */
int tokenizer_encode_raw(const struct tokenizer *t, const char *text, size_t len,
                         struct token_list *out, struct err *err);
/* Parts of a text that are not empty and do not overlap, in order: part i is bytes [at[2 i],
 * at[2 i + 1]). Its tokens are tokens[2 i] to tokens[2 i + 1], all that share a character with it.
 */
struct token_marks {
    const size_t *at; /* (n) */
    int *tokens;      /* (n), set; both of them the number of tokens where the part has none */
    int n;            /* even */
};
int tokenizer_encode_marked(const struct tokenizer *t, const char *text, size_t len,
                            const struct token_marks *marks, struct token_list *out,
                            struct err *err);
/* Appends the bytes of the ids; special tokens appear as their text unless skip_special. An id that
 * no token has is refused. */
int tokenizer_decode(const struct tokenizer *t, const int32_t *ids, int n, bool skip_special,
                     struct buf *out, struct err *err);
/* The id of an exact token (a special one or a vocabulary entry), or -1. */
int tokenizer_id(const struct tokenizer *t, const char *token);
/* The end token, with which every trained completion ends. -1: none. */
int tokenizer_eos(const struct tokenizer *t);
/* Whether the token ends a generated text: the end token does, and whatever else the model's
 * generation_config.json or GGUF names. */
bool tokenizer_is_end(const struct tokenizer *t, int32_t id);
/* Appends all of them, each once, the end token first. */
int tokenizer_ends(const struct tokenizer *t, struct token_list *out, struct err *err);
int tokenizer_bos(const struct tokenizer *t);
/* The id of a special token by transformers' name for it, "pad_token"; -1: none. */
int tokenizer_named(const struct tokenizer *t, const char *name);
/* Whether the model expects its begin token in front of every text: then tokenizer_bos() is not -1.
 */
bool tokenizer_adds_bos(const struct tokenizer *t);
/* The token that the model expects behind every text, or -1. Training does not put it. */
int tokenizer_behind(const struct tokenizer *t);
int tokenizer_vocab(const struct tokenizer *t); /* the largest id + 1 */
/* Whether the token is one of those that are looked for in a text before it is cut. */
bool tokenizer_is_added(const struct tokenizer *t, int32_t id);
/* The chat templates and the special tokens that came with the model. */
const struct chat_source *tokenizer_chat(const struct tokenizer *t);
