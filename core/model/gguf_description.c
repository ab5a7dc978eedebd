/* core/model/gguf_description.c - see gguf_description.h. Values that a GGUF's architecture implies
 * are not written; gguf_description_check.c finds where they are not the model's. */
#include "core/model/gguf_description.h"
#include "core/model/rope_angles.h"
#include <stdio.h>

struct writing {
    const struct model *m;
    const struct model_config *c;
    const struct family *f; /* as which the file holds the model */
    struct gguf_out *o;
    struct buf *notices;
};

static const char *full_key(const struct writing *w, const char *key, char *text, size_t size)
{
    snprintf(text, size, "%s.%s", w->f->gguf, key);
    return text;
}

static void put_int(const struct writing *w, const char *key, int value)
{
    char full[128];

    gguf_put_u32(w->o, full_key(w, key, full, sizeof(full)), (uint32_t)value);
}

static void put_float(const struct writing *w, const char *key, double value)
{
    char full[128];

    gguf_put_f32(w->o, full_key(w, key, full, sizeof(full)), (float)value);
}

static void put_string(const struct writing *w, const char *key, const char *value)
{
    char full[128];

    gguf_put_string(w->o, full_key(w, key, full, sizeof(full)), value);
}

/* ---- windows ---- */

static bool is_periodic(const struct model_config *c, int period)
{
    for (int i = 0; i < c->n_layers; i++)
        if (!(c->layers[i] & LAYER_WINDOW) != ((i + 1) % period == 0))
            return false;
    return true;
}

/* The windows of some layers, where they are not the family's. */
static void put_pattern(const struct writing *w)
{
    bool windows[LAYERS_MAX];
    char full[128];

    for (int i = 0; i < w->c->n_layers; i++)
        windows[i] = w->c->layers[i] & LAYER_WINDOW;
    gguf_put_bools(w->o, full_key(w, "attention.sliding_window_pattern", full, sizeof(full)),
                   windows, (size_t)w->c->n_layers);
    buf_puts(w->notices, "its layers with a sliding window are not those that the family has: "
                         "llama.cpp reads which they are from the middle of 2026 on\n");
}

/* Within as many tokens as a window has, the window has no effect. */
static int context_length(const struct writing *w)
{
    const struct model_config *c = w->c;

    if (!model_gguf_cuts_context(w->m))
        return c->max_positions;
    buf_printf(w->notices,
               "a GGUF of %s has no sliding window: its context_length is that of the window, %d "
               "tokens, within which the window changes nothing\n",
               w->f->gguf, c->window);
    return c->window;
}

bool model_gguf_cuts_context(const struct model *m)
{
    const struct model_config *c = &m->config;
    const struct family *f = family_in_gguf(family_by_architecture(c->architecture));

    return f->window_rule != WINDOW_ALL && f->window_rule != WINDOW_PERIODIC &&
           model_has_windows(c) && c->window < c->max_positions;
}

static void put_window(const struct writing *w)
{
    const struct model_config *c = w->c;
    bool any = model_has_windows(c);

    if (w->f->window_rule == WINDOW_ALL) {
        put_int(w, "attention.sliding_window", any ? c->window : 0);
        if (any && c->window < c->max_positions)
            buf_printf(w->notices,
                       "llama.cpp does not apply the sliding window of %s: give it a context (-c) "
                       "of at most %d tokens\n",
                       w->f->gguf, c->window);
    }
    if (w->f->window_rule != WINDOW_PERIODIC)
        return;
    put_int(w, "attention.sliding_window", any ? c->window : c->max_positions);
    if (!is_periodic(c, w->f->window_period))
        put_pattern(w);
}

/* ---- rope ---- */

static int divide(const struct model_config *c, enum rope_kind kind, const char *name,
                  struct gguf_divisors *ret)
{
    struct rope_angles plain;

    rope_plain(&plain, c->rope_pairs, c->rope_form[ROPE_MAIN].theta);
    ret->name = name;
    ret->n = c->rope_pairs;
    for (int i = 0; i < ret->n; i++)
        ret->values[i] = (float)(plain.freq[i] / c->rope[kind].freq[i]);
    return 1;
}

