/* worker/ops/gemm.h - matrix products over the team.
 *
 * Row-major f32. Each number of C is one sum over K, whose order follows from K alone, so a
 * product's bits do not depend on the number of threads. `ld` are distances between rows.
 */
#pragma once
#include "core/tensor/weight.h"
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

/* The same where B is rows [first, last) of a frozen matrix: C (M, last - first) for GEMM_NT, whose
 * K is the matrix's columns; C (M, columns) for GEMM_NN, whose K is last - first. Its bits are
 * those of a product with the expanded matrix. Where the matrix says bf16, A and it are rounded to
 * bf16 and summed in f32 (bf16_is_possible() must be true). */
void gemm_weight(struct team *team, enum gemm_form form, int M, const struct weight *w, int first,
                 int last, struct matrix A, float beta, float *C, int ldc);

/* C's columns [column, column + columns) += A (M, K) . B: of the form GEMM_NT or GEMM_NN. */
struct gemm_term {
    enum gemm_form form;
    int column, columns, K;
    struct matrix A, B;
};

enum { GEMM_TERMS_MAX = 3 };

/* What is done to columns of C as soon as they are there, while they lie in the cache, in this
 * order. */
struct gemm_then {
    /* Not behind the product but in front of it: gemm_rounded(M, K) numbers, where A is rounded to
     * once if the matrix says bf16. NULL: it is rounded for each strip of C. */
    uint16_t *rounded;
    const float *bias; /* of each column; NULL: none */
    int n;
    struct gemm_term terms[GEMM_TERMS_MAX];
    /* Called with rows and columns of C that are complete, from any thread of the team; all calls
     * together cover C. NULL: nothing. `halves`: with columns of C's first half, those at the same
     * place in the second half being complete, too; GEMM_NT alone. */
    void (*finish)(const void *arg, int first_row, int last_row, int column, int columns);
    const void *arg;
    bool halves;
};

size_t gemm_rounded(size_t M, size_t K);

/* gemm_weight(), and then `then`. */
void gemm_weight_then(struct team *team, enum gemm_form form, int M, const struct weight *w,
                      int first, int last, struct matrix A, float beta, float *C, int ldc,
                      const struct gemm_then *then);

/* As gemm() in the calling thread. */
void gemm_one(enum gemm_form form, int M, int N, int K, float alpha, struct matrix A,
              struct matrix B, float beta, float *C, int ldc);
