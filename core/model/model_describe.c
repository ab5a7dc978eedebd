/* core/model/model_describe.c - a model's description: config.json or a GGUF's keys, checked value
 * by value.
 *
 * A setting that would change the computation and that we do not compute is refused by name; a
 * setting that does not (dropout, initialiser, cache) is not looked at. Defaults are those of
 * transformers' LlamaConfig; what every real config.json states must be stated.
 */
#include "core/json_file.h"
#include "core/model/model_impl.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 16 << 20 };
enum { SIZE_MAX_SANE = 1 << 24, LAYERS_MAX = 4096, HEADS_MAX = 4096 };

struct description { /* what is being read, and where problems go */
    const char *file;
    struct problems *problems;
    const json_t *root; /* config.json */
    const struct tensorfile *gguf;
};

static bool is_set(const json_t *value)
{
    return value && !json_is_null(value);
}

static int json_int(const struct description *d, const char *key, int most)
{
    const json_t *value = json_object_get(d->root, key);
    json_int_t v = json_integer_value(value);

    if (!is_set(value))
        problems_add(d->problems, d->file, 0, "the key %s is missing", key);
    else if (!json_is_integer(value) || v < 1 || v > most)
        problems_add(d->problems, d->file, 0, "%s must be an integer from 1 to %d", key, most);
    else
        return (int)v;
    return 0;
}

static int json_int_or(const struct description *d, const char *key, int most, int fallback)
{
    return is_set(json_object_get(d->root, key)) ? json_int(d, key, most) : fallback;
}

static double json_positive(const struct description *d, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    double v = json_number_value(value);

    if (!is_set(value))
        problems_add(d->problems, d->file, 0, "the key %s is missing", key);
    else if (!json_is_number(value) || !(v > 0))
        problems_add(d->problems, d->file, 0, "%s must be a number above 0", key);
    return v;
}

static void refuse_true(const struct description *d, const char *key)
{
    if (json_is_true(json_object_get(d->root, key)))
        problems_add(d->problems, d->file, 0, "%s: true is not supported", key);
}

/* The id, the first of a list, or -1. */
static int json_token_id(const struct description *d, const char *key)
{
    const json_t *value = json_object_get(d->root, key);

    if (json_is_array(value))
        value = json_array_get(value, 0);
    if (!is_set(value))
        return -1;
    if (!json_is_integer(value) || json_integer_value(value) < 0 ||
        json_integer_value(value) > SIZE_MAX_SANE) {
        problems_add(d->problems, d->file, 0, "%s is not a token id", key);
        return -1;
    }
    return (int)json_integer_value(value);
}

static void json_architecture(const struct description *d, struct model_config *c)
{
    const json_t *list = json_object_get(d->root, "architectures");
    const char *name = json_string_value(json_array_get(list, 0));
    const json_t *window = json_object_get(d->root, "sliding_window");

    if (!name) {
        problems_add(d->problems, d->file, 0,
                     "the key architectures is missing: LlamaForCausalLM and MistralForCausalLM "
                     "are supported");
        return;
    }
    snprintf(c->architecture, sizeof(c->architecture), "%s", name);
    if (strcmp(name, "LlamaForCausalLM") == 0)
        return;
    if (strcmp(name, "MistralForCausalLM") != 0)
        problems_add(d->problems, d->file, 0,
                     "the architecture %.60s is not supported: LlamaForCausalLM and "
                     "MistralForCausalLM are",
                     name);
    else if (!window)
        problems_add(d->problems, d->file, 0,
                     "sliding_window is not given, which means 4096 for MistralForCausalLM: a "
                     "sliding window is not supported");
    else if (is_set(window))
        problems_add(d->problems, d->file, 0, "a sliding window (sliding_window) is not supported");
}

static void json_llama3(const struct description *d, const json_t *rope, struct model_config *c)
{
    c->rope_factor = json_positive(d, rope, "factor");
    c->rope_low_freq = json_positive(d, rope, "low_freq_factor");
    c->rope_high_freq = json_positive(d, rope, "high_freq_factor");
    c->rope_original_positions = json_positive(d, rope, "original_max_position_embeddings");
    if (c->rope_low_freq > 0 && c->rope_high_freq > 0 && c->rope_low_freq >= c->rope_high_freq)
        problems_add(d->problems, d->file, 0, "low_freq_factor must be less than high_freq_factor");
}

