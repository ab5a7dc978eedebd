/* daemon/coordinator/optimizer.c - see optimizer.h. Arithmetic in double, one pass over the
 * numbers in their order, so that the bits do not depend on anything else. */
#include "daemon/coordinator/optimizer.h"
#include <math.h>

static double at_least_one(double x)
{
    return x > 1 ? x : 1;
}

/* The part of the schedule behind the warm-up; progress runs from 0 to 1. */
static double decay(const struct job_optimizer *o, int done, double progress)
{
    static const double polynomial_end = 1e-7; /* transformers' lr_end, power 1 */
    double timescale;

    switch (o->schedule) {
    case SCHEDULE_LINEAR:
        return 1 - progress;
    case SCHEDULE_COSINE:
        return 0.5 * (1 + cos(M_PI * progress));
    case SCHEDULE_POLYNOMIAL:
        return ((o->learning_rate - polynomial_end) * (1 - progress) + polynomial_end) /
               o->learning_rate;
    case SCHEDULE_INVERSE_SQRT:
        timescale = o->warmup_steps ? o->warmup_steps : 10000;
        return 1 / sqrt((done + timescale - o->warmup_steps) / timescale);
    default:
        return 1;
    }
}

double learning_rate_at(const struct job_optimizer *o, int steps, int step)
{
    int done = step - 1, warmup = o->warmup_steps;
    double progress;

    if (o->schedule == SCHEDULE_CONSTANT)
        return o->learning_rate;
    if (done < warmup)
        return o->learning_rate * done / at_least_one(warmup);
    progress = (done - warmup) / at_least_one(steps - warmup);
    return o->learning_rate * decay(o, done, progress < 1 ? progress : 1);
}

double gradient_norm(const float *g, size_t n)
{
    double sum = 0;
    size_t i;

#pragma omp simd reduction(+ : sum)
    for (i = 0; i < n; i++)
        sum += (double)g[i] * (double)g[i];
    return sqrt(sum);
}

double clip_factor(const struct job_optimizer *o, double norm)
{
    double factor;

    if (o->clip_norm == 0)
        return 1;
    factor = o->clip_norm / (norm + 1e-6);
    return factor < 1 ? factor : 1;
}

void adamw_step(const struct job_optimizer *o, double rate, int t, double factor, const float *g,
                float *p, float *m, float *v, size_t n)
{
    double b1 = o->beta1, b2 = o->beta2, epsilon = o->epsilon;
    double shrink = 1 - rate * o->weight_decay;
    double step = rate / (1 - pow(b1, t)), correction = 1 / sqrt(1 - pow(b2, t));
    size_t i;

#pragma omp simd
    for (i = 0; i < n; i++) {
        double gi = factor * (double)g[i];
        double mi = b1 * (double)m[i] + (1 - b1) * gi;
        double vi = b2 * (double)v[i] + (1 - b2) * gi * gi;
        m[i] = (float)mi;
        v[i] = (float)vi;
        p[i] = (float)((double)p[i] * shrink - step * mi / (sqrt(vi) * correction + epsilon));
    }
}
