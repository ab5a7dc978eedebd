/* core/text/tokenizer.h - byte-level BPE: text to token ids and back.
 *
 * Text is cut at special tokens (longest first), each rest is cut by the model's pre-tokenizer
 * (PCRE2), its bytes are mapped to the printable alphabet of GPT-2, and merges are applied lowest
 * rank first (ties to the left). Ids are exactly those of the HF tokenizers library.
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

/* From tokenizer.json: model BPE; pre_tokenizer ByteLevel, Split, Digits or a Sequence of them.
 * eos_id and bos_id come from the model's description (-1: none); a tokenizer_config.json beside
 * the file overrides them, as it does in transformers, and has the chat template
 * (chat_template.jinja has it too). What it cannot do is refused by name (ERR_UNSUPPORTED). */
int tokenizer_from_json(const char *path, int bos_id, int eos_id, struct tokenizer **ret_tokenizer,
                        struct err *err);
/* From a GGUF's key-values: tokenizer.ggml.model "gpt2"; tokenizer.ggml.pre smollm, llama-bpe,
 * qwen2 or gpt-2 (and their aliases in llama.cpp). */
int tokenizer_from_gguf(const struct tensorfile *file, struct tokenizer **ret_tokenizer,
                        struct err *err);
void tokenizer_free(struct tokenizer *t); /* NULL-safe */

/* Appends the ids of text (len bytes, may hold NUL; invalid UTF-8 is refused). No BOS or EOS is
 * added. A byte that the vocabulary cannot spell is left out, as HF's does. A text that the model's
 * pattern or added tokens make take longer than pretokenizer_split() allows is refused
 * (ERR_UNSUPPORTED). Safe from several threads on one tokenizer. */
int tokenizer_encode(const struct tokenizer *t, const char *text, size_t len,
                     struct token_list *out, struct err *err);
/* Appends the bytes of the ids; special tokens appear as their text unless skip_special. An id that
 * no token has is refused. */
int tokenizer_decode(const struct tokenizer *t, const int32_t *ids, int n, bool skip_special,
                     struct buf *out, struct err *err);
/* The id of an exact token (a special one or a vocabulary entry), or -1. */
int tokenizer_id(const struct tokenizer *t, const char *token);
int tokenizer_eos(const struct tokenizer *t); /* -1: none */
int tokenizer_bos(const struct tokenizer *t);
/* Whether the model expects its begin token in front of every text: then tokenizer_bos() is not -1.
 */
bool tokenizer_adds_bos(const struct tokenizer *t);
int tokenizer_vocab(const struct tokenizer *t); /* the largest id + 1 */
/* The chat template's text that came with the model, or NULL: only looked at to choose a template,
 * never run. */
const char *tokenizer_chat_template(const struct tokenizer *t);