/* rope_theta and rope_scaling {rope_type or type, ...}, or, since transformers 5, rope_parameters
 * that hold both. */
static void json_rope(const struct description *d, struct model_config *c)
{
    const json_t *newer = json_object_get(d->root, "rope_parameters");
    const json_t *rope = is_set(newer) ? newer : json_object_get(d->root, "rope_scaling");
    const char *type = json_string_value(json_object_get(rope, "rope_type"));
    const json_t *partial = json_object_get(d->root, "partial_rotary_factor");

    if (!type)
        type = json_string_value(json_object_get(rope, "type"));
    c->rope_theta = 10000;
    if (is_set(json_object_get(newer, "rope_theta")))
        c->rope_theta = json_positive(d, newer, "rope_theta");
    else if (is_set(json_object_get(d->root, "rope_theta")))
        c->rope_theta = json_positive(d, d->root, "rope_theta");
    if (!is_set(partial))
        partial = json_object_get(newer, "partial_rotary_factor");
    if (is_set(partial) && json_number_value(partial) != 1)
        problems_add(d->problems, d->file, 0,
                     "partial_rotary_factor other than 1 is not supported");
    if (is_set(rope) && (!json_is_object(rope) || (!type && rope != newer)))
        problems_add(d->problems, d->file, 0, "the rope scaling has no rope_type");
    else if (type && strcmp(type, "llama3") == 0)
        json_llama3(d, rope, c);
    else if (type && strcmp(type, "default") != 0 && strcmp(type, "none") != 0)
        problems_add(d->problems, d->file, 0,
                     "rope scaling '%.60s' is not supported: default and llama3 are", type);
}

static void json_refusals(const struct description *d)
{
    const char *act = json_string_value(json_object_get(d->root, "hidden_act"));
    const json_t *quantized = json_object_get(d->root, "quantization_config");
    const char *method = json_string_value(json_object_get(quantized, "quant_method"));

    refuse_true(d, "attention_bias");
    refuse_true(d, "mlp_bias");
    if (act && strcmp(act, "silu") != 0 && strcmp(act, "swish") != 0)
        problems_add(d->problems, d->file, 0, "hidden_act '%.60s' is not supported: silu is", act);
    if (is_set(quantized))
        problems_add(d->problems, d->file, 0,
                     "the checkpoint is quantised (%.60s), which is not supported: take the "
                     "original, or a GGUF",
                     method ? method : "quantization_config");
}

/* Relations between the sizes; sizes that are missing are 0 and were reported. */
static void check_sizes(const struct description *d, const struct model_config *c)
{
    if (c->n_heads && c->n_kv_heads && c->n_heads % c->n_kv_heads)
        problems_add(d->problems, d->file, 0,
                     "%d attention heads cannot share %d key-value heads evenly", c->n_heads,
                     c->n_kv_heads);
    if (c->head_dim % 2)
        problems_add(d->problems, d->file, 0, "the head size %d is odd: rope turns pairs",
                     c->head_dim);
    if ((int64_t)c->head_dim * c->n_heads > SIZE_MAX_SANE)
        problems_add(d->problems, d->file, 0, "%d heads of size %d are too many", c->n_heads,
                     c->head_dim);
    if (c->bos_id >= c->vocab || c->eos_id >= c->vocab)
        if (c->vocab)
            problems_add(d->problems, d->file, 0,
                         "the begin or end token's id (%d, %d) is outside the vocabulary of %d",
                         c->bos_id, c->eos_id, c->vocab);
}

static int head_size(const struct description *d, int hidden, int n_heads)
{
    if (!hidden || !n_heads)
        return 0;
    if (hidden % n_heads)
        problems_add(d->problems, d->file, 0,
                     "the width %d is not a multiple of the %d heads, and no head size is given",
                     hidden, n_heads);
    return hidden / n_heads;
}

