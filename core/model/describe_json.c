/* core/model/describe_json.c - a model's description in config.json, in the form of hub files and
 * in that of transformers 5.
 *
 * The family is that of model_type, as in transformers. A setting that would change the computation
 * and that is not computed here is refused by name; what is not read at all is kept as a list of
 * names, for `plan` to show.
 */
#include "core/json_file.h"
#include "core/model/description.h"
#include "core/model/model_impl.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_BYTES_MAX = 16 << 20, UNREAD_MAX = 400 };

/* Keys that decide nothing that is computed here. */
static const char *const neutral[] = {
    "architectures",
    "model_type",
    "torch_dtype",
    "dtype",
    "transformers_version",
    "initializer_range",
    "use_cache",
    "pad_token_id",
    "pretraining_tp",
    "_name_or_path",
    "name_or_path",
    "cache_implementation",
    "auto_map",
    "unsloth_fixed",
    "unsloth_version",
    "_attn_implementation",
    "_attn_implementation_autoset",
    "attn_implementation",
    "return_dict",
    "output_attentions",
    "output_hidden_states",
    "torchscript",
    "task_specific_params",
    "use_bfloat16",
    "id2label",
    "label2id",
    "problem_type",
    "finetuning_task",
    "tokenizer_class",
    "prefix",
    "chunk_size_feed_forward",
    "is_encoder_decoder",
    "is_decoder",
    "add_cross_attention",
    "tie_encoder_decoder",
    "pruned_heads",
    "max_length",
    "min_length",
    "do_sample",
    "num_beams",
    "temperature",
    "top_k",
    "top_p",
    "rope_interleaved",
    "rms_norm_type",
};

/* The id, the first of a list, or -1. */
static int token_id(const struct description *d, const char *key)
{
    const json_t *value = root_get(d, key);

    if (json_is_array(value))
        value = json_array_get(value, 0);
    if (!json_is_set(value))
        return -1;
    if (json_is_integer(value) && json_integer_value(value) >= 0 &&
        json_integer_value(value) <= SIZE_MAX_SANE)
        return (int)json_integer_value(value);
    description_fault(d, "%s is not a token id", key);
    return -1;
}

/* ---- the family ---- */

static bool is_mixture(const char *type)
{
    return strstr(type, "moe") || strcmp(type, "mixtral") == 0 || strcmp(type, "llama4") == 0 ||
           strcmp(type, "gpt_oss") == 0 || strcmp(type, "deepseek_v3") == 0;
}

static void refuse_family(const struct description *d, const char *type)
{
    char names[200];

    family_names(false, names, sizeof(names));
    if (is_mixture(type))
        description_fault(d, "model_type %.60s is a mixture of experts, which is not supported",
                          type);
    else
        description_fault(d, "model_type %.60s is not supported: %s are", type, names);
}

/* NULL, after a problem, if it is none that is known. A file without model_type is of the family of
 * its class. */
static const struct family *json_family(const struct description *d)
{
    const json_t *list = json_object_get(d->root, "architectures");
    const char *class = json_string_value(json_array_get(list, 0));
    const json_t *type = json_object_get(d->root, "model_type");
    const struct family *f;

    if (json_is_set(type) && !json_is_string(type)) {
        description_fault(d, "model_type must be a string");
        return NULL;
    }
    if (!json_is_string(type) && !class) {
        description_fault(d, "the keys model_type and architectures are missing");
        return NULL;
    }
    f = json_is_string(type) ? family_by_name(json_string_value(type))
                             : family_by_architecture(class);
    if (!f)
        refuse_family(d, json_is_string(type) ? json_string_value(type) : class);
    return f;
}

/* ---- what is refused ---- */

static void refuse_true(const struct description *d, const char *key)
{
    if (root_bool(d, key, false))
        description_fault(d, "%s: true is not supported", key);
}

static void refuse_settings(const struct description *d)
{
    const json_t *quantized = root_get(d, "quantization_config");
    const char *method = json_string_value(json_object_get(quantized, "quant_method"));

    refuse_true(d, "use_bidirectional_attention");
    refuse_true(d, "use_mrope");
    if (!root_bool(d, "is_causal", true))
        description_fault(d, "is_causal: false is not supported");
    if (json_is_set(quantized))
        description_fault(d,
                          "the checkpoint is quantised (%.60s), which is not supported: use the "
                          "original, or a GGUF",
                          method ? method : "quantization_config");
}

