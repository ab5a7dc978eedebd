/* core/text/merge_scores.h - scores of pieces in place of a list of merges: SentencePiece's BPE
 * (pieces.h) merges whatever makes a piece, the highest score first, where a list names each pair.
 * They do the same if the merges that make one token stand together in the list, and if every pair
 * that makes a token is in it.
 */
#pragma once
#include "core/text/tokenizer_impl.h"

/* Sets by id (t->vocab.n) the scores, 0, -1, -2 ... in the order of the list and the least for what
 * no merge makes, and whether a merge makes the token. ERR_UNSUPPORTED, with the tokens, where no
 * scores do what the list does. */
int merge_scores(const struct tokenizer *t, float *scores, bool *made, struct err *err);
