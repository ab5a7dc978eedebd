/* core/model/model.h - what a model is (its description) and where its weights lie.
 *
 * A model is a folder (config.json, *.safetensors, optionally tokenizer.json) or one GGUF file.
 * Either way weights have HF's names and HF's row order: a Llama GGUF's permuted q and k rows are
 * put back.
 */
#pragma once
#include "core/err.h"
#include "core/model/module_kind.h"
#include "core/problems.h"
#include <stdbool.h>
#include <stdint.h>

struct model_config {
    char architecture[64]; /* "LlamaForCausalLM" */
    int n_layers;
    int hidden;       /* C, width of the residual stream */
    int n_heads;      /* H */
    int n_kv_heads;   /* G: H / G query heads share a key and a value head */
    int head_dim;     /* D; H * D need not equal C */
    int intermediate; /* F, width of the MLP */
    int vocab;        /* V */
    int max_positions;
    double rms_eps;
    double rope_theta;
    /* Llama 3's frequency scaling ("rope_type": "llama3"); factor 0: none. */
    double rope_factor, rope_low_freq, rope_high_freq, rope_original_positions;
    bool tied;          /* lm_head is the embedding */
    int bos_id, eos_id; /* -1: none */
};

struct model;

/* Opens and checks the description and that every weight is there, with its right shape. All that
 * is wrong is added to problems; ERR_INVALID then. On success the caller owns *ret_model. */
int model_open(const char *path, struct model **ret_model, struct problems *problems,
               struct err *err);
void model_close(struct model *model); /* NULL-safe */
const struct model_config *model_config(const struct model *model);
const char *model_path(const struct model *model);

/* Shape of a linear map: (rows = outputs, columns = inputs). */
void model_module_shape(const struct model_config *c, enum module_kind kind, int *ret_rows,
                        int *ret_columns);

/* Each writes one weight as f32, row-major, in HF order, to memory of the caller. */
int model_read_module(const struct model *model, int layer, enum module_kind kind, float *out,
                      struct err *err); /* (rows, columns) of model_module_shape() */
int model_read_norms(const struct model *model, int layer, float *attention, float *mlp,
                     struct err *err);                                            /* (C) each */
int model_read_embedding(const struct model *model, float *out, struct err *err); /* (V, C) */
int model_read_head(const struct model *model, float *out,
                    struct err *err); /* (V, C); the embedding if tied */
int model_read_final_norm(const struct model *model, float *out, struct err *err); /* (C) */

/* Opens the tokenizer that belongs to the model: in the GGUF, or tokenizer.json in the folder.
 * *ret_tokenizer is NULL (and 0 is returned) where the model has none. */
struct tokenizer;
int model_open_tokenizer(const struct model *model, struct tokenizer **ret_tokenizer,
                         struct err *err);
