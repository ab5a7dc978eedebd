/* core/model/describe_rope.c - how positions turn q and k, from config.json in both of its forms
 * and from a GGUF.
 *
 * Hub files have rope_theta and rope_scaling {rope_type or type, ...}; transformers 5 writes
 * rope_parameters, which hold both, or hold one object for each kind of layer. transformers takes
 * rope_scaling where there are both, and a rope_theta inside of it before the one beside it.
 */
#include "core/model/description.h"
#include "core/model/rope_angles.h"
#include <math.h>
#include <string.h>

/* The object with the scaling of a kind of layer, and what it does not say. */
struct scaling {
    const json_t *object; /* or NULL */
    const char *type;
    double theta;
};

static const char *type_of(const struct description *d, const json_t *object)
{
    const json_t *type = json_object_get(object, "rope_type");

    if (!json_is_set(type))
        type = json_object_get(object, "type");
    if (json_is_set(type) && !json_is_string(type))
        description_fault(d, "rope_type must be a string");
    return json_is_string(type) ? json_string_value(type) : "default";
}

static struct scaling scaling_of(const struct description *d, const json_t *object, double theta)
{
    if (json_is_set(object) && !json_is_object(object))
        description_fault(d, "the scaling of rope must be an object");
    return (struct scaling){
        .object = object,
        .type = type_of(d, object),
        .theta = object_positive(d, object, "rope_theta", theta),
    };
}

/* Rows are never longer than max_position_embeddings: up to there "dynamic" changes nothing. */
static bool is_plain(const char *type)
{
    return strcmp(type, "default") == 0 || strcmp(type, "none") == 0 ||
           strcmp(type, "dynamic") == 0;
}

static double stated_positions(const struct description *d, const struct scaling *s,
                               const struct model_config *c, const char *key)
{
    if (json_is_set(root_get(d, key)))
        return root_positive(d, key, 0);
    if (d->family->original_positions)
        return d->family->original_positions;
    return object_positive(d, s->object, key, c->max_positions);
}

static bool too_many_positions(const struct description *d, const char *key, double positions)
{
    if (positions <= INT32_MAX)
        return false;
    description_fault(d, "%s must be at most %d, not %g", key, INT32_MAX, positions);
    return true;
}

/* The key beside the scaling wins, as in transformers; and so does a family's own number. 0: there
 * is a fault. */
static double original_positions(const struct description *d, const struct scaling *s,
                                 const struct model_config *c)
{
    const char *key = "original_max_position_embeddings";
    double positions = stated_positions(d, s, c, key);

    return too_many_positions(d, key, positions) ? 0 : positions;
}

/* null is false, as in transformers. */
static bool truncates(const struct description *d, const struct scaling *s)
{
    const json_t *value = json_object_get(s->object, "truncate");

    if (json_is_set(value) && !json_is_boolean(value))
        description_fault(d, "truncate of the rope scaling must be true or false");
    return !value || json_is_true(value);
}

static void check_yarn_theta(const struct description *d, double theta)
{
    if (!(theta > 1))
        description_fault(d, "yarn needs a rope theta above 1, not %g", theta);
}

static void scale_llama3(const struct description *d, const struct scaling *s,
                         struct model_config *c, enum rope_kind kind)
{
    struct rope_angles *a = &c->rope[kind];
    struct rope_llama3 l = {
        .factor = object_positive(d, s->object, "factor", 0),
        .low = object_positive(d, s->object, "low_freq_factor", 0),
        .high = object_positive(d, s->object, "high_freq_factor", 0),
        .original = original_positions(d, s, c),
    };

    if (l.low > 0 && l.high > 0 && l.low >= l.high)
        description_fault(d, "low_freq_factor must be less than high_freq_factor");
    else if (l.factor > 0 && l.low > 0 && l.high > 0 && l.original > 0)
        rope_scale_llama3(a, c->rope_pairs, &l);
    c->rope_form[kind].rule = RULE_LLAMA3;
}

static double optional(const struct description *d, const struct scaling *s, const char *key,
                       double fallback)
{
    return json_is_set(json_object_get(s->object, key))
               ? object_positive(d, s->object, key, fallback)
               : fallback;
}

static struct rope_form form_of_yarn(const struct rope_yarn *y)
{
    return (struct rope_form){.rule = RULE_YARN,
                              .theta = y->theta,
                              .factor = y->factor,
                              .original = y->original,
                              .beta_fast = y->beta_fast,
                              .beta_slow = y->beta_slow};
}

