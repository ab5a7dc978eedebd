/* core/model/describe_gguf.c - a model's description in the keys of a GGUF. A key that would change
 * the computation and that is not computed here is refused by name. */
#include "core/model/description.h"
#include "core/model/model_impl.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int token_id(const struct description *d, const char *key)
{
    double v;

    if (!tensorfile_kv_number(d->gguf, key, &v))
        return -1;
    if (v >= 0 && v <= SIZE_MAX_SANE)
        return (int)v;
    description_fault(d, "%s is not a token id", key);
    return -1;
}

/* 0 is written for a model without experts. */
static bool has_experts(const struct description *d)
{
    char full[128];
    double v = 1;

    if (!gguf_has(d, "expert_count"))
        return false;
    tensorfile_kv_number(d->gguf, gguf_key(d, "expert_count", full, sizeof(full)), &v);
    return v != 0;
}

static void refuse_settings(const struct description *d, const struct model_config *c)
{
    char full[128];

    if (!gguf_bool(d, "attention.causal", true))
        description_fault(d, "%s: false is not supported",
                          gguf_key(d, "attention.causal", full, sizeof(full)));
    if (has_experts(d))
        description_fault(d, "a mixture of experts (%s) is not supported",
                          gguf_key(d, "expert_count", full, sizeof(full)));
    if (c->head_dim &&
        gguf_int(d, "attention.value_length", SIZE_MAX_SANE, c->head_dim) != c->head_dim)
        description_fault(d,
                          "attention.value_length differs from the head size %d, which is not "
                          "supported",
                          c->head_dim);
}

/* The vocabulary's size is in a key of its own, or that of the token list, or the embedding's. */
static int vocab_size(const struct description *d)
{
    const struct gguf_array *tokens = tensorfile_kv_array(d->gguf, "tokenizer.ggml.tokens");
    const struct tensor *embedding = gguf_tensor(d, "token_embd.weight");

    if (gguf_has(d, "vocab_size"))
        return gguf_int(d, "vocab_size", SIZE_MAX_SANE, 0);
    if (tokens && tokens->n >= 1 && tokens->n <= SIZE_MAX_SANE)
        return (int)tokens->n;
    if (embedding && embedding->n_dims == 2 && embedding->shape[0] <= SIZE_MAX_SANE)
        return (int)embedding->shape[0];
    description_fault(d, "nothing says how large the vocabulary is");
    return 0;
}

/* The 27B models of Gemma scale scores by the width of a head of q as if it had hidden / n_heads
 * numbers. They are known by their number of layers, as in llama.cpp. */
static double gemma_scale(const struct description *d, const struct model_config *c)
{
    int layers_27b = d->family->local_rope ? 62 : 46;

    return 1 / sqrt(c->n_layers == layers_27b ? (double)c->hidden / c->n_heads : c->head_dim);
}

static void scales(const struct description *d, struct model_config *c)
{
    const struct family *f = d->family;

    if (!c->head_dim || !c->n_heads)
        return;
    c->attention_scale = (double)(1 / sqrtf((float)c->head_dim));
    if (f->embedding_root)
        c->embedding_scale = sqrt(c->hidden);
    if (f->query_scalar)
        c->attention_scale = gemma_scale(d, c);
    if (f->soft_caps && f->local_rope && gguf_has(d, "attn_logit_softcapping"))
        description_fault(d, "attn_logit_softcapping is not supported for %s: nothing applies it",
                          f->gguf);
    if (f->soft_caps && !f->local_rope)
        c->attention_cap = gguf_positive(d, "attn_logit_softcapping", 50);
    if (f->soft_caps && (!f->local_rope || gguf_has(d, "final_logit_softcapping")))
        c->logit_cap = gguf_positive(d, "final_logit_softcapping", 30);
    if (f->multipliers) {
        c->embedding_scale = gguf_positive(d, "embedding_scale", 1);
        c->attention_scale = gguf_positive(d, "attention.scale", c->attention_scale);
        c->residual_scale = gguf_positive(d, "residual_scale", 1);
        c->logit_scale = 1 / gguf_positive(d, "logit_scale", 1);
    } else if (gguf_has(d, "attention.scale") &&
               fabs(gguf_positive(d, "attention.scale", 1) / c->attention_scale - 1) > 1e-6) {
        description_fault(d, "attention.scale is not supported for %s", f->gguf);
    }
}

