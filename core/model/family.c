/* core/model/family.c - see family.h: the table. What two families have in common is a field,
 * never a comparison of names elsewhere. */
#include "core/model/family.h"
#include <stdio.h>
#include <string.h>

static const struct family families[] = {
    {
        .name = "llama",
        .architecture = "LlamaForCausalLM",
        .gguf = "llama",
        .gguf_form = GGUF_ROPE_FREQS | GGUF_ROPE_FACTORS | GGUF_BIASES,
        .attention_bias = true,
        .mlp_bias = true,
        .activation_key = "hidden_act",
        .interleaved = true,
        .rms_eps = 1e-6,
        .rope_theta = 10000,
    },
    {
        .name = "mistral",
        .architecture = "MistralForCausalLM",
        .activation_key = "hidden_act",
        .window_rule = WINDOW_ALL,
        .window = 4096,
        .interleaved = true,
        .rms_eps = 1e-6,
        .rope_theta = 10000,
    },
    {
        .name = "qwen2",
        .architecture = "Qwen2ForCausalLM",
        .gguf = "qwen2",
        .gguf_form = GGUF_SQUARE,
        .qkv_bias = true,
        .activation_key = "hidden_act",
        .window_rule = WINDOW_FROM,
        .window = 4096,
        .layer_types = true,
        .rms_eps = 1e-6,
        .rope_theta = 10000,
    },
    {
        .name = "qwen3",
        .architecture = "Qwen3ForCausalLM",
        .gguf = "qwen3",
        .attention_bias = true,
        .qk_norm = QK_NORM_HEAD,
        .activation_key = "hidden_act",
        .window_rule = WINDOW_FROM,
        .window = 4096,
        .layer_types = true,
        .head_dim = 128,
        .rms_eps = 1e-6,
        .rope_theta = 10000,
    },
    {
        .name = "gemma2",
        .architecture = "Gemma2ForCausalLM",
        .gguf = "gemma2",
        .gguf_form = GGUF_NO_HEAD,
        .both_norms = true,
        .norm_plus_one = true,
        .attention_bias = true,
        .embedding_root = true,
        .soft_caps = true,
        .activation_key = "hidden_activation",
        .activation = ACTIVATION_GELU_TANH,
        .query_scalar = true,
        .window_rule = WINDOW_PERIODIC,
        .window = 4096,
        .window_period = 2,
        .layer_types = true,
        .tied = true,
        .n_heads = 8,
        .n_kv_heads = 4,
        .head_dim = 256,
        .vocab = 256000,
        .max_positions = 8192,
        .rms_eps = 1e-6,
        .rope_theta = 10000,
    },
    {
        .name = "gemma3_text",
        .architecture = "Gemma3ForCausalLM",
        .gguf = "gemma3",
        .both_norms = true,
        .norm_plus_one = true,
        .qk_norm = QK_NORM_HEAD,
        .attention_bias = true,
        .embedding_root = true,
        .soft_caps = true,
        .activation_key = "hidden_activation",
        .activation = ACTIVATION_GELU_TANH,
        .query_scalar = true,
        .local_rope = true,
        .window_rule = WINDOW_PERIODIC,
        .window = 4096,
        .window_period = 6,
        .layer_types = true,
        .tied = true,
        .n_heads = 8,
        .n_kv_heads = 4,
        .head_dim = 256,
        .vocab = 262208,
        .max_positions = 131072,
        .rms_eps = 1e-6,
        .rope_theta = 1000000,
    },
    {
        .name = "phi3",
        .architecture = "Phi3ForCausalLM",
        .gguf = "phi3",
        .gguf_form = GGUF_ROPE_FACTORS | GGUF_SQUARE,
        .fused = true,
        .activation_key = "hidden_act",
        .partial_rope = true,
        .window_rule = WINDOW_ALL,
        .original_positions = 4096,
        .rms_eps = 1e-5,
        .rope_theta = 10000,
    },
    {
        .name = "olmo2",
        .architecture = "Olmo2ForCausalLM",
        .gguf = "olmo2",
        .gguf_form = GGUF_SQUARE | GGUF_HEAD,
        .post_norm_only = true,
        .qk_norm = QK_NORM_WHOLE,
        .attention_bias = true,
        .activation_key = "hidden_act",
        .rms_eps = 1e-5,
        .rope_theta = 10000,
    },
    {
        .name = "smollm3",
        .architecture = "SmolLM3ForCausalLM",
        .gguf = "smollm3",
        .attention_bias = true,
        .mlp_bias = true,
        .activation_key = "hidden_act",
        .unrotated_layers = true,
        .window_rule = WINDOW_UNROTATED,
        .layer_types = true,
        .interleaved = true,
        .tied = true,
        .rms_eps = 1e-6,
        .rope_theta = 2000000,
    },
    {
        .name = "granite",
        .architecture = "GraniteForCausalLM",
        .gguf = "granite",
        .gguf_form = GGUF_ROPE_FREQS | GGUF_ROPE_FACTORS | GGUF_BIASES,
        .attention_bias = true,
        .mlp_bias = true,
        .multipliers = true,
        .activation_key = "hidden_act",
        .interleaved = true,
        .rms_eps = 1e-6,
        .rope_theta = 10000,
    },
};

enum { FAMILIES = sizeof(families) / sizeof(families[0]) };

static bool is_same(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0;
}

const struct family *family_by_name(const char *model_type)
{
    for (int i = 0; i < FAMILIES; i++)
        if (is_same(families[i].name, model_type))
            return &families[i];
    return NULL;
}

const struct family *family_by_architecture(const char *architecture)
{
    for (int i = 0; i < FAMILIES; i++)
        if (is_same(families[i].architecture, architecture))
            return &families[i];
    return NULL;
}

const struct family *family_by_gguf(const char *architecture)
{
    for (int i = 0; i < FAMILIES; i++)
        if (is_same(families[i].gguf, architecture))
            return &families[i];
    return NULL;
}

const struct family *family_in_gguf(const struct family *f)
{
    return f->gguf ? f : family_by_gguf("llama");
}

void family_names(bool gguf, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; i < FAMILIES && used < size; i++) {
        const char *name = gguf ? families[i].gguf : families[i].name;
        if (name)
            used += (size_t)snprintf(text + used, size - used, "%s%s", used ? ", " : "", name);
    }
}
