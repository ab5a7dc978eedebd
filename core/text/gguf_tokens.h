/* core/text/gguf_tokens.h - what is known of the tokens of a GGUF beside their texts: for the files
 * that read them and write them.
 */
#pragma once
#include <stdbool.h>

/* tokenizer.ggml.token_type */
enum gguf_token {
    GGUF_NORMAL = 1,
    GGUF_UNKNOWN = 2,
    GGUF_CONTROL = 3,
    GGUF_USER_DEFINED = 4,
    GGUF_UNUSED = 5,
    GGUF_BYTE = 6
};

/* llama.cpp knows by the model's name (general.name) that Phi 3's added tokens take the white space
 * behind them, but for some; a GGUF has no other words for it. */
bool gguf_names_phi3(const char *name);
bool gguf_phi3_strips(const char *token);

/* Whether llama.cpp ends a generated text at an added token of this name. */
bool gguf_names_end(const char *token);