static void describe_json(const struct description *d, struct model_config *c)
{
    json_architecture(d, c);
    json_refusals(d);
    c->n_layers = json_int(d, "num_hidden_layers", LAYERS_MAX);
    c->hidden = json_int(d, "hidden_size", SIZE_MAX_SANE);
    c->intermediate = json_int(d, "intermediate_size", SIZE_MAX_SANE);
    c->n_heads = json_int(d, "num_attention_heads", HEADS_MAX);
    c->n_kv_heads = json_int_or(d, "num_key_value_heads", HEADS_MAX, c->n_heads);
    c->vocab = json_int(d, "vocab_size", SIZE_MAX_SANE);
    c->max_positions = json_int(d, "max_position_embeddings", INT32_MAX);
    c->rms_eps = json_positive(d, d->root, "rms_norm_eps");
    c->tied = json_is_true(json_object_get(d->root, "tie_word_embeddings"));
    c->bos_id = json_token_id(d, "bos_token_id");
    c->eos_id = json_token_id(d, "eos_token_id");
    if (is_set(json_object_get(d->root, "head_dim")))
        c->head_dim = json_int(d, "head_dim", SIZE_MAX_SANE);
    else
        c->head_dim = head_size(d, c->hidden, c->n_heads);
    json_rope(d, c);
    check_sizes(d, c);
}

int model_describe_json(const char *path, struct model_config *ret_config,
                        struct problems *problems, struct err *err)
{
    struct description d = {.file = path, .problems = problems};
    struct model_config c = {0};
    int before = problems->n + problems->dropped;
    struct err failed;
    json_t *root = NULL;
    int line, rc = json_file_read_object(path, FILE_BYTES_MAX, &root, &line, &failed);

    if (rc < 0)
        problems_add(problems, line > 0 ? path : NULL, line, "%s%s",
                     line > 0 ? "is not a JSON object: " : "", failed.text);
    d.root = root;
    if (root)
        describe_json(&d, &c);
    json_decref(root);
    if (problems->n + problems->dropped > before)
        return err_set(err, rc == ERR_NOMEM ? rc : ERR_INVALID, "%s: the model cannot be used",
                       path);
    *ret_config = c;
    return 0;
}

static int gguf_int_or(const struct description *d, const char *key, int most, int fallback)
{
    double v;

    if (!tensorfile_kv_number(d->gguf, key, &v))
        return fallback;
    if (v >= 1 && v <= most && v == floor(v))
        return (int)v;
    problems_add(d->problems, d->file, 0, "%s must be an integer from 1 to %d", key, most);
    return 0;
}

static int gguf_int(const struct description *d, const char *key, int most)
{
    double v;

    if (!tensorfile_kv_number(d->gguf, key, &v)) {
        problems_add(d->problems, d->file, 0, "the key %s is missing", key);
        return 0;
    }
    return gguf_int_or(d, key, most, 0);
}

static double gguf_positive_or(const struct description *d, const char *key, double fallback)
{
    double v = fallback;

    tensorfile_kv_number(d->gguf, key, &v);
    if (!(v > 0) || isinf(v))
        problems_add(d->problems, d->file, 0, "the key %s must be there, a number above 0", key);
    return v;
}

static int gguf_token_id(const struct description *d, const char *key)
{
    double v;

    if (!tensorfile_kv_number(d->gguf, key, &v))
        return -1;
    if (v >= 0 && v <= SIZE_MAX_SANE)
        return (int)v;
    problems_add(d->problems, d->file, 0, "%s is not a token id", key);
    return -1;
}