static void scale_yarn(const struct description *d, const struct scaling *s, struct model_config *c,
                       enum rope_kind kind)
{
    struct rope_angles *a = &c->rope[kind];
    struct rope_yarn y = {
        .theta = s->theta,
        .original = original_positions(d, s, c),
        .beta_fast = optional(d, s, "beta_fast", 32),
        .beta_slow = optional(d, s, "beta_slow", 1),
        .attention_factor = optional(d, s, "attention_factor", 0),
        .mscale = optional(d, s, "mscale", 0),
        .mscale_all = optional(d, s, "mscale_all_dim", 0),
        .truncate = truncates(d, s),
    };

    check_yarn_theta(d, y.theta);
    y.factor = optional(d, s, "factor", y.original > 0 ? c->max_positions / y.original : 0);
    if (y.factor > 0 && y.original > 0 && y.theta > 1)
        rope_scale_yarn(a, c->rope_pairs, &y);
    c->rope_form[kind] = form_of_yarn(&y);
}

static bool read_divisors(const struct description *d, const json_t *object, const char *key, int n,
                          double *ret)
{
    const json_t *list = json_object_get(object, key);

    if (!json_is_array(list) || (int)json_array_size(list) != n) {
        description_fault(d, "%s must be a list of %d numbers", key, n);
        return false;
    }
    for (int i = 0; i < n; i++) {
        ret[i] = json_number_value(json_array_get(list, (size_t)i));
        if (!(ret[i] > 0) || isinf(ret[i])) {
            description_fault(d, "%s must hold numbers above 0", key);
            return false;
        }
    }
    return true;
}

static void scale_long(const struct description *d, const struct scaling *s, struct model_config *c,
                       struct rope_angles *a)
{
    double divisors[ROPE_PAIRS_MAX], original = original_positions(d, s, c), factor, scale;
    struct rope_angles plain = *a;

    if (!original)
        return;
    factor = optional(d, s, "factor", c->max_positions / original);
    scale = optional(d, s, "attention_factor", rope_long_scale(factor, original));
    if (read_divisors(d, s->object, "short_factor", c->rope_pairs, divisors))
        rope_divide(a, c->rope_pairs, divisors);
    if (read_divisors(d, s->object, "long_factor", c->rope_pairs, divisors))
        rope_divide(&plain, c->rope_pairs, divisors);
    a->scale = plain.scale = scale;
    c->rope[ROPE_LONG] = plain;
    c->rope_long_from = (int)original;
    c->rope_form[ROPE_MAIN].rule = RULE_LONG;
    c->rope_form[ROPE_MAIN].original = original;
}

static void json_angles(const struct description *d, const struct scaling *s,
                        struct model_config *c, enum rope_kind kind)
{
    struct rope_angles *a = &c->rope[kind];
    bool phi3 = d->family->partial_rope;

    if (!s->theta)
        return;
    rope_plain(a, c->rope_pairs, s->theta);
    c->rope_form[kind] = (struct rope_form){.rule = RULE_PLAIN, .theta = s->theta};
    if (is_plain(s->type))
        return;
    if (strcmp(s->type, "linear") == 0) {
        double factor = object_positive(d, s->object, "factor", 0);
        if (factor > 0)
            rope_scale_linear(a, c->rope_pairs, factor);
        c->rope_form[kind].rule = RULE_LINEAR;
        c->rope_form[kind].factor = factor;
    } else if (strcmp(s->type, "llama3") == 0) {
        scale_llama3(d, s, c, kind);
    } else if (strcmp(s->type, "yarn") == 0 && !phi3) {
        scale_yarn(d, s, c, kind);
    } else if ((strcmp(s->type, "longrope") == 0 || (phi3 && strcmp(s->type, "su") == 0) ||
                (phi3 && strcmp(s->type, "yarn") == 0)) &&
               kind == ROPE_MAIN) {
        scale_long(d, s, c, a);
    } else {
        description_fault(d,
                          "rope scaling '%.60s' is not supported: default, linear, dynamic, "
                          "llama3, yarn and longrope are",
                          s->type);
    }
}

/* Sets rope_pairs. The key inside of the scaling wins. */
static void json_pairs(const struct description *d, const json_t *object, struct model_config *c)
{
    const json_t *partial = json_object_get(object, "partial_rotary_factor");
    double factor;

    if (!json_is_set(partial))
        partial = root_get(d, "partial_rotary_factor");
    root_get(d, "partial_rotary_factor");
    factor = json_is_set(partial) ? json_number_value(partial) : 1;
    c->rope_pairs = (int)(c->head_dim * factor) / 2;
    if (factor != 1 && !d->family->partial_rope)
        description_fault(d, "partial_rotary_factor other than 1 is not supported for %s",
                          d->family->name);
    else if (!(factor > 0 && factor <= 1) || (c->head_dim && c->rope_pairs < 1))
        description_fault(d, "partial_rotary_factor must be a number above 0 and at most 1");
    else if ((int)(c->head_dim * factor) % 2)
        description_fault(d, "partial_rotary_factor makes an odd number of each head turn");
}

