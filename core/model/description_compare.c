/* core/model/description_compare.c - see description_compare.h. Whole numbers are compared by those
 * who know what their files can say of them. */
#include "core/model/description_compare.h"
#include <math.h>
#include <stdio.h>

static const double NEAR = 1e-6; /* a number of the description as f32 */

void description_check_fault(const struct description_check *k, const char *fmt, ...)
{
    char beginning[160];
    va_list ap;

    snprintf(beginning, sizeof(beginning), "cannot become %s of %s", k->form, k->name);
    va_start(ap, fmt);
    problems_add_rest(k->problems, k->path, beginning, fmt, ap);
    va_end(ap);
}

static bool is_near(double a, double b)
{
    return fabs(a - b) <= NEAR * fabs(a);
}

void description_same_numbers(const struct description_check *k)
{
    const struct model_config *is = k->is, *becomes = k->becomes;
    const struct {
        const char *name;
        double is, becomes;
    } numbers[] = {
        {"rms_norm_eps", is->rms_eps, becomes->rms_eps},
        {"the scale of the embedding", is->embedding_scale, becomes->embedding_scale},
        {"the scale of the attention's scores (query_pre_attn_scalar)", is->attention_scale,
         becomes->attention_scale},
        {"the scale of the branches", is->residual_scale, becomes->residual_scale},
        {"the scale of the logits", is->logit_scale, becomes->logit_scale},
        {"attn_logit_softcapping", is->attention_cap, becomes->attention_cap},
        {"final_logit_softcapping", is->logit_cap, becomes->logit_cap},
    };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (!is_near(numbers[i].is, numbers[i].becomes))
            description_check_fault(k, "%s is %.9g, but %s it would be %.9g", numbers[i].name,
                                    numbers[i].is, k->place, numbers[i].becomes);
}

bool description_same_angles(const struct model_config *a, const struct model_config *b,
                             enum rope_kind kind)
{
    const struct rope_angles *x = &a->rope[kind], *y = &b->rope[kind];

    for (int i = 0; i < a->rope_pairs; i++)
        if (!is_near(x->freq[i], y->freq[i]))
            return false;
    return is_near(x->scale, y->scale);
}

static bool uses_local(const struct model_config *c)
{
    for (int i = 0; i < c->n_layers; i++)
        if (c->layers[i] & LAYER_ROPE_LOCAL)
            return true;
    return false;
}

bool description_same_rope(const struct model_config *a, const struct model_config *b)
{
    if (a->rope_pairs != b->rope_pairs || !description_same_angles(a, b, ROPE_MAIN))
        return false;
    if (uses_local(a) && !description_same_angles(a, b, ROPE_LOCAL))
        return false;
    return !a->rope_long_from ||
           (a->rope_long_from == b->rope_long_from && description_same_angles(a, b, ROPE_LONG));
}
