/* worker/ops/dropout.c - see dropout.h. One draw of the generator gives four words, and each word's
 * upper and lower half decide two channels: p is resolved to 1/65536. */
#include "worker/ops/dropout.h"
#include "worker/ops/rows.h"
#include <stdbool.h>
#include <stddef.h>

enum { PER_DRAW = 8 };

struct pass {
    const struct dropout *d;
    float *out;
    const float *in;
    int C;
    bool add;
};

static void mask_row(const struct pass *p, int t)
{
    const struct dropout *d = p->d;
    uint32_t threshold = (uint32_t)(d->p * 65536.0f + 0.5f), words[4];
    uint32_t counter[4] = {0, (uint32_t)d->positions[t] | d->module << 20,
                           (uint32_t)d->rows[t] ^ d->module >> 12 << 24, d->step};
    float keep = 1.0f / (1.0f - d->p), *out = p->out + (size_t)t * p->C;
    const float *in = p->in + (size_t)t * p->C;
    int c;

    for (c = 0; c < p->C; c++) {
        uint32_t half;
        float y;
        if (c % PER_DRAW == 0) {
            counter[0] = (uint32_t)c;
            rng_draw(d->key, counter, words);
        }
        half = words[c % PER_DRAW / 2] >> (c % 2 * 16) & 0xffff;
        y = half < threshold ? 0 : in[c] * keep;
        out[c] = p->add ? out[c] + y : y;
    }
}

static void block(void *arg, int first, int last)
{
    int t;

    for (t = first; t < last; t++)
        mask_row(arg, t);
}

void dropout_forward(struct team *team, const struct dropout *d, float *y, const float *x, int T,
                     int C)
{
    struct pass p = {d, y, x, C, false};

    rows_run(team, block, &p, T);
}

void dropout_backward(struct team *team, const struct dropout *d, float *dx, const float *dy, int T,
                      int C)
{
    struct pass p = {d, dx, dy, C, true};

    rows_run(team, block, &p, T);
}
