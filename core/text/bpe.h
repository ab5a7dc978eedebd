/* core/text/bpe.h - merging the bytes of one piece of text to tokens (Sennrich et al. 2016), O(n
 * log n).
 */
#pragma once
#include "core/text/token_list.h"
#include "core/text/vocab.h"

/* Memory that calls reuse: zero-initialise, one a thread, free with bpe_scratch_free(). */
struct bpe_scratch {
    struct bpe_symbol *symbols;
    uint64_t *heap;
    int cap; /* symbols; the heap has three times as many */
};

void bpe_scratch_free(struct bpe_scratch *s);

/* Appends the ids of the piece. A byte that no token stands for is left out before anything is
 * merged, as HF's tokenizers does where no unknown token is set. */
int bpe_encode(const struct vocab *v, struct bpe_scratch *s, const char *piece, size_t len,
               struct token_list *out, struct err *err);