/* Gemma 3: layers with a window have a theta of their own, and the scaling is of the others. */
static void json_two_ropes(const struct description *d, const json_t *scaling,
                           const json_t *parameters, struct model_config *c)
{
    const json_t *full = json_object_get(parameters, "full_attention");
    const json_t *sliding = json_object_get(parameters, "sliding_attention");
    struct scaling global = scaling_of(d, json_is_set(scaling) ? scaling : full,
                                       root_positive(d, "rope_theta", d->family->rope_theta));
    struct scaling local = scaling_of(d, sliding, root_positive(d, "rope_local_base_freq", 10000));

    if (json_is_set(json_object_get(scaling, "type")) &&
        !json_is_set(json_object_get(scaling, "rope_type")))
        description_fault(d,
                          "rope_scaling has type without rope_type, which transformers does not "
                          "read for %s: name it rope_type, or remove rope_scaling",
                          d->family->name);
    if (json_is_set(scaling) && json_is_set(full)) /* its theta stays if the scaling has none */
        global.theta = object_positive(d, scaling, "rope_theta",
                                       object_positive(d, full, "rope_theta", global.theta));
    json_angles(d, &global, c, ROPE_MAIN);
    json_angles(d, &local, c, ROPE_LOCAL);
}

void describe_json_rope(const struct description *d, struct model_config *c)
{
    const json_t *scaling = root_get(d, "rope_scaling");
    const json_t *parameters = root_get(d, "rope_parameters");
    bool has_scaling = json_is_set(scaling) && json_object_size(scaling) > 0;
    const json_t *object = has_scaling ? scaling : parameters;
    struct scaling s;

    if (json_is_set(scaling) && !json_is_object(scaling))
        description_fault(d, "rope_scaling must be an object");
    json_pairs(d, object, c);
    if (c->rope_pairs > ROPE_PAIRS_MAX)
        return;
    if (d->family->local_rope) {
        json_two_ropes(d, has_scaling ? scaling : NULL, parameters, c);
        return;
    }
    if (json_is_object(json_object_get(object, "full_attention"))) {
        description_fault(d, "rope_parameters for each kind of layer are not supported for %s",
                          d->family->name);
        return;
    }
    if (has_scaling && !json_is_string(json_object_get(object, "rope_type")) &&
        !json_is_string(json_object_get(object, "type"))) {
        description_fault(d, "the rope scaling has no rope_type");
        return;
    }
    s = scaling_of(d, object, root_positive(d, "rope_theta", d->family->rope_theta));
    json_angles(d, &s, c, ROPE_MAIN);
}

/* ---- GGUF ---- */

/* A tensor of the divisors of each pair. False, after a problem, if it does not fit. */
static bool gguf_divisors(const struct description *d, const char *name, int pairs, double *ret)
{
    const struct tensor *t = gguf_tensor(d, name);
    float values[ROPE_PAIRS_MAX];
    struct err err;

    if (!t || t->n_dims != 1 || t->shape[0] != pairs ||
        tensor_read_f32(t, 0, 1, values, &err) < 0) {
        description_fault(d, "tensor %s must hold %d numbers, one for each pair of a head", name,
                          pairs);
        return false;
    }
    for (int i = 0; i < pairs; i++) {
        ret[i] = (double)values[i];
        if (!(ret[i] > 0) || isinf(ret[i])) {
            description_fault(d, "tensor %s must hold numbers above 0", name);
            return false;
        }
    }
    return true;
}

/* A factor of 1 changes nothing. */
static void gguf_linear(const struct description *d, struct model_config *c)
{
    struct rope_form *form = &c->rope_form[ROPE_MAIN];
    double factor =
        gguf_positive(d, "rope.scaling.factor", gguf_positive(d, "rope.scale_linear", 1));

    rope_scale_linear(&c->rope[ROPE_MAIN], c->rope_pairs, factor);
    if (factor == 1)
        return;
    form->rule = RULE_LINEAR;
    form->factor = factor;
}

static void gguf_long(const struct description *d, struct model_config *c)
{
    double original = gguf_positive(d, "rope.scaling.original_context_length",
                                    d->family->original_positions ? d->family->original_positions
                                                                  : c->max_positions);
    double divisors[ROPE_PAIRS_MAX], scale;
    struct rope_angles *a = &c->rope[ROPE_MAIN];

    if (!original || too_many_positions(d, "rope.scaling.original_context_length", original))
        return;
    scale = gguf_positive(d, "rope.scaling.attn_factor",
                          rope_long_scale(c->max_positions / original, original));
    c->rope[ROPE_LONG] = *a;
    if (gguf_divisors(d, "rope_factors_short.weight", c->rope_pairs, divisors))
        rope_divide(a, c->rope_pairs, divisors);
    if (gguf_divisors(d, "rope_factors_long.weight", c->rope_pairs, divisors))
        rope_divide(&c->rope[ROPE_LONG], c->rope_pairs, divisors);
    a->scale = c->rope[ROPE_LONG].scale = scale;
    c->rope_long_from = (int)original;
    c->rope_form[ROPE_MAIN].rule = RULE_LONG;
    c->rope_form[ROPE_MAIN].original = original;
}

