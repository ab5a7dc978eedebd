/* core/model/json_description.c - see json_description.h. The form is that of hub files
 * (rope_theta, rope_scaling, torch_dtype), which every version of transformers reads, with
 * layer_types where the family has it.
 *
 * What is computed with as f32 is written by the digits that give the same f32: a
 * GGUF's 9.99999975e-06 was 1e-05. Rope's numbers, which are used in double, are written as they
 * are.
 */
#include "core/model/json_description.h"
#include "core/json_write.h"
#include "core/model/rope_angles.h"
#include <math.h>
#include <string.h>

struct writing {
    const struct json_description *d;
    const struct model_config *c;
    const struct family *f;
    struct json_writer w;
};

static void put_id(struct writing *k, const char *key, int id)
{
    if (id >= 0)
        json_put_int(&k->w, key, id);
    else
        json_put_null(&k->w, key); /* a class may have one of its own otherwise */
}

static void put_sizes(struct writing *k)
{
    const struct model_config *c = k->c;

    json_put_int(&k->w, "vocab_size", c->vocab);
    json_put_int(&k->w, "hidden_size", c->hidden);
    json_put_int(&k->w, "intermediate_size", c->intermediate);
    json_put_int(&k->w, "num_hidden_layers", c->n_layers);
    json_put_int(&k->w, "num_attention_heads", c->n_heads);
    json_put_int(&k->w, "num_key_value_heads", c->n_kv_heads);
    json_put_int(&k->w, "head_dim", c->head_dim);
    json_put_int(&k->w, "max_position_embeddings", c->max_positions);
}

/* ---- scales ---- */

/* A width as a rule. */
static void put_scalar(struct writing *k)
{
    double scalar = 1 / (k->c->attention_scale * k->c->attention_scale);

    if (1 / sqrt(rint(scalar)) == k->c->attention_scale)
        json_put_int(&k->w, "query_pre_attn_scalar", (int64_t)rint(scalar));
    else
        json_put_number(&k->w, "query_pre_attn_scalar", scalar);
}

static void put_cap(struct writing *k, const char *key, double cap)
{
    if (cap > 0)
        json_put_f32(&k->w, key, cap);
    else
        json_put_null(&k->w, key);
}

static void put_scales(struct writing *k)
{
    const struct model_config *c = k->c;

    if (k->f->query_scalar)
        put_scalar(k);
    if (k->f->soft_caps) {
        put_cap(k, "attn_logit_softcapping", c->attention_cap);
        put_cap(k, "final_logit_softcapping", c->logit_cap);
    }
    if (!k->f->multipliers)
        return;
    json_put_f32(&k->w, "embedding_multiplier", c->embedding_scale);
    json_put_f32(&k->w, "attention_multiplier", c->attention_scale);
    json_put_f32(&k->w, "residual_multiplier", c->residual_scale);
    json_put_f32(&k->w, "logits_scaling", 1 / c->logit_scale);
}

/* ---- rope ---- */

/* A number of tokens; what is none is refused when it is read back. */
static void put_positions(struct writing *k, double positions)
{
    static const char key[] = "original_max_position_embeddings";

    if (positions == rint(positions) && positions <= INT32_MAX)
        json_put_int(&k->w, key, (int64_t)positions);
    else
        json_put_number(&k->w, key, positions);
}

/* What the plain frequencies are divided by. */
static void put_divisors(struct writing *k, const char *key, enum rope_kind kind)
{
    const struct model_config *c = k->c;
    struct rope_angles plain;

    rope_plain(&plain, c->rope_pairs, c->rope_form[ROPE_MAIN].theta);
    json_put_begin(&k->w, key, '[');
    for (int i = 0; i < c->rope_pairs; i++) /* they were f32 in the file */
        json_write_number(&k->w, (double)(float)(plain.freq[i] / c->rope[kind].freq[i]));
    json_write_end(&k->w, ']');
}

/* Versions of transformers before 5 accept these three members alone for Phi 3, where the other
 * numbers stand beside it. */
static void put_long(struct writing *k)
{
    const struct rope_form *form = &k->c->rope_form[ROPE_MAIN];
    double usual = rope_long_scale(k->c->max_positions / form->original, form->original);
    double scale = k->c->rope[ROPE_MAIN].scale;

    json_put_text(&k->w, k->f->partial_rope ? "type" : "rope_type", "longrope");
    put_divisors(k, "short_factor", ROPE_MAIN);
    put_divisors(k, "long_factor", ROPE_LONG);
    if (!k->f->partial_rope)
        put_positions(k, form->original);
    if ((float)usual != (float)scale)
        json_put_number(&k->w, "attention_factor", scale);
}

static void put_llama3(struct writing *k)
{
    struct rope_angles plain;
    struct rope_llama3 l;

    rope_plain(&plain, k->c->rope_pairs, k->c->rope_form[ROPE_MAIN].theta);
    /* where nothing fits, what this says is not the model's, which the check finds */
    rope_find_llama3(&plain, &k->c->rope[ROPE_MAIN], k->c->rope_pairs, &l);
    json_put_text(&k->w, "rope_type", "llama3");
    json_put_number(&k->w, "factor", l.factor);
    json_put_number(&k->w, "low_freq_factor", l.low);
    json_put_number(&k->w, "high_freq_factor", l.high);
    put_positions(k, l.original);
}