static void json_activation(const struct description *d, struct model_config *c)
{
    static const struct {
        const char *name;
        enum activation activation;
    } known[] = {
        {"silu", ACTIVATION_SILU},
        {"swish", ACTIVATION_SILU},
        {"gelu_pytorch_tanh", ACTIVATION_GELU_TANH},
        {"gelu_new", ACTIVATION_GELU_TANH},
        {"gelu", ACTIVATION_GELU},
    };
    const char *key = d->family->activation_key;
    const json_t *value = root_get(d, key);

    root_get(d, "hidden_act");
    if (!value)
        return;
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (!json_is_string(value) || strcmp(json_string_value(value), known[i].name) != 0)
            continue;
        c->activation = known[i].activation;
        return;
    }
    description_fault(d, "%s '%.60s' is not supported: silu, gelu_pytorch_tanh and gelu are", key,
                      json_is_string(value) ? json_string_value(value) : "(not a string)");
}

/* ---- what the family reads ---- */

static void json_biases(const struct description *d, struct model_config *c)
{
    if (d->family->attention_bias && root_bool(d, "attention_bias", false))
        c->biases[MODULE_Q] = c->biases[MODULE_K] = c->biases[MODULE_V] = c->biases[MODULE_O] =
            true;
    if (d->family->mlp_bias && root_bool(d, "mlp_bias", false))
        c->biases[MODULE_GATE] = c->biases[MODULE_UP] = c->biases[MODULE_DOWN] = true;
}

/* null: no cap. */
static double json_cap(const struct description *d, const char *key, double fallback)
{
    const json_t *value = root_get(d, key);

    return value && json_is_null(value) ? 0 : value ? root_positive(d, key, 0) : fallback;
}

static void json_scales(const struct description *d, struct model_config *c)
{
    const struct family *f = d->family;

    c->attention_scale = c->head_dim ? (double)(1 / sqrtf((float)c->head_dim)) : 0;
    if (f->embedding_root)
        c->embedding_scale = sqrt(c->hidden);
    if (f->query_scalar)
        c->attention_scale = 1 / sqrt(root_positive(d, "query_pre_attn_scalar", 256));
    if (f->soft_caps) { /* Gemma 3 has none unless it says so, and its code applies none to scores
                         */
        c->attention_cap = f->local_rope ? 0 : json_cap(d, "attn_logit_softcapping", 50);
        c->logit_cap = json_cap(d, "final_logit_softcapping", f->local_rope ? 0 : 30);
    }
    if (f->multipliers) {
        c->embedding_scale = root_positive(d, "embedding_multiplier", 1);
        c->attention_scale = root_positive(d, "attention_multiplier", 1);
        c->residual_scale = root_positive(d, "residual_multiplier", 1);
        c->logit_scale = 1 / root_positive(d, "logits_scaling", 1);
    }
}

static void describe_sizes(const struct description *d, struct model_config *c)
{
    const struct family *f = d->family;
    const json_t *head;

    c->n_layers = root_int(d, "num_hidden_layers", LAYERS_MAX, 0);
    c->hidden = root_int(d, "hidden_size", SIZE_MAX_SANE, 0);
    c->intermediate = root_int(d, "intermediate_size", SIZE_MAX_SANE, 0);
    c->n_heads = root_int(d, "num_attention_heads", HEADS_MAX, f->n_heads);
    c->n_kv_heads = root_int(d, "num_key_value_heads", HEADS_MAX,
                             f->n_kv_heads ? f->n_kv_heads
                             : c->n_heads  ? c->n_heads
                                           : 1);
    c->vocab = root_int(d, "vocab_size", SIZE_MAX_SANE, f->vocab);
    c->max_positions = root_int(d, "max_position_embeddings", INT32_MAX, f->max_positions);
    head = root_get(d, "head_dim");
    if (json_is_set(head))
        c->head_dim = root_int(d, "head_dim", SIZE_MAX_SANE, 0);
    else
        c->head_dim = f->head_dim ? f->head_dim : head_size(d, c->hidden, c->n_heads);
}