static void gguf_refusals(const struct description *d, const struct model_config *c)
{
    const char *scaling = tensorfile_kv_string(d->gguf, "llama.rope.scaling.type");
    double v;

    if (scaling && strcmp(scaling, "none") != 0)
        problems_add(d->problems, d->file, 0, "rope scaling '%.60s' is not supported in a GGUF",
                     scaling);
    if (tensorfile_kv_number(d->gguf, "llama.rope.scale_linear", &v) && v != 1)
        problems_add(d->problems, d->file, 0, "linear rope scaling is not supported");
    if (tensorfile_kv_number(d->gguf, "llama.expert_count", &v) && v > 0)
        problems_add(d->problems, d->file, 0, "a mixture of %g experts is not supported", v);
    if (tensorfile_kv_number(d->gguf, "llama.attention.sliding_window", &v) && v > 0)
        problems_add(d->problems, d->file, 0, "a sliding window is not supported");
    if (tensorfile_kv_array(d->gguf, "llama.attention.head_count_kv") ||
        tensorfile_kv_array(d->gguf, "llama.attention.head_count") ||
        tensorfile_kv_array(d->gguf, "llama.feed_forward_length"))
        problems_add(d->problems, d->file, 0, "layers of different sizes are not supported");
    if (c->head_dim &&
        (gguf_int_or(d, "llama.rope.dimension_count", SIZE_MAX_SANE, c->head_dim) != c->head_dim ||
         gguf_int_or(d, "llama.attention.value_length", SIZE_MAX_SANE, c->head_dim) != c->head_dim))
        problems_add(d->problems, d->file, 0,
                     "rope.dimension_count or attention.value_length differs from the head size "
                     "%d, which is not supported",
                     c->head_dim);
}

/* The vocabulary's size is in a key of its own, or that of the token list, or the embedding's. */
static int gguf_vocab(const struct description *d)
{
    const struct gguf_array *tokens = tensorfile_kv_array(d->gguf, "tokenizer.ggml.tokens");
    const struct tensor *embedding = tensorfile_find(d->gguf, "token_embd.weight");
    int vocab = gguf_int_or(d, "llama.vocab_size", SIZE_MAX_SANE, -1);

    if (vocab >= 0)
        return vocab;
    if (tokens && tokens->n >= 1 && tokens->n <= SIZE_MAX_SANE)
        return (int)tokens->n;
    if (embedding && embedding->n_dims == 2 && embedding->shape[0] <= SIZE_MAX_SANE)
        return (int)embedding->shape[0];
    problems_add(d->problems, d->file, 0, "nothing says how large the vocabulary is");
    return 0;
}

static void describe_gguf(const struct description *d, struct model_config *c)
{
    snprintf(c->architecture, sizeof(c->architecture), "LlamaForCausalLM");
    c->n_layers = gguf_int(d, "llama.block_count", LAYERS_MAX);
    c->hidden = gguf_int(d, "llama.embedding_length", SIZE_MAX_SANE);
    c->intermediate = gguf_int(d, "llama.feed_forward_length", SIZE_MAX_SANE);
    c->n_heads = gguf_int(d, "llama.attention.head_count", HEADS_MAX);
    c->n_kv_heads = gguf_int_or(d, "llama.attention.head_count_kv", HEADS_MAX, c->n_heads);
    c->max_positions = gguf_int(d, "llama.context_length", INT32_MAX);
    c->vocab = gguf_vocab(d);
    c->rms_eps = gguf_positive_or(d, "llama.attention.layer_norm_rms_epsilon", 0);
    c->rope_theta = gguf_positive_or(d, "llama.rope.freq_base", 10000);
    c->bos_id = gguf_token_id(d, "tokenizer.ggml.bos_token_id");
    c->eos_id = gguf_token_id(d, "tokenizer.ggml.eos_token_id");
    c->head_dim = gguf_int_or(d, "llama.attention.key_length", SIZE_MAX_SANE, -1);
    if (c->head_dim < 0)
        c->head_dim = head_size(d, c->hidden, c->n_heads);
    gguf_refusals(d, c);
    check_sizes(d, c);
}

int model_describe_gguf(const struct tensorfile *file, struct model_config *ret_config,
                        struct problems *problems, struct err *err)
{
    struct description d = {.file = tensorfile_path(file), .problems = problems, .gguf = file};
    const char *architecture = tensorfile_kv_string(file, "general.architecture");
    struct model_config c = {0};
    int before = problems->n + problems->dropped;

    if (!architecture || strcmp(architecture, "llama") != 0)
        problems_add(problems, d.file, 0, "the architecture %.60s is not supported: llama is",
                     architecture ? architecture : "(none is named)");
    else
        describe_gguf(&d, &c);
    if (problems->n + problems->dropped > before)
        return err_set(err, ERR_INVALID, "%s: the model cannot be used", d.file);
    *ret_config = c;
    return 0;
}
