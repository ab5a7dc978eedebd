/* core/model/model.h - a model's description (architecture.h) and where its weights lie.
 *
 * A model is a folder (config.json, *.safetensors, optionally tokenizer.json) or one GGUF file.
 * Either way weights have HF's names and HF's row order: a GGUF's permuted q and k rows are put
 * back, and norms are what x is multiplied by.
 */
#pragma once
#include "core/err.h"
#include "core/model/architecture.h"
#include "core/problems.h"
#include "core/tensor/weight.h"
#include <stdbool.h>
#include <stdint.h>

struct model;

/* Opens and checks the description and that every weight is there, with its right shape. All that
 * is wrong is added to problems; ERR_INVALID then. On success the caller owns *ret_model. */
int model_open(const char *path, struct model **ret_model, struct problems *problems,
               struct err *err);
void model_close(struct model *model); /* NULL-safe */
const struct model_config *model_config(const struct model *model);
const char *model_path(const struct model *model);

/* The norms of a layer, named by where they stand. */
enum norm_kind {
    NORM_PRE_ATTENTION,
    NORM_POST_ATTENTION,
    NORM_PRE_MLP,
    NORM_POST_MLP,
    NORM_Q,
    NORM_K,
    NORM_KINDS
};
/* Numbers of its weight; 0: the model has no such norm. */
int model_norm_size(const struct model_config *c, enum norm_kind kind);

/* Each reads a frozen matrix, which the caller closes. ERR_INVALID where a number is not finite. */
int model_read_modules(const struct model *model, int layer, const enum module_kind *kinds, int n,
                       struct weight *ret, struct err *err); /* one below the other */
int model_read_embedding(const struct model *model, struct weight *ret,
                         struct err *err); /* (V, C) */
int model_read_head(const struct model *model, struct weight *ret,
                    struct err *err); /* (V, C); the embedding if tied */

/* Each writes a vector as f32 to memory of the caller. ERR_INVALID where a number is not finite. */
int model_read_bias(const struct model *model, int layer, enum module_kind kind, float *out,
                    struct err *err); /* (rows); of a kind in config.biases */
int model_read_norm(const struct model *model, int layer, enum norm_kind kind, float *out,
                    struct err *err); /* (model_norm_size()): what x is multiplied by */
int model_read_final_norm(const struct model *model, float *out, struct err *err); /* (C) */

/* What the matrices take in memory, in the form of their files: of a layer on average. */
struct model_memory {
    double layer, embedding, head; /* bytes; head: 0 where tied */
};
struct model_memory model_memory(const struct model *model);

/* Names of keys of config.json that nothing reads, "a, b"; NULL if there are none. */
const char *model_unread_keys(const struct model *model);
/* A GGUF of Mistral is one of Llama, and has lost its window: the tokens that it may have been, or
 * 0. */
int model_lost_window(const struct model *model);

/* Opens the tokenizer that belongs to the model: in the GGUF, or in the files of the folder.
 * *ret_tokenizer is NULL (and 0 is returned) where the model has none. */
struct tokenizer;
int model_open_tokenizer(const struct model *model, struct tokenizer **ret_tokenizer,
                         struct err *err);
/* The same for data whose rows may be ids, which need no tokenizer: one that cannot be used is
 * none, and ret_refusal says why; its code is 0 otherwise. */
int model_open_tokenizer_if_usable(const struct model *model, struct tokenizer **ret_tokenizer,
                                   struct err *ret_refusal, struct err *err);
