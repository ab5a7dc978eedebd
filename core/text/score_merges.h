/* core/text/score_merges.h - a list of merges in place of scores of pieces, the inverse of
 * merge_scores.h: each pair of parts that makes a piece is a merge of it, the highest score first,
 * and of one score the longest left part, as in transformers' convert_slow_tokenizer.py.
 */
#pragma once
#include "core/text/tokenizer_impl.h"

struct score_merge {
    int left, right; /* ids of the parts */
    int id;          /* of what they make */
    uint32_t rank;   /* of its score */
    uint32_t left_len, right_len;
};

/* The list, which the caller frees, and by id (t->vocab.n) whether a merge makes the token. t is of
 * TOKENIZER_PIECES, and no piece is longer than the square of it may take in time. ERR_UNSUPPORTED,
 * with the pieces, where no list does what the scores do. */
int score_merges(const struct tokenizer *t, struct score_merge **ret, size_t *ret_n, bool *made,
                 struct err *err);
