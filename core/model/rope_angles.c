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

static bool makes(const struct rope_llama3 *s, const struct rope_angles *plain,
                  const struct rope_angles *scaled, int pairs)
{
    static const double near = 1e-6; /* divisors are f32 in files */

    for (int i = 0; i < pairs; i++)
        if (!(fabs(llama3(plain->freq[i], s) / scaled->freq[i] - 1) <= near))
            return false;
    return true;
}

/* The integer that is meant, where one is. */
static double whole(double x)
{
    return fabs(x - rint(x)) < 1e-5 * x ? rint(x) : x;
}

/* Where a frequency is blended, its share (original freq / 2 pi - low) / (high - low) is a line in
 * freq, which the first and the last of them give. */
static bool fit_llama3(const struct rope_angles *plain, const struct rope_angles *scaled, int pairs,
                       struct rope_llama3 *s)
{
    static const double edge = 1e-4; /* shares nearer to 0 and 1 may be neither */
    double freq[2] = {0, 0}, share[2] = {0, 0}, slope, at_0;
    int n = 0;

    for (int i = 0; i < pairs; i++) {
        double part = (scaled->freq[i] / plain->freq[i] - 1 / s->factor) / (1 - 1 / s->factor);
        if (!(part > edge && part < 1 - edge))
            continue;
        freq[n > 0] = plain->freq[i];
        share[n > 0] = part;
        n++;
    }
    if (n < 2)
        return false;
    slope = (share[0] - share[1]) / (freq[0] - freq[1]);
    at_0 = share[0] - slope * freq[0];
    s->low = 1;
    s->high = whole(1 - 1 / at_0);
    s->original = whole(slope * 2 * M_PI * (s->high - s->low));
    return at_0 < 0 && s->original >= 1;
}

bool rope_find_llama3(const struct rope_angles *plain, const struct rope_angles *scaled, int pairs,
                      struct rope_llama3 *ret)
{
    static const int first_tried = 8192, last_tried = 1 << 24;
    struct rope_llama3 s = {.factor = 0, .low = 1, .high = 4, .original = first_tried};

    for (int i = 0; i < pairs; i++)
        s.factor = fmax(s.factor, plain->freq[i] / scaled->freq[i]);
    s.factor = (double)(float)s.factor; /* as the file has it */
    *ret = s;
    if (makes(ret, plain, scaled, pairs))
        return true;
    for (ret->original = 1; ret->original <= last_tried; ret->original *= 2)
        if (makes(ret, plain, scaled, pairs))
            return true;
    *ret = s;
    if (fit_llama3(plain, scaled, pairs, ret) && makes(ret, plain, scaled, pairs))
        return true;
    *ret = s;
    return false;
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
