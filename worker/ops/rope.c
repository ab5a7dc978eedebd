/* worker/ops/rope.c - see rope.h. Angles are computed in double and rounded once. */
#include "worker/ops/rope.h"
#include "worker/ops/rows.h"
#include <math.h>
#include <stdlib.h>

/* Llama 3's rule: long waves are slowed by `factor`, short ones kept, those between blended. */
static double rescale(const struct model_config *c, double freq)
{
    double wave = 2 * M_PI / freq, blend;

    if (c->rope_factor <= 0 || wave < c->rope_original_positions / c->rope_high_freq)
        return freq;
    if (wave > c->rope_original_positions / c->rope_low_freq)
        return freq / c->rope_factor;
    blend = (c->rope_original_positions / wave - c->rope_low_freq) /
            (c->rope_high_freq - c->rope_low_freq);
    return (1 - blend) * freq / c->rope_factor + blend * freq;
}

int rope_open(const struct model_config *config, int positions, struct rope *ret, struct err *err)
{
    int D = config->head_dim, half = D / 2, p, i;
    size_t n = (size_t)positions * (size_t)half;
    struct rope r = {.positions = positions, .D = D};

    r.cos = malloc(n * sizeof(float));
    r.sin = malloc(n * sizeof(float));
    if (!r.cos || !r.sin) {
        rope_close(&r);
        return err_nomem(err, 2 * n * sizeof(float));
    }
    for (i = 0; i < half; i++) {
        double freq = rescale(config, pow(config->rope_theta, -2.0 * i / D));
        for (p = 0; p < positions; p++) {
            r.cos[(size_t)p * half + i] = (float)cos(p * freq);
            r.sin[(size_t)p * half + i] = (float)sin(p * freq);
        }
    }
    *ret = r;
    return 0;
}

void rope_close(struct rope *r)
{
    free(r->cos);
    free(r->sin);
    *r = (struct rope){0};
}

struct pass {
    const struct rope *r;
    float *x;
    int ld, n_heads;
    const int32_t *positions;
    float direction; /* 1 forward, -1 back */
};

static void rotate(float *low, float *high, const float *cos, const float *sin, float direction,
                   int half)
{
    int i;

    for (i = 0; i < half; i++) {
        float a = low[i], b = high[i], s = direction * sin[i];
        low[i] = a * cos[i] - b * s;
        high[i] = b * cos[i] + a * s;
    }
}

static void block(void *arg, int first, int last)
{
    const struct pass *p = arg;
    int D = p->r->D, half = D / 2, t, h;

    for (t = first; t < last; t++) {
        const float *cos = p->r->cos + (size_t)p->positions[t] * half;
        const float *sin = p->r->sin + (size_t)p->positions[t] * half;
        for (h = 0; h < p->n_heads; h++) {
            float *head = p->x + (size_t)t * p->ld + (size_t)h * D;
            rotate(head, head + half, cos, sin, p->direction, half);
        }
    }
}

void rope_forward(struct team *team, const struct rope *r, float *x, int ld, int n_heads,
                  const int32_t *positions, int T)
{
    struct pass p = {r, x, ld, n_heads, positions, 1};

    rows_run(team, block, &p, T);
}

void rope_backward(struct team *team, const struct rope *r, float *dx, int ld, int n_heads,
                   const int32_t *positions, int T)
{
    struct pass p = {r, dx, ld, n_heads, positions, -1};

    rows_run(team, block, &p, T);
}