static void describe(const struct description *d, struct model_config *c)
{
    describe_family(d->family, c);
    refuse_settings(d);
    describe_sizes(d, c);
    c->rms_eps = root_positive(d, "rms_norm_eps", d->family->rms_eps);
    c->tied = root_bool(d, "tie_word_embeddings", d->family->tied);
    c->bos_id = token_id(d, "bos_token_id");
    c->eos_id = token_id(d, "eos_token_id");
    json_activation(d, c);
    json_biases(d, c);
    json_scales(d, c);
    check_sizes(d, c);
    describe_json_rope(d, c);
    describe_json_layers(d, c);
}

/* ---- the file ---- */

/* Names of keys that hold something and that nothing has read: "a, b". NULL if there are none. */
static char *unread_keys(const struct description *d)
{
    char text[UNREAD_MAX] = "";
    size_t used = 0;
    const char *key;
    json_t *value;

    for (size_t i = 0; i < sizeof(neutral) / sizeof(neutral[0]); i++)
        json_object_set_new(d->read, neutral[i], json_true());
    json_object_foreach(d->root, key, value)
    {
        if (json_object_get(d->read, key) || json_is_null(value) || json_is_false(value) ||
            (strstr(key, "drop") && json_is_number(value) && json_number_value(value) == 0))
            continue;
        if (used < sizeof(text))
            used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%.60s", used ? ", " : "",
                                     key);
    }
    return used ? strdup(text) : NULL;
}

/* The text part of a model that reads images too lies in an object of its own; its ids are the
 * whole model's. */
static void choose_root(struct description *d, json_t *whole)
{
    const char *type = json_string_value(json_object_get(whole, "model_type"));
    json_t *text = json_object_get(whole, "text_config");

    d->root = whole;
    if (!type || strcmp(type, "gemma3") != 0 || !json_is_object(text))
        return;
    d->root = text;
    if (!json_is_set(json_object_get(text, "model_type")))
        json_object_set_new(text, "model_type", json_string("gemma3_text"));
    for (size_t i = 0; i < 3; i++) {
        static const char *const keys[] = {"bos_token_id", "eos_token_id", "tie_word_embeddings"};
        json_t *value = json_object_get(whole, keys[i]);
        if (value && !json_object_get(text, keys[i]))
            json_object_set(text, keys[i], value);
    }
}

/* The file as an object, or a problem. */
static int read_whole(const char *path, json_t **ret, struct problems *problems, struct err *err)
{
    struct err why;
    int line, rc = json_file_read_object(path, FILE_BYTES_MAX, ret, &line, &why);

    if (rc == ERR_NOMEM)
        return err_set(err, rc, "%s", why.text);
    if (rc < 0)
        problems_add(problems, line > 0 ? path : NULL, line, "%s%s",
                     line > 0 ? "is not a JSON object: " : "", why.text);
    return rc;
}

static int describe_root(struct description *d, json_t *whole, struct model_config *c,
                         char **ret_unread)
{
    int before = problems_count(d->problems);

    choose_root(d, whole);
    d->family = json_family(d);
    if (!d->family)
        return ERR_UNSUPPORTED;
    describe(d, c);
    if (problems_count(d->problems) > before)
        return ERR_INVALID;
    *ret_unread = unread_keys(d);
    return 0;
}

int model_describe_json_object(const char *name, json_t *whole, struct model_config *ret_config,
                               char **ret_unread, struct problems *problems, struct err *err)
{
    struct description d = {.file = name, .problems = problems, .read = json_object()};
    struct model_config *c = calloc(1, sizeof(*c));
    int rc = d.read && c ? describe_root(&d, whole, c, ret_unread) : err_nomem(err, sizeof(*c));

    if (rc == 0)
        *ret_config = *c;
    else if (rc != ERR_NOMEM)
        err_set(err, rc, "%s: the model cannot be used", name);
    json_decref(d.read);
    free(c);
    return rc;
}

int model_describe_json(const char *path, struct model_config *ret_config, char **ret_unread,
                        struct problems *problems, struct err *err)
{
    json_t *whole = NULL;
    int rc = read_whole(path, &whole, problems, err);

    if (rc < 0 && rc != ERR_NOMEM)
        return err_set(err, ERR_INVALID, "%s: the model cannot be used", path);
    if (rc == 0)
        rc = model_describe_json_object(path, whole, ret_config, ret_unread, problems, err);
    json_decref(whole);
    return rc;
}
