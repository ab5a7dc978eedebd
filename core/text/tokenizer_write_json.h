/* core/text/tokenizer_write_json.h - a tokenizer of a GGUF as the files of a Hugging Face folder:
 * tokenizer.json and tokenizer_config.json, the inverse of tokenizer_from_folder().
 *
 * A byte-level BPE has the merges of the GGUF and the patterns that its pre-tokenizer's name stands
 * for (gguf_pre.h). SentencePiece's BPE becomes a BPE over characters, with a list of merges in
 * place of scores, as transformers converts it. The class is PreTrainedTokenizerFast, which does
 * what tokenizer.json says; those of families have steps of their own.
 */
#pragma once
#include "core/text/tokenizer_write.h"

/* What the tokenizer does with a text and the files cannot say is added to problems, all of it at
 * once; what transformers does otherwise is appended to notices, a sentence a line. Fails for lack
 * of memory alone. */
int tokenizer_write_json(const struct tokenizer_writing *w, struct buf *ret_json,
                         struct buf *ret_config, struct buf *notices, struct problems *problems,
                         struct err *err);
