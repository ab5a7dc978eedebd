/* core/text/gguf_pre.h - the pre-tokenizers that a GGUF only names (tokenizer.ggml.pre).
 */
#pragma once
#include "core/err.h"
#include "core/text/normalizer.h"
#include "core/text/pretokenizer.h"
#include <stdbool.h>

struct gguf_pre {
    const char *name;
    const char *const *patterns; /* of steps, ended by NULL */
    bool ignore_merges;          /* a piece that is a token is not taken apart */
    bool adds_bos;               /* unless the file says otherwise */
    bool nfc;                    /* the text is brought to this form first */
};

/* NULL, where the file names none: what llama.cpp does then. Not found: NULL. */
const struct gguf_pre *gguf_pre_find(const char *name);
/* The one that does what these steps do; NULL: none. Of several names it is one of those that
 * llama.cpp gives the model's own patterns. */
const struct gguf_pre *gguf_pre_of(const struct normalizer *normalizer,
                                   const struct pretokenizer *pretokenizer, bool ignore_merges);
int gguf_pre_add(const struct gguf_pre *pre, struct normalizer *normalizer,
                 struct pretokenizer *pretokenizer, struct err *err);
