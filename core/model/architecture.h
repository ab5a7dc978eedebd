/* core/model/architecture.h - what a decoder computes, as numbers: everything by which the families
 * of models differ, filled from config.json (describe_json.c) or a GGUF (describe_gguf.c) and
 * executed by worker/layer.h without asking which family it is.
 *
 *   x = embedding_scale * embedding
 *   for each layer:
 *     x = x + residual_scale * post1(attention(pre1(x)))
 *     x = x + residual_scale * post2(down(activation(gate) * up)),  gate, up of pre2(x)
 *   logits = cap(norm(x) head^T * logit_scale, logit_cap),  cap(s, c) = c tanh(s / c)
 *
 * Every norm is x / sqrt(mean(x^2) + rms_eps) * w; a norm that a family lacks is left out. In
 * attention q and k are normalised (qk_norm), turned (rope), and their product becomes
 * cap(attention_scale * q.k, attention_cap) before the causal softmax.
 */
#pragma once
#include "core/model/module_kind.h"
#include <stdbool.h>
#include <stddef.h>

enum { LAYERS_MAX = 4096, ROPE_PAIRS_MAX = 256 };

enum activation { ACTIVATION_SILU, ACTIVATION_GELU_TANH, ACTIVATION_GELU, ACTIVATIONS };
enum qk_norm {
    QK_NORM_NONE,
    QK_NORM_HEAD,  /* over each head's D numbers; one weight (D) for all heads */
    QK_NORM_WHOLE, /* over all heads' numbers */
};

/* How positions turn the heads of q and k: number i of a head is turned against number i + pairs by
 * position * freq[i]; numbers from 2 * pairs on are not turned. */
struct rope_angles {
    double freq[ROPE_PAIRS_MAX];
    double scale; /* of cos and sin */
};
/* The angles of a layer: ROPE_LOCAL in layers with LAYER_ROPE_LOCAL; else ROPE_LONG for rows of
 * more than rope_long_from tokens, and ROPE_MAIN. */
enum rope_kind { ROPE_MAIN, ROPE_LOCAL, ROPE_LONG, ROPE_KINDS };

/* By which rule its description made the angles of theta, for files that name the rule. */
enum rope_rule { RULE_PLAIN, RULE_LINEAR, RULE_LLAMA3, RULE_YARN, RULE_LONG };
struct rope_form {
    enum rope_rule rule;
    double theta;
    double factor;               /* RULE_LINEAR, RULE_YARN */
    double original;             /* RULE_YARN, RULE_LONG: positions */
    double beta_fast, beta_slow; /* RULE_YARN */
};

enum {                       /* bits of a layer */
       LAYER_WINDOW = 1,     /* token t sees s only where t - s < window */
       LAYER_ROPE = 2,       /* q and k are turned */
       LAYER_ROPE_LOCAL = 4, /* by ROPE_LOCAL */
};

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
    int bos_id, eos_id; /* -1: none */

    bool tied;                 /* lm_head is the embedding */
    bool fused;                /* MODULE_QKV and MODULE_GATE_UP */
    bool biases[MODULE_KINDS]; /* added to the map's output */
    bool pre_norm, post_norm;  /* before attention and MLP; behind them */
    enum qk_norm qk_norm;
    enum activation activation;
    double rms_eps;
    double embedding_scale, attention_scale, residual_scale, logit_scale;
    double attention_cap, logit_cap; /* 0: none */

    int window;                       /* tokens, itself included */
    unsigned char layers[LAYERS_MAX]; /* LAYER_* of each */
    int rope_pairs;
    int rope_long_from; /* 0: ROPE_LONG is not used */
    struct rope_angles rope[ROPE_KINDS];
    struct rope_form rope_form[ROPE_KINDS]; /* not of ROPE_LONG: ROPE_MAIN says it */
};

bool model_has_module(const struct model_config *c, enum module_kind kind);
/* Shape of a linear map: (rows = outputs, columns = inputs). */
void model_module_shape(const struct model_config *c, enum module_kind kind, int *ret_rows,
                        int *ret_columns);
/* Whether a layer has a sliding window. */
bool model_has_windows(const struct model_config *c);
/* "q_proj, k_proj, ...": all that the model has. */
void model_module_names(const struct model_config *c, char *text, size_t size);
