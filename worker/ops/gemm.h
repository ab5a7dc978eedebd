/* worker/ops/gemm.h - matrix products over the team.
 *
 * Row-major f32. Each number of C is one sum over K, whose order follows from K alone, so a
 * product's bits do not depend on the number of threads. `ld` are distances between rows.
 */
#pragma once
#include "worker/team.h"

enum gemm_form {
    GEMM_NT, /* C (M, N) = A (M, K) . B (N, K)^T: a linear map */
    GEMM_NN, /* C (M, N) = A (M, K) . B (K, N):   its gradient to the input */
    GEMM_TN, /* C (M, N) = A (K, M)^T . B (K, N): its gradient to the weight */
};

struct matrix {
    const float *at;
    int ld;
};

/* C = alpha * product + beta * C; beta is 0 or 1. Any of M, N, K may be 0. */
void gemm(struct team *team, enum gemm_form form, int M, int N, int K, float alpha, struct matrix A,
          struct matrix B, float beta, float *C, int ldc);

/* The same in the calling thread. */
void gemm_one(enum gemm_form form, int M, int N, int K, float alpha, struct matrix A,
              struct matrix B, float beta, float *C, int ldc);
