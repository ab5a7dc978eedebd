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
 *
 * The rows whose output is wanted may be fewer than those that come in: n of T. The others need
 * their k and v alone, so that q, o, the MLP and the norms after attention run at n rows.
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
#include "worker/work_clock.h"

/* The four places of a layer where adapters sit, in the order of the forward pass. */
enum group_kind { GROUP_QKV, GROUP_O, GROUP_GU, GROUP_DOWN, GROUPS };

struct layer {
    int index;
    struct weight w[GROUPS];                 /* (N, C), (C, H D), (2F, C), (C, F) */
    float *bias[GROUPS];                     /* (N), (C), (2F), (C), owned; NULL: none */
    float *norms;                            /* all weights of norms in order of norm_kind, owned */
    struct rmsnorm pre1, post1, pre2, post2; /* w NULL: none */
    struct qk_norm_op q_norm, k_norm;        /* w NULL: none */
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
    bool bf16;         /* products with frozen matrices round their factors */
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

/* The frozen matrix of a kind in its layer: (rows, columns) as model_module_shape() says. */
struct weight_rows layer_matrix(const struct layer_shape *s, const struct layer *l,
                                enum module_kind kind);
enum group_kind group_of(enum module_kind kind);
/* Columns of the group's input, and of its output. */
int group_columns(const struct layer_shape *s, enum group_kind group);
int group_rows(const struct layer_shape *s, enum group_kind group);

/* The rows of a pass through a layer. */
struct layer_rows {
    const struct batch_rows *all;  /* T */
    const struct batch_rows *some; /* n, whose output is wanted; the same pointer: all */
};

/* What a forward pass keeps of one layer and micro-batch. */
struct layer_acts {
    float *x;                    /* (T, C): the input, written by the caller */
    float *rstd1, *rstd2;        /* (T), (n), of the norms before */
    float *raw_q, *raw_k;        /* (n, H D), (T, G D): before they are normalised */
    float *q_rstd, *k_rstd;      /* (n, H), (T, G) */
    struct attention_arrays qkv; /* after rope; where n is T, one array (T, N) */
    float *lse;                  /* (n, H) */
    float *att;                  /* (n, Q) */
    float *m;                    /* (n, C) */
    float *gu;                   /* (n, 2F) */
    float *branch1, *branch2;    /* (n, C), before the norms behind, which some models have */
    float *branch_rstd1, *branch_rstd2; /* (n) */
    float *u[GROUPS];                   /* (T, width) of qkv, (n, width) */
};

/* Floats that layer_acts of T rows, n of them wanted, take, and where they lie in memory of that
 * size. */
size_t layer_acts_floats(const struct layer_shape *s, int T, int n);
void layer_acts_place(const struct layer_shape *s, int T, int n, float *memory,
                      struct layer_acts *ret);

/* Scratch that all layers share, for up to T tokens. Contents mean nothing between calls. */
struct layer_scratch {
    float *h;          /* (T, C) */
    float *dh;         /* (T, C) */
    float *act;        /* (T, F) */
    float *dact;       /* (T, max(F, Q)) */
    float *dbranch;    /* (T, C) */
    float *wide;       /* (T, max(2F, N)) */
    float *u;          /* (T, widest group) */
    float *some_u;     /* (2, T, width of qkv) */
    float *dropped;    /* (T, max(C, F, Q)) */
    uint16_t *rounded; /* gemm_rounded() of the left-hand side of any product; NULL without bf16 */
    float *attention;
    long attention_stride;
    float *inherited; /* attention_inherited() */
    float *memory;    /* all of the above */
    size_t floats;    /* its size */
};
/* Grows the scratch to T tokens at positions below `longest`, in segments that inherit as many
 * rows. */
int layer_scratch_fit(struct layer_scratch *scratch, const struct layer_shape *s, int threads,
                      int T, int longest, long inherited, struct err *err);

struct layer_run {
    struct team *team;
    const struct layer_shape *shape;
    struct layer_scratch *scratch;
    const struct dropout *drop; /* NULL: none; rows and positions are set here */
    struct work_clock *clock;   /* NULL: none; set to WORK_ROWS between operations */
};

/* The three parts of the forward pass; generation puts its cached attention in the middle. */
void layer_project(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                   struct layer_rows rows);
void layer_attend(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                  struct layer_rows rows);
/* Writes y (n, C). It may be where x is, once the layer has no backward pass. */
void layer_finish(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                  float *y, struct layer_rows rows);

/* Makes again, from a->x, all that the forward pass kept; y is not made. */
void layer_again(const struct layer_run *run, const struct layer *l, struct layer_acts *a,
                 struct layer_rows rows);

/* Turns d, the gradient to y (n, C), into the gradient to x (T, C), and writes the gradients of the
 * layer's adapters: grads[group][map]. Without want_dx nothing below the lowest adapted group is
 * computed and d is undefined afterwards. */
void layer_backward(const struct layer_run *run, const struct layer *l, const struct layer_acts *a,
                    struct layer_rows rows, struct adapted_slice grads[GROUPS][GROUP_MAX],
                    bool want_dx, float *d);
