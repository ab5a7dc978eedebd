/* core/model/description_compare.c - see description_compare.h. Whole numbers are compared by those
 * who know what their files can say of them. */
#include "core/model/description_compare.h"
#include <math.h>
#include <string.h>

static const double NEAR = 1e-6; /* a number of the description as f32 */

void description_numbers(const struct model_config *c,
                         struct description_number ret[DESCRIPTION_NUMBERS])
{
    const struct description_number numbers[DESCRIPTION_NUMBERS] = {
        {"rms_norm_eps", c->rms_eps},
        {"the scale of the embedding", c->embedding_scale},
        {"the scale of the attention's scores (query_pre_attn_scalar)", c->attention_scale},
        {"the scale of the branches", c->residual_scale},
        {"the scale of the logits", c->logit_scale},
        {"attn_logit_softcapping", c->attention_cap},
        {"final_logit_softcapping", c->logit_cap},
    };

    memcpy(ret, numbers, sizeof(numbers));
}

bool description_is_near(double a, double b)
{
    return fabs(a - b) <= NEAR * fabs(a);
}

bool description_same_angles(const struct model_config *a, const struct model_config *b,
                             enum rope_kind kind)
{
    const struct rope_angles *x = &a->rope[kind], *y = &b->rope[kind];

    for (int i = 0; i < a->rope_pairs; i++)
        if (!description_is_near(x->freq[i], y->freq[i]))
            return false;
    return description_is_near(x->scale, y->scale);
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
