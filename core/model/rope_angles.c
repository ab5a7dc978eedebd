/* core/model/rope_angles.c - see rope_angles.h. Everything in double: the worker rounds cosines
 * and sines once. */
#include "core/model/rope_angles.h"
#include <math.h>

void rope_plain(struct rope_angles *a, int pairs, double theta)
{
    a->scale = 1;
    for (int i = 0; i < pairs; i++)
        a->freq[i] = pow(theta, -(double)i / pairs);
}

void rope_scale_linear(struct rope_angles *a, int pairs, double factor)
{
    for (int i = 0; i < pairs; i++)
        a->freq[i] /= factor;
}

static double llama3(double freq, const struct rope_llama3 *s)
{
    double wave = 2 * M_PI / freq, blend;

    if (wave < s->original / s->high)
        return freq;
    if (wave > s->original / s->low)
        return freq / s->factor;
    blend = (s->original / wave - s->low) / (s->high - s->low);
    return (1 - blend) * freq / s->factor + blend * freq;
}

void rope_scale_llama3(struct rope_angles *a, int pairs, const struct rope_llama3 *s)
{
    for (int i = 0; i < pairs; i++)
        a->freq[i] = llama3(a->freq[i], s);
}

/* The pair that turns this often in the original positions. */
static double pair_of(const struct rope_yarn *s, int pairs, double turns)
{
    return pairs * log(s->original / (turns * 2 * M_PI)) / log(s->theta);
}

static double yarn_scale(double factor, double mscale)
{
    return factor <= 1 ? 1 : 0.1 * mscale * log(factor) + 1;
}

void rope_scale_yarn(struct rope_angles *a, int pairs, const struct rope_yarn *s)
{
    double low = pair_of(s, pairs, s->beta_fast), high = pair_of(s, pairs, s->beta_slow);

    if (s->truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0);
    high = fmin(high, 2 * pairs - 1);
    if (low == high)
        high += 0.001;
    for (int i = 0; i < pairs; i++) {
        double slowed = fmin(fmax((i - low) / (high - low), 0), 1);
        a->freq[i] = a->freq[i] / s->factor * slowed + a->freq[i] * (1 - slowed);
    }
    if (s->attention_factor > 0)
        a->scale = s->attention_factor;
    else if (s->mscale > 0 && s->mscale_all > 0)
        a->scale = yarn_scale(s->factor, s->mscale) / yarn_scale(s->factor, s->mscale_all);
    else
        a->scale = yarn_scale(s->factor, 1);
}

void rope_divide(struct rope_angles *a, int pairs, const double *divisors)
{
    for (int i = 0; i < pairs; i++)
        a->freq[i] /= divisors[i];
}

double rope_long_scale(double factor, double original)
{
    return factor <= 1 ? 1 : sqrt(1 + log(factor) / log(original));
}