static void gguf_yarn(const struct description *d, double theta, struct model_config *c)
{
    struct rope_yarn y = {
        .theta = theta,
        .factor = gguf_positive(d, "rope.scaling.factor", 0),
        .original = gguf_positive(d, "rope.scaling.original_context_length", c->max_positions),
        .beta_fast = gguf_positive(d, "rope.scaling.yarn_beta_fast", 32),
        .beta_slow = gguf_positive(d, "rope.scaling.yarn_beta_slow", 1),
        .truncate = true,
    };

    check_yarn_theta(d, theta);
    if (gguf_positive(d, "rope.scaling.yarn_ext_factor", 1) != 1 ||
        gguf_positive(d, "rope.scaling.yarn_attn_factor", 1) != 1)
        description_fault(d, "rope.scaling.yarn_ext_factor and yarn_attn_factor other than 1 are "
                             "not supported");
    if (y.factor > 0 && y.original > 0 && theta > 1)
        rope_scale_yarn(&c->rope[ROPE_MAIN], c->rope_pairs, &y);
    c->rope_form[ROPE_MAIN] = form_of_yarn(&y);
}

/* Without a type a factor is linear, as in llama.cpp. */
static const char *gguf_scaling(const struct description *d)
{
    const char *type = gguf_string(d, "rope.scaling.type");

    if (type)
        return type;
    if (gguf_tensor(d, "rope_factors_long.weight"))
        return "longrope";
    return gguf_has(d, "rope.scaling.factor") || gguf_has(d, "rope.scale_linear") ? "linear"
                                                                                  : "none";
}

static void gguf_scale(const struct description *d, double theta, struct model_config *c)
{
    const char *type = gguf_scaling(d);

    if (strcmp(type, "linear") == 0)
        gguf_linear(d, c);
    else if (strcmp(type, "yarn") == 0)
        gguf_yarn(d, theta, c);
    else if (strcmp(type, "longrope") == 0)
        gguf_long(d, c);
    else if (strcmp(type, "none") != 0)
        description_fault(d, "rope scaling '%.60s' is not supported in a GGUF", type);
    if (strcmp(type, "longrope") != 0 && gguf_positive(d, "rope.scaling.attn_factor", 1) != 1)
        description_fault(d, "rope.scaling.attn_factor is not supported with the scaling '%.60s'",
                          type);
}

/* Divisors of 1 change nothing. */
static void gguf_divide(const struct description *d, struct model_config *c)
{
    double divisors[ROPE_PAIRS_MAX] = {0};

    if (!gguf_tensor(d, "rope_freqs.weight") ||
        !gguf_divisors(d, "rope_freqs.weight", c->rope_pairs, divisors))
        return;
    rope_divide(&c->rope[ROPE_MAIN], c->rope_pairs, divisors);
    for (int i = 0; i < c->rope_pairs; i++)
        if (divisors[i] != 1)
            c->rope_form[ROPE_MAIN].rule = RULE_LLAMA3;
}

void describe_gguf_rope(const struct description *d, struct model_config *c)
{
    double theta = gguf_positive(d, "rope.freq_base", 10000), local;
    int turned = gguf_int(d, "rope.dimension_count", SIZE_MAX_SANE, c->head_dim ? c->head_dim : 1);

    c->rope_pairs = turned / 2;
    if (!c->head_dim || !turned || !theta || c->head_dim > 2 * ROPE_PAIRS_MAX)
        return;
    if (turned % 2 || turned > c->head_dim || (turned < c->head_dim && !d->family->partial_rope)) {
        description_fault(d, "rope.dimension_count %d is not supported with heads of %d", turned,
                          c->head_dim);
        return;
    }
    rope_plain(&c->rope[ROPE_MAIN], c->rope_pairs, theta);
    c->rope_form[ROPE_MAIN] = (struct rope_form){.rule = RULE_PLAIN, .theta = theta};
    gguf_divide(d, c);
    gguf_scale(d, theta, c);
    if (!d->family->local_rope)
        return;
    local = gguf_positive(d, "rope.freq_base_swa", 10000);
    rope_plain(&c->rope[ROPE_LOCAL], c->rope_pairs, local);
    c->rope_form[ROPE_LOCAL] = (struct rope_form){.rule = RULE_PLAIN, .theta = local};
}
