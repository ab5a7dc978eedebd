/* worker/layer.h - one layer of a decoder: its frozen weights, its adapters, its forward and
 * backward pass, as core/model/architecture.h describes them.
 *
 *   h = pre1(x);  qkv = h Wqkv^T + adapters + bias;  norm(q, k);  rope(q, k);  a = attention(qkv)
 *   m = x + scale post1(a Wo^T + adapters + bias);  h = pre2(m);  gu = h Wgu^T + adapters + bias
 *   y = m + scale post2(act(g) u Wdown^T + adapters + bias)
 *
 * T tokens, C channels, F of the MLP, N = (H + 2G) D. q, k, v and gate, up are one matrix each,
 * whether or not the model's file has them so. A norm, a bias or a scale that a model lacks costs
 * nothing. The forward pass keeps what the backward pass cannot cheaply make again: normalised
 * inputs and act(g) u are made again.
 */
#pragma once
#include "core/err.h"
#include "core/model/model.h"
#include "core/job/trainable.h"
#include "worker/batch.h"
#include "worker/ops/adapted.h"
#include "worker/ops/attention.h"
#include "worker/ops/qk_norm.h"
#include "worker/ops/rmsnorm.h"
#include "worker/ops/rope.h"
#include "worker/team.h"

/* The four places of a layer where adapters sit, in the order of the forward pass. */
enum group_kind { GROUP_QKV, GROUP_O, GROUP_GU, GROUP_DOWN, GROUPS };

struct layer {
    int index;
    float *w[GROUPS];                        /* (N, C), (C, H D), (2F, C), (C, F), owned */
    float *bias[GROUPS];                     /* (N), (C), (2F), (C), owned; NULL: none */
    float *norms;                            /* all weights of norms in order of norm_kind, owned */
    struct rmsnorm pre1, post1, pre2, post2; /* w NULL: none */
    struct qk_norm_op qk;                    /* q NULL: none */
    struct attention attention;              /* with the layer's window */
    bool rotated, local_rope;
    struct adapted_group group[GROUPS];
};

/* Sizes and tools that all layers share. */
struct layer_shape {
    const struct model_config *config; /* borrowed */
    int C, F, N, Q;                    /* Q = H D */
    int H, G, D;
    struct rope rope;
    int width[GROUPS]; /* columns of u of each group, in the layer that has the most */
    float residual;    /* of branches */
};

/* Of layers [first, last). config must outlive the shape. */
void layer_shape_open(const struct trainable *trainable, int first, int last,
                      const struct model_config *config, struct layer_shape *ret);
void layer_shape_close(struct layer_shape *s);

/* Allocates and reads layer `index`; adapters are zero until loaded. Safe to call for several
 * layers at once. */
int layer_load(const struct layer_shape *s, const struct model *model, int index,
               const struct trainable *trainable, struct layer *ret, struct err *err);
void layer_close(struct layer *l);
/* Numbers of all weights of norms. */
size_t layer_norm_numbers(const struct model_config *c);

/* The frozen matrix of a kind in its layer: (rows, columns) as model_module_shape() says,
 * row-major. */
const float *layer_matrix(const struct layer_shape *s, const struct layer *l,
                          enum module_kind kind);
enum group_kind group_of(enum module_kind kind);
/* Columns of the group's input, and of its output. */
int group_columns(const struct layer_shape *s, enum group_kind group);
int group_rows(const struct layer_shape *s, enum group_kind group);

/* What a forward pass keeps of one layer and micro-batch. */
struct layer_acts {
    float *x;                 /* (T, C): the input, written by the caller */
    float *rstd1, *rstd2;     /* (T), of the norms before */
    float *raw, *qk_rstd;     /* (T, (H + G) D), (T, H + G): before q and k are normalised */
    float *qkv;               /* (T, N), after rope */
    float *lse;               /* (T, H) */
    float *att;               /* (T, Q) */
    float *m;                 /* (T, C) */
    float *gu;                /* (T, 2F) */
    float *branch1, *branch2; /* (T, C), before the norms behind, which some models have */
    float *branch_rstd1, *branch_rstd2; /* (T) */
    float *u[GROUPS];                   /* (T, width) */
};

/* Floats that layer_acts of T tokens take, and where they lie in memory of that size. */
size_t layer_acts_floats(const struct layer_shape *s, int T);
void layer_acts_place(const struct layer_shape *s, int T, float *memory, struct layer_acts *ret);

/* Scratch that all layers share, for up to T tokens. Contents mean nothing between calls. */
struct layer_scratch {
    float *h;       /* (T, C) */
    float *dh;      /* (T, C) */
    float *act;     /* (T, F) */
    float *dact;    /* (T, max(F, Q)) */
    float *dbranch; /* (T, C) */
    float *wide;    /* (T, max(2F, N)) */
    float *u;       /* (T, widest group) */
    float *dropped; /* (T, max(C, F, Q)) */
    float *attention;
    long attention_stride;
    float *memory; /* all of the above */
    size_t floats; /* its size */
};
/* Grows the scratch to T tokens in segments of at most `longest`. */
int layer_scratch_fit(struct layer_scratch *scratch, const struct layer_shape *s, int threads,
                      int T, int longest, struct err *err);

struct layer_run {
    struct team *team;
    const struct layer_shape *shape;
    struct layer_scratch *scratch;
    const struct dropout *drop; /* NULL: none */
};

/* The three parts of the forward pass; generation puts its cached attention in the middle. */
void layer_project(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                   struct token_positions at, int T);
void layer_attend(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                  struct segments segments);
/* Writes y (T, C). */
void layer_finish(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                  float *y, int T);

/* Turns d (T, C), the gradient to y, into the gradient to x, and writes the gradients of the
 * layer's adapters: grads[group][map]. Without want_dx nothing below the lowest adapted group is
 * computed and d is undefined afterwards. */
void layer_backward(const struct layer_run *run, const struct layer *l, const struct layer_acts *a,
                    const struct batch *batch, struct adapted_slice grads[GROUPS][GROUP_MAX],
                    bool want_dx, float *d);
