/* core/text/tokenizer_write.h - a tokenizer as key-values of a GGUF: the inverse of
 * tokenizer_from_gguf(), in the words of llama.cpp's converter.
 *
 * A byte-level BPE becomes "gpt2" with the name of its pre-tokenizer (gguf_pre.h); SentencePiece's
 * BPE, and a BPE over characters that was made of one, become "llama", with scores of pieces.
 */
#pragma once
#include "core/problems.h"
#include "core/tensor/gguf_write.h"
#include "core/text/tokenizer.h"

struct tokenizer_writing {
    const struct tokenizer *tokenizer;
    const char *from;          /* a name for messages */
    int n_tokens;              /* of the model; in a GGUF ids without a token get unused ones */
    int n_positions;           /* of the model, for a folder */
    const char *chat_template; /* in place of the tokenizer's default one; or NULL */
};

/* What the tokenizer does with a text and the keys cannot say is added to problems, all of it at
 * once; what llama.cpp does otherwise is appended to notices, a sentence a line. Fails for lack of
 * memory alone. */
int tokenizer_write_gguf(const struct tokenizer_writing *w, struct gguf_out *o, struct buf *notices,
                         struct problems *problems, struct err *err);

/* Whether its added tokens take the white space behind them as those of Phi 3 do, which a GGUF says
 * by its name. */
bool tokenizer_strips_as_phi3(const struct tokenizer *t);