/* Biases are there if their tensors are. */
static void biases(const struct description *d, struct model_config *c)
{
    const struct family *f = d->family;

    if (f->attention_bias && gguf_tensor(d, "blk.0.attn_q.bias"))
        c->biases[MODULE_Q] = c->biases[MODULE_K] = c->biases[MODULE_V] = true;
    if (f->attention_bias && gguf_tensor(d, "blk.0.attn_output.bias"))
        c->biases[MODULE_O] = true;
    if (f->mlp_bias && gguf_tensor(d, "blk.0.ffn_down.bias"))
        c->biases[MODULE_GATE] = c->biases[MODULE_UP] = c->biases[MODULE_DOWN] = true;
}

static void describe(const struct description *d, struct model_config *c)
{
    describe_family(d->family, c);
    c->n_layers = gguf_int(d, "block_count", LAYERS_MAX, 0);
    c->hidden = gguf_int(d, "embedding_length", SIZE_MAX_SANE, 0);
    c->intermediate = gguf_int(d, "feed_forward_length", SIZE_MAX_SANE, 0);
    c->n_heads = gguf_int(d, "attention.head_count", HEADS_MAX, 0);
    c->n_kv_heads = gguf_int(d, "attention.head_count_kv", HEADS_MAX, c->n_heads ? c->n_heads : 1);
    c->max_positions = gguf_int(d, "context_length", INT32_MAX, 0);
    c->vocab = vocab_size(d);
    c->rms_eps = gguf_positive(d, "attention.layer_norm_rms_epsilon", 0);
    c->tied = !gguf_tensor(d, "output.weight");
    c->bos_id = token_id(d, "tokenizer.ggml.bos_token_id");
    c->eos_id = token_id(d, "tokenizer.ggml.eos_token_id");
    if (gguf_has(d, "attention.key_length"))
        c->head_dim = gguf_int(d, "attention.key_length", SIZE_MAX_SANE, 0);
    else
        c->head_dim = head_size(d, c->hidden, c->n_heads);
    refuse_settings(d, c);
    biases(d, c);
    scales(d, c);
    check_sizes(d, c);
    describe_gguf_rope(d, c);
    describe_gguf_layers(d, c);
}

static void refuse_family(const struct description *d, const char *architecture)
{
    char names[200];

    family_names(true, names, sizeof(names));
    if (architecture && strstr(architecture, "moe"))
        description_fault(d,
                          "the architecture %.60s is a mixture of experts, which is not "
                          "supported",
                          architecture);
    else
        description_fault(d, "the architecture %.60s is not supported: %s are",
                          architecture ? architecture : "(none is named)", names);
}

int model_describe_gguf(const struct model_files *files, struct model_config *ret_config,
                        struct problems *problems, struct err *err)
{
    const struct tensorfile *file = files->items[0];
    struct description d = {
        .file = tensorfile_path(file), .problems = problems, .gguf = file, .files = files};
    const char *architecture = tensorfile_kv_string(file, "general.architecture");
    struct model_config *c = calloc(1, sizeof(*c));
    int before = problems_count(problems), rc = 0;

    if (!c)
        return err_nomem(err, sizeof(*c));
    d.family = family_by_gguf(architecture);
    if (d.family)
        describe(&d, c);
    else
        refuse_family(&d, architecture);
    if (problems_count(problems) > before)
        rc = err_set(err, ERR_INVALID, "%s: the model cannot be used", d.file);
    else
        *ret_config = *c;
    free(c);
    return rc;
}
