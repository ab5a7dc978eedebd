/* worker/layer_memory.c - see layer.h: where a pass keeps its arrays. What a model does not need
 * has no room. */
#include "worker/layer.h"
#include <stdlib.h>

/* Hands out consecutive runs of floats, each on a cache line of its own; with at NULL it only
 * counts. */
struct placer {
    float *at;
    size_t used;
};

static float *place(struct placer *p, size_t floats)
{
    float *here = p->at ? p->at + p->used : NULL;

    p->used += (floats + 15) / 16 * 16;
    return here;
}

/* With all rows wanted q, k and v are one array, so that they are one product. */
static struct attention_arrays place_qkv(const struct layer_shape *s, struct placer *p, size_t T,
                                         size_t n)
{
    int behind = s->N - s->Q;
    float *both;

    if (n < T)
        return (struct attention_arrays){place(p, n * (size_t)s->Q), place(p, T * (size_t)behind),
                                         s->Q, behind};
    both = place(p, T * (size_t)s->N);
    return (struct attention_arrays){both, both ? both + s->Q : NULL, s->N, s->N};
}

static size_t place_acts(const struct layer_shape *s, size_t T, size_t n, float *memory,
                         struct layer_acts *a)
{
    const struct model_config *c = s->config;
    struct placer p = {memory, 0};
    size_t normed = c->qk_norm == QK_NORM_NONE ? 0 : 1, behind = c->post_norm ? n : 0;
    int group;

    a->x = place(&p, T * (size_t)s->C);
    a->rstd1 = place(&p, T);
    a->rstd2 = place(&p, n);
    a->raw_q = place(&p, normed * n * (size_t)s->Q);
    a->raw_k = place(&p, normed * T * (size_t)(s->G * s->D));
    a->q_rstd = place(&p, normed * n * (size_t)s->H);
    a->k_rstd = place(&p, normed * T * (size_t)s->G);
    a->qkv = place_qkv(s, &p, T, n);
    a->lse = place(&p, n * (size_t)s->H);
    a->att = place(&p, n * (size_t)s->Q);
    a->m = place(&p, n * (size_t)s->C);
    a->gu = place(&p, n * 2 * (size_t)s->F);
    a->branch1 = place(&p, behind * (size_t)s->C);
    a->branch2 = place(&p, behind * (size_t)s->C);
    a->branch_rstd1 = place(&p, behind);
    a->branch_rstd2 = place(&p, behind);
    for (group = 0; group < GROUPS; group++)
        a->u[group] = place(&p, (group == GROUP_QKV ? T : n) * (size_t)s->width[group]);
    return p.used;
}

size_t layer_acts_floats(const struct layer_shape *s, int T, int n)
{
    struct layer_acts nowhere;

    return place_acts(s, (size_t)T, (size_t)n, NULL, &nowhere);
}

void layer_acts_place(const struct layer_shape *s, int T, int n, float *memory,
                      struct layer_acts *ret)
{
    place_acts(s, (size_t)T, (size_t)n, memory, ret);
}

static int larger(int a, int b)
{
    return a > b ? a : b;
}

/* Terms of the longest product with a frozen matrix, forward or backward. */
static size_t widest_input(const struct layer_shape *s)
{
    return (size_t)larger(larger(s->C, s->Q), larger(2 * s->F, s->N));
}

/* As much of it as says how much memory it needs. */
static struct attention heads_of(const struct layer_shape *s)
{
    return (struct attention){.H = s->H, .G = s->G, .D = s->D};
}

static size_t place_scratch(const struct layer_shape *s, int threads, size_t T, long inherited,
                            struct layer_scratch *scratch)
{
    const struct attention heads = heads_of(s);
    struct placer p = {scratch->memory, 0};
    int group, width = 0;

    for (group = 0; group < GROUPS; group++)
        width = larger(width, s->width[group]);
    scratch->h = place(&p, T * (size_t)s->C);
    scratch->dh = place(&p, T * (size_t)s->C);
    scratch->act = place(&p, T * (size_t)s->F);
    scratch->dact = place(&p, T * (size_t)larger(s->F, s->Q));
    scratch->dbranch = place(&p, T * (size_t)s->C);
    scratch->wide = place(&p, T * (size_t)larger(2 * s->F, s->N));
    scratch->u = place(&p, T * (size_t)width);
    scratch->some_u = place(&p, 2 * T * (size_t)s->width[GROUP_QKV]);
    scratch->dropped = place(&p, T * (size_t)larger(larger(s->C, s->F), s->Q));
    if (s->bf16)
        scratch->rounded = (uint16_t *)place(&p, gemm_rounded(T, widest_input(s)) / 2);
    scratch->attention = place(&p, (size_t)threads * (size_t)scratch->attention_stride);
    scratch->inherited = place(&p, attention_inherited(&heads, inherited));
    return p.used;
}

int layer_scratch_fit(struct layer_scratch *scratch, const struct layer_shape *s, int threads,
                      int T, int longest, long inherited, struct err *err)
{
    const struct attention heads = heads_of(s);
    struct layer_scratch new = {.attention_stride = attention_scratch(&heads, longest)};
    size_t floats = place_scratch(s, threads, (size_t)T, inherited, &new);

    new.memory = scratch->memory;
    new.floats = scratch->floats;
    if (floats > scratch->floats) {
        new.memory = aligned_alloc(64, floats * sizeof(float));
        new.floats = floats;
        if (!new.memory)
            return err_nomem(err, floats * sizeof(float));
        free(scratch->memory);
    }
    place_scratch(s, threads, (size_t)T, inherited, &new);
    *scratch = new;
    return 0;
}
