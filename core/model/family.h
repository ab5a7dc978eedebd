/* core/model/family.h - the families of models, a row each: how a family's description and tensors
 * are read, and what it computes where its description does not say. CONTRIBUTING.md has a page on
 * adding one. The facts are those of transformers (models/NAME/configuration_NAME.py) and of
 * llama.cpp (conversion, src/llama-model.cpp).
 */
#pragma once
#include "core/model/architecture.h"

/* Which layers have a sliding window. */
enum window_rule {
    WINDOW_NONE,
    WINDOW_ALL,       /* if sliding_window is set */
    WINDOW_FROM,      /* if use_sliding_window: layers from max_window_layers on */
    WINDOW_PERIODIC,  /* all but each window_period-th */
    WINDOW_UNROTATED, /* if use_sliding_window: layers without rope */
};

/* What llama.cpp loads of a family beside the weights that all have (src/models/NAME.cpp): it
 * refuses a file with a tensor that it does not ask for. */
enum gguf_form {
    GGUF_ROPE_FREQS = 1,   /* the tensor of divisors rope_freqs.weight */
    GGUF_ROPE_FACTORS = 2, /* rope_factors_long.weight and rope_factors_short.weight */
    GGUF_BIASES = 4,       /* of maps other than q, k and v */
    GGUF_SQUARE = 8,       /* heads are as wide together as the residual stream, and only then */
    GGUF_HEAD = 16,        /* output.weight must be there */
    GGUF_NO_HEAD = 32,     /* it must not */
};

struct family {
    const char *name;         /* model_type */
    const char *architecture; /* the class that is trained */
    const char *gguf;         /* general.architecture; NULL: that of Llama is used */
    unsigned gguf_form;       /* enum gguf_form, of a family that has a name there */

    bool post_norm_only, both_norms;
    bool norm_plus_one; /* a folder's norm weights are w - 1 */
    enum qk_norm qk_norm;
    bool fused;
    bool qkv_bias;       /* always */
    bool attention_bias; /* the key attention_bias counts: q, k, v and o */
    bool mlp_bias;       /* the key mlp_bias counts */
    bool embedding_root; /* embedding_scale is sqrt(hidden) */
    bool multipliers;    /* Granite's four */
    bool soft_caps;
    const char *activation_key;
    enum activation activation; /* where the key is absent */
    bool query_scalar;          /* attention_scale is query_pre_attn_scalar^-1/2 */
    bool local_rope;            /* layers with a window have angles of their own */
    bool partial_rope;          /* partial_rotary_factor counts */
    bool unrotated_layers;      /* no_rope_layers counts */
    enum window_rule window_rule;
    int window, window_period; /* where the description does not say; 0: none */
    bool layer_types;          /* the key layer_types counts */
    bool interleaved;          /* a GGUF's q and k rows: see model.c */
    bool tied;                 /* where the description does not say */

    /* Where the description does not say; 0: it must. */
    int n_heads, n_kv_heads, head_dim, vocab, max_positions;
    double rms_eps, rope_theta;
    int original_positions; /* of a rope scaling, in place of what the scaling says */
};

/* NULL for a family that is not known. */
const struct family *family_by_name(const char *model_type);
const struct family *family_by_architecture(const char *architecture);
const struct family *family_by_gguf(const char *architecture);
/* The family as which a GGUF holds it: Mistral is one of Llama there. */
const struct family *family_in_gguf(const struct family *f);
/* "llama, mistral, ...": all of them, by model_type or by their name in a GGUF. */
void family_names(bool gguf, char *text, size_t size);
