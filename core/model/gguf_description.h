/* core/model/gguf_description.h - the description of a folder's model in the words of a GGUF: the
 * inverse of model_describe_gguf(), by which it is checked.
 */
#pragma once
#include "core/model/model_impl.h"
#include "core/tensor/gguf_write.h"

/* A tensor that holds no weights: divisors of rope's frequencies. */
struct gguf_divisors {
    const char *name;
    int n;
    float values[ROPE_PAIRS_MAX];
};
enum { GGUF_DIVISORS_MAX = 2 };

/* Those that the model's GGUF needs; returns how many. */
int model_gguf_divisors(const struct model *m, struct gguf_divisors ret[GGUF_DIVISORS_MAX]);

/* Whether layers have a sliding window that the file cannot say, so that its context_length is no
 * more than the window, within which that changes nothing. */
bool model_gguf_cuts_context(const struct model *m);

/* Whether output.weight is written: of a tied head, where the family's GGUF must have one. */
bool model_gguf_has_head(const struct model *m);

/* Puts the keys that follow general.architecture. Appends to notices, a sentence a line, what
 * llama.cpp does otherwise. */
void model_put_gguf_description(const struct model *m, struct gguf_out *o, struct buf *notices);

/* Adds to problems what of the model such a file cannot say: the keys are read back, and everything
 * that came out otherwise is named. */
int model_check_gguf_description(const struct model *m, struct problems *problems, struct err *err);
