/* worker/sampling.c - see sampling.h. No filter sorts the vocabulary: the k largest are kept in
 * order while it is read, and a token with less than (1 - p) / V cannot be in the nucleus, since
 * all such tokens together have less than 1 - p. */
#include "worker/sampling.h"
#include "core/rng.h"
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct candidate {
    double weight; /* exp(logit - the largest) */
    int id;
};

struct sampler {
    int V;
    bool *marked;                 /* (V) */
    struct candidate *candidates; /* (V) */
};

struct sampling sampling_default(void)
{
    return (struct sampling){.top_p = 1, .repetition_penalty = 1};
}

int sampler_open(int V, struct sampler **ret, struct err *err)
{
    struct sampler *s = calloc(1, sizeof(*s));

    if (s) {
        s->V = V;
        s->marked = calloc((size_t)V, sizeof(*s->marked));
        s->candidates = calloc((size_t)V, sizeof(*s->candidates));
    }
    if (!s || !s->marked || !s->candidates) {
        sampler_close(s);
        return err_nomem(err, (size_t)V * sizeof(*s->candidates));
    }
    *ret = s;
    return 0;
}

void sampler_close(struct sampler *s)
{
    if (!s)
        return;
    free(s->marked);
    free(s->candidates);
    free(s);
}

static int likeliest(const float *logits, int V)
{
    int v, best = 0;

    for (v = 1; v < V; v++)
        if (logits[v] > logits[best])
            best = v;
    return best;
}

/* Each token once, however often it has occurred. */
static void penalise(struct sampler *s, double penalty, const struct seen *seen, int n,
                     float *logits)
{
    for (int i = 0; i < n; i++)
        for (int k = 0; k < seen[i].n; k++) {
            int32_t id = seen[i].ids[k];
            if (s->marked[id])
                continue;
            s->marked[id] = true;
            logits[id] = logits[id] < 0 ? logits[id] * (float)penalty : logits[id] / (float)penalty;
        }
    for (int i = 0; i < n; i++)
        for (int k = 0; k < seen[i].n; k++)
            s->marked[seen[i].ids[k]] = false;
}

static void keep_largest(const struct sampler *s, int k, float *logits)
{
    float largest[SAMPLING_TOP_K_MAX]; /* falling */
    int n = 0;

    for (int v = 0; v < s->V; v++) {
        int at = n < k ? n : k - 1;
        if (n == k && logits[v] <= largest[at])
            continue;
        n += n < k;
        for (; at > 0 && largest[at - 1] < logits[v]; at--)
            largest[at] = largest[at - 1];
        largest[at] = logits[v];
    }
    for (int v = 0; v < s->V; v++)
        if (logits[v] < largest[n - 1])
            logits[v] = -INFINITY;
}

/* Falling weights; equal ones by their ids. */
static int by_weight(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    if (x->weight != y->weight)
        return x->weight < y->weight ? 1 : -1;
    return x->id - y->id;
}

static void keep_nucleus(struct sampler *s, double p, float *logits)
{
    float most = logits[likeliest(logits, s->V)];
    double all = 0, before = 0;
    int n = 0;

    for (int v = 0; v < s->V; v++)
        all += exp((double)(logits[v] - most));
    for (int v = 0; v < s->V; v++) {
        double weight = exp((double)(logits[v] - most));
        if (weight < (1 - p) * all / s->V)
            logits[v] = -INFINITY;
        else
            s->candidates[n++] = (struct candidate){weight, v};
    }
    qsort(s->candidates, (size_t)n, sizeof(*s->candidates), by_weight);
    for (int i = 0; i < n; i++) {
        if (i > 0 && before >= p * all)
            logits[s->candidates[i].id] = -INFINITY;
        before += s->candidates[i].weight;
    }
}

void sampler_filter(struct sampler *s, const struct sampling *how, const struct seen *seen, int n,
                    float *logits)
{
    if (how->repetition_penalty != 1)
        penalise(s, how->repetition_penalty, seen, n, logits);
    if (how->temperature <= 0)
        return;
    for (int v = 0; v < s->V; v++)
        logits[v] = (float)((double)logits[v] / how->temperature);
    if (how->top_k > 0 && how->top_k < s->V)
        keep_largest(s, how->top_k, logits);
    if (how->top_p < 1)
        keep_nucleus(s, how->top_p, logits);
}

int32_t sampler_next(struct sampler *s, const struct sampling *how, const struct seen *seen, int n,
                     long index, int position, float *logits)
{
    uint32_t counter[4] = {(uint32_t)position, (uint32_t)index, (uint32_t)(index >> 32), 0};
    double sum = 0, target;
    uint32_t words[4];
    int best, v;

    sampler_filter(s, how, seen, n, logits);
    best = likeliest(logits, s->V);
    if (how->temperature <= 0)
        return best;
    for (v = 0; v < s->V; v++)
        sum += exp((double)(logits[v] - logits[best]));
    rng_draw(rng_key(how->seed, RNG_SAMPLE), counter, words);
    target = ((double)words[0] + 0.5) / 4294967296.0 * sum;
    for (v = 0; v < s->V; v++) {
        double weight = exp((double)(logits[v] - logits[best]));
        target -= weight;
        if (target < 0 && weight > 0)
            return v;
    }
    return best; /* what rounding leaves */
}