int model_gguf_divisors(const struct model *m, struct gguf_divisors ret[GGUF_DIVISORS_MAX])
{
    const struct model_config *c = &m->config;
    const struct family *f = family_in_gguf(family_by_architecture(c->architecture));
    enum rope_rule rule = c->rope_form[ROPE_MAIN].rule;
    int n = 0;

    if (rule == RULE_LLAMA3 && (f->gguf_form & GGUF_ROPE_FREQS))
        n += divide(c, ROPE_MAIN, "rope_freqs.weight", &ret[n]);
    if (rule == RULE_LONG && (f->gguf_form & GGUF_ROPE_FACTORS)) {
        n += divide(c, ROPE_LONG, "rope_factors_long.weight", &ret[n]);
        n += divide(c, ROPE_MAIN, "rope_factors_short.weight", &ret[n]);
    }
    return n;
}

static void put_rope(const struct writing *w)
{
    const struct rope_form *form = &w->c->rope_form[ROPE_MAIN];

    put_int(w, "rope.dimension_count", 2 * w->c->rope_pairs);
    put_float(w, "rope.freq_base", form->theta);
    if (w->f->local_rope)
        put_float(w, "rope.freq_base_swa", w->c->rope_form[ROPE_LOCAL].theta);
    if (form->rule == RULE_LINEAR || form->rule == RULE_YARN) {
        put_string(w, "rope.scaling.type", form->rule == RULE_YARN ? "yarn" : "linear");
        put_float(w, "rope.scaling.factor", form->factor);
    }
    if (form->rule == RULE_YARN) {
        put_int(w, "rope.scaling.original_context_length", (int)form->original);
        put_float(w, "rope.scaling.yarn_beta_fast", form->beta_fast);
        put_float(w, "rope.scaling.yarn_beta_slow", form->beta_slow);
    }
    if (form->rule == RULE_LONG && (w->f->gguf_form & GGUF_ROPE_FACTORS)) {
        put_string(w, "rope.scaling.type", "longrope");
        put_int(w, "rope.scaling.original_context_length", (int)form->original);
        put_float(w, "rope.scaling.attn_factor", w->c->rope[ROPE_MAIN].scale);
        buf_printf(w->notices,
                   "llama.cpp takes the short or long factors of longrope by the size of its "
                   "context (-c), not by the length of a text: the short ones up to %d tokens\n",
                   (int)form->original);
    }
}

/* ---- all ---- */

static void put_scales(const struct writing *w)
{
    const struct model_config *c = w->c;

    if (c->attention_cap > 0)
        put_float(w, "attn_logit_softcapping", c->attention_cap);
    if (c->logit_cap > 0)
        put_float(w, "final_logit_softcapping", c->logit_cap);
    if (!w->f->multipliers)
        return;
    put_float(w, "embedding_scale", c->embedding_scale);
    put_float(w, "attention.scale", c->attention_scale);
    put_float(w, "residual_scale", c->residual_scale);
    put_float(w, "logit_scale", 1 / c->logit_scale);
}

bool model_gguf_has_head(const struct model *m)
{
    const struct family *f = family_in_gguf(family_by_architecture(m->config.architecture));

    return !m->config.tied || (f->gguf_form & GGUF_HEAD);
}

void model_put_gguf_description(const struct model *m, struct gguf_out *o, struct buf *notices)
{
    const struct model_config *c = &m->config;
    const struct writing w = {m, c, family_in_gguf(family_by_architecture(c->architecture)), o,
                              notices};

    put_int(&w, "block_count", c->n_layers);
    put_int(&w, "context_length", context_length(&w));
    put_int(&w, "embedding_length", c->hidden);
    put_int(&w, "feed_forward_length", c->intermediate);
    put_int(&w, "attention.head_count", c->n_heads);
    put_int(&w, "attention.head_count_kv", c->n_kv_heads);
    put_int(&w, "attention.key_length", c->head_dim);
    put_int(&w, "attention.value_length", c->head_dim);
    put_float(&w, "attention.layer_norm_rms_epsilon", c->rms_eps);
    put_int(&w, "vocab_size", c->vocab);
    put_window(&w);
    put_rope(&w);
    put_scales(&w);
}
