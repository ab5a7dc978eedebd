/* worker/ops/gemm_kernel.h - the innermost part of a product: a tile of C that stays in registers
 * (Goto and van de Geijn 2008, "Anatomy of high-performance matrix multiplication").
 *
 * For each of K terms it loads one row of B, KERNEL_COLUMNS wide, and one number of each row of A.
 * Each number of C is one sum over K in order, whatever tile it falls in.
 */
#pragma once
#include <stdbool.h>

#if defined(__AVX512F__)
enum { KERNEL_LANES = 16, KERNEL_ROWS = 8 };
#elif defined(__AVX__)
enum { KERNEL_LANES = 8, KERNEL_ROWS = 6 };
#else
enum { KERNEL_LANES = 4, KERNEL_ROWS = 6 };
#endif
enum { KERNEL_COLUMNS = 2 * KERNEL_LANES };

struct kernel_tile {
    int rows;    /* 1 to KERNEL_ROWS */
    int columns; /* 1 to KERNEL_COLUMNS */
    int K;
    const float *a; /* a[i * a_row + k * a_column] */
    long a_row, a_column;
    const float *b; /* b[k * b_row + j], j up to the next multiple of KERNEL_LANES */
    long b_row;
    float alpha;
    bool add; /* to what is in c, else it is written over */
    float *c; /* c[i * c_row + j * c_column] */
    long c_row, c_column;
};

void kernel_product(const struct kernel_tile *t);

/* Writes or adds a tile that was computed apart, with rows of KERNEL_COLUMNS, to its place in c. */
void kernel_put(const float *tile, int rows, int columns, bool add, float *c, long c_row,
                long c_column);

/* sum_k a[k] b[k], in as many sums as there are lanes. */
float kernel_dot(const float *a, const float *b, int n);

/* to[k * to_row + i] = from[i][k], i below KERNEL_LANES, k below n. */
void kernel_transpose(const float *const *from, int n, float *to, long to_row);
