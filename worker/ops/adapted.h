/* worker/ops/adapted.h - what adapters add to frozen linear maps that share an input (q, k, v;
 * gate, up).
 *
 *   y_i += G_i D_i A_i x,   A_i = [lora_A ; V_k^T] (r + k, m),  D_i = diag(1, ..., 1, c),
 *                           G_i = [s lora_B | U_k] (n_i, r + k)
 *
 * (LoRA: Hu et al. 2021, eq. 3. Dash: Si et al. 2024, arXiv 2409.01035, section 4.) The A_i of the
 * group are stacked, so that all of them cost one thin product down, u = x A^T (T, width). k is 0
 * until the directions are known.
 *
 *   g_i = dy_i G_i;  dB = s dy_i^T u_lora;  dc_j = sum_t g_tj u_tj (both before D);  du = g D;
 *   dA = du_lora^T x;  dx += du A
 *
 * Where part of the output is wanted at some rows only (the last layer's q), the products with G
 * run at those rows; u, which costs little, is made at all of them.
 *
 * With dropout each LoRA branch sees its own dropped x, the dash branch sees x.
 */
#pragma once
#include "core/err.h"
#include "worker/ops/dropout.h"
#include "worker/ops/gemm.h"

enum { GROUP_MAX = GEMM_TERMS_MAX };

struct adapted_map {
    int rows;        /* n_i */
    int r;           /* its LoRA rank */
    float scale;     /* s_i */
    int y_at;        /* its first column in the group's output */
    int index;       /* in the job's struct trainable */
    unsigned module; /* for dropout */
    int u_at;        /* its first column in u */
    float *G;        /* (n_i, r + k), owned */
    float *c;        /* (k), owned */
};

struct adapted_group {
    struct adapted_map maps[GROUP_MAX];
    int n;       /* 0: nothing is adapted here */
    int columns; /* m */
    int k_max, k;
    int width; /* sum of r_i + k_max: columns of u, whether or not k is known yet */
    float *A;  /* (width, m), owned; rows of unknown directions are 0 */
};

/* Where a map's numbers are in a stage's slice of the trained vector, or of its gradient. */
struct adapted_slice {
    float *A, *B, *c;
};

/* maps' rows, r, scale, y_at, index and module are the caller's; the rest is filled in. */
int group_open(struct adapted_group *g, int columns, int k_max, struct err *err);
void group_close(struct adapted_group *g);

/* Takes map i's A, B and c as they are before a step. */
void group_load(struct adapted_group *g, int i, const float *A, const float *B, const float *c);
/* Takes map i's directions: U (n_i, k_max), V (m, k_max). */
void group_direct(struct adapted_group *g, int i, const float *U, const float *V);

/* Columns [first, last) of the group's output, at all rows of its input or at some. */
struct adapted_part {
    int first, last;
    int n;             /* rows */
    const int32_t *at; /* (n): which of the input's rows; NULL: all of them, in order */
    float *y;          /* (n, ldy), or the gradient to it */
    int ldy;
};

struct adapted_scratch {
    float *u;       /* (T, width) */
    float *some;    /* (2, T, width), only with parts at some rows */
    float *dropped; /* (T, m), only with dropout */
};

/* Writes u (T, width), and u D to the scratch. drop is NULL or has p > 0; its module is set here.
 */
void group_down(struct team *team, const struct adapted_group *g, float *u, const float *x, int T,
                const struct dropout *drop, struct adapted_scratch scratch);
/* What then adds the maps to a part of the output; returns how many terms. The scratch is read by
 * them. A group has one part at all rows, or one at all rows and one at some. */
int group_up(const struct adapted_group *g, const struct adapted_part *part,
             struct adapted_scratch scratch, struct gemm_term terms[GEMM_TERMS_MAX]);

/* Given the parts' dy, writes the maps' dB and dc to grads (one a map), and du to the scratch. */
void group_up_backward(struct team *team, const struct adapted_group *g,
                       const struct adapted_slice *grads, const struct adapted_part *parts,
                       int n_parts, const float *u, int T, struct adapted_scratch scratch);
/* What then adds du A to dx (T, m); returns how many terms. Without dropout. */
int group_down_backward(const struct adapted_group *g, struct adapted_scratch scratch,
                        struct gemm_term terms[GEMM_TERMS_MAX]);
/* Writes the maps' dA. With dropout it adds to dx (T, m), too, where that is not NULL. */
void group_input_backward(struct team *team, const struct adapted_group *g,
                          const struct adapted_slice *grads, float *dx, const float *x, int T,
                          const struct dropout *drop, struct adapted_scratch scratch);
