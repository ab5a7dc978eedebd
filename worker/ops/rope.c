/* worker/ops/rope.c - see rope.h. Angles are computed in double and rounded once. */
#include "worker/ops/rope.h"
#include "worker/ops/rows.h"
#include <math.h>
#include <stdlib.h>

void rope_open(const struct model_config *config, struct rope *ret)
{
    *ret = (struct rope){.config = config};
}

void rope_close(struct rope *r)
{
    for (int kind = 0; kind < ROPE_KINDS; kind++) {
        free(r->cos[kind]);
        free(r->sin[kind]);
    }
    *r = (struct rope){0};
}

static void fill(struct rope *r, int kind, int positions)
{
    const struct rope_angles *a = &r->config->rope[kind];
    int pairs = r->config->rope_pairs;

    for (int i = 0; i < pairs; i++)
        for (int p = 0; p < positions; p++) {
            r->cos[kind][(size_t)p * (size_t)pairs + (size_t)i] =
                (float)(cos(p * a->freq[i]) * a->scale);
            r->sin[kind][(size_t)p * (size_t)pairs + (size_t)i] =
                (float)(sin(p * a->freq[i]) * a->scale);
        }
}

int rope_fit(struct rope *r, int positions, struct err *err)
{
    size_t n = (size_t)positions * (size_t)r->config->rope_pairs;

    if (positions <= r->positions)
        return 0;
    r->positions = 0;
    for (int kind = 0; kind < ROPE_KINDS; kind++) {
        if (!(r->config->rope[kind].scale > 0)) /* none of its layers */
            continue;
        free(r->cos[kind]);
        free(r->sin[kind]);
        r->cos[kind] = malloc(n * sizeof(float));
        r->sin[kind] = malloc(n * sizeof(float));
        if (!r->cos[kind] || !r->sin[kind])
            return err_nomem(err, 2 * n * sizeof(float));
        fill(r, kind, positions);
    }
    r->positions = positions;
    return 0;
}

struct pass {
    const struct rope *r;
    bool local;
    float *x;
    int ld, n_heads;
    struct token_positions at;
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

static enum rope_kind kind_of(const struct pass *p, int t)
{
    int from = p->r->config->rope_long_from;

    if (p->local)
        return ROPE_LOCAL;
    return from && p->at.lengths[t] > from ? ROPE_LONG : ROPE_MAIN;
}

static void block(void *arg, int first, int last)
{
    const struct pass *p = arg;
    int D = p->r->config->head_dim, pairs = p->r->config->rope_pairs, t, h;

    for (t = first; t < last; t++) {
        enum rope_kind kind = kind_of(p, t);
        const float *cos = p->r->cos[kind] + (size_t)p->at.positions[t] * (size_t)pairs;
        const float *sin = p->r->sin[kind] + (size_t)p->at.positions[t] * (size_t)pairs;
        for (h = 0; h < p->n_heads; h++) {
            float *head = p->x + (size_t)t * p->ld + (size_t)h * D;
            rotate(head, head + pairs, cos, sin, p->direction, pairs);
        }
    }
}

void rope_forward(struct team *team, const struct rope *r, bool local, float *x, int ld,
                  int n_heads, struct token_positions at, int T)
{
    struct pass p = {r, local, x, ld, n_heads, at, 1};

    rows_run(team, block, &p, T);
}

void rope_backward(struct team *team, const struct rope *r, bool local, float *dx, int ld,
                   int n_heads, struct token_positions at, int T)
{
    struct pass p = {r, local, dx, ld, n_heads, at, -1};

    rows_run(team, block, &p, T);
}