static void put_yarn(struct writing *k)
{
    const struct rope_form *form = &k->c->rope_form[ROPE_MAIN];

    json_put_text(&k->w, "rope_type", "yarn");
    json_put_number(&k->w, "factor", form->factor);
    put_positions(k, form->original);
    json_put_number(&k->w, "beta_fast", form->beta_fast);
    json_put_number(&k->w, "beta_slow", form->beta_slow);
}

static void put_scaling(struct writing *k)
{
    const struct rope_form *form = &k->c->rope_form[ROPE_MAIN];

    if (form->rule == RULE_PLAIN) {
        json_put_null(&k->w, "rope_scaling");
        return;
    }
    json_put_begin(&k->w, "rope_scaling", '{');
    switch (form->rule) {
    case RULE_LONG:
        put_long(k);
        break;
    case RULE_LLAMA3:
        put_llama3(k);
        break;
    case RULE_YARN:
        put_yarn(k);
        break;
    default:
        json_put_text(&k->w, "rope_type", "linear");
        json_put_number(&k->w, "factor", form->factor);
    }
    json_write_end(&k->w, '}');
}

/* The factor of which int(head_dim * factor) is the number of channels that turn. */
static double partial_factor(const struct model_config *c)
{
    double factor = 2.0 * c->rope_pairs / c->head_dim;

    return (int)(c->head_dim * factor) < 2 * c->rope_pairs ? nextafter(factor, 1) : factor;
}

static void put_rope(struct writing *k)
{
    const struct rope_form *form = k->c->rope_form;

    json_put_number(&k->w, "rope_theta", form[ROPE_MAIN].theta);
    if (k->f->local_rope)
        json_put_number(&k->w, "rope_local_base_freq", form[ROPE_LOCAL].theta);
    if (k->f->partial_rope)
        json_put_number(&k->w, "partial_rotary_factor", partial_factor(k->c));
    if (form[ROPE_MAIN].rule == RULE_LONG && k->f->partial_rope)
        put_positions(k, form[ROPE_MAIN].original);
    put_scaling(k);
}

/* ---- layers ---- */

static void put_types(struct writing *k)
{
    static const char *const names[] = {"full_attention", "sliding_attention"};

    json_put_begin(&k->w, "layer_types", '[');
    for (int i = 0; i < k->c->n_layers; i++) {
        const char *name = names[(k->c->layers[i] & LAYER_WINDOW) != 0];
        json_write_text(&k->w, name, strlen(name));
    }
    json_write_end(&k->w, ']');
}

static void put_rotated(struct writing *k)
{
    json_put_begin(&k->w, "no_rope_layers", '['); /* 1: with rope, whatever the name says */
    for (int i = 0; i < k->c->n_layers; i++)
        json_write_int(&k->w, (k->c->layers[i] & LAYER_ROPE) != 0);
    json_write_end(&k->w, ']');
}

static void put_layers(struct writing *k)
{
    bool any = model_has_windows(k->c), optional;
    enum window_rule rule = k->f->window_rule;

    optional = rule == WINDOW_FROM || rule == WINDOW_UNROTATED;
    if (optional)
        json_put_bool(&k->w, "use_sliding_window", any);
    if (rule != WINDOW_NONE && any)
        json_put_int(&k->w, "sliding_window", k->c->window);
    else if (rule == WINDOW_PERIODIC)
        json_put_int(&k->w, "sliding_window", k->f->window); /* of no layer */
    else if (rule != WINDOW_NONE)
        json_put_null(&k->w, "sliding_window");
    if (rule == WINDOW_FROM)
        json_put_int(&k->w, "max_window_layers", k->c->n_layers);
    if (k->f->layer_types)
        put_types(k);
    if (k->f->unrotated_layers)
        put_rotated(k);
}

/* ---- all ---- */

static void put_form(struct writing *k)
{
    static const char *const names[ACTIVATIONS] = {[ACTIVATION_SILU] = "silu",
                                                   [ACTIVATION_GELU_TANH] = "gelu_pytorch_tanh",
                                                   [ACTIVATION_GELU] = "gelu"};
    const struct model_config *c = k->c;

    json_put_text(&k->w, k->f->activation_key, names[c->activation]);
    json_put_f32(&k->w, "rms_norm_eps", c->rms_eps);
    if (k->f->attention_bias)
        json_put_bool(&k->w, "attention_bias", c->biases[MODULE_Q] || c->biases[MODULE_O]);
    if (k->f->mlp_bias)
        json_put_bool(&k->w, "mlp_bias", c->biases[MODULE_DOWN]);
    json_put_bool(&k->w, "tie_word_embeddings", c->tied);
}

const char *model_torch_dtype(enum tensor_type type)
{
    return type == TENSOR_BF16 ? "bfloat16" : type == TENSOR_F16 ? "float16" : "float32";
}

void model_put_json_description(const struct json_description *d, struct buf *out)
{
    struct writing k = {.d = d,
                        .c = &d->model->config,
                        .f = family_by_architecture(d->model->config.architecture),
                        .w = {.out = out}};

    json_write_begin(&k.w, '{');
    json_put_begin(&k.w, "architectures", '[');
    json_write_text(&k.w, k.c->architecture, strlen(k.c->architecture));
    json_write_end(&k.w, ']');
    json_put_text(&k.w, "model_type", k.f->name);
    put_sizes(&k);
    put_form(&k);
    put_scales(&k);
    put_rope(&k);
    put_layers(&k);
    put_id(&k, "bos_token_id", d->bos);
    put_id(&k, "eos_token_id", d->eos);
    put_id(&k, "pad_token_id", d->pad);
    json_put_text(&k.w, "torch_dtype", model_torch_dtype(d->type));
    json_write_end(&k.w, '}');
}
