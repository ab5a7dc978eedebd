/* worker/ops/bf16_kernel.h - the innermost part of a product whose factors are rounded to bf16 and
 * whose sums are f32: pairs of terms at a time, as AVX-512 BF16 multiplies them (VDPBF16PS).
 */
#pragma once
#include "worker/ops/gemm_kernel.h"
#include <stdbool.h>
#include <stdint.h>

/* Whether this build, and so the CPU that runs it, has such products. Without them nothing else of
 * this file may be called. */
bool bf16_is_possible(void);

/* Numbers in a row of a left-hand block: terms, an odd last one followed by a zero. */
enum { BF16_DEPTH = 256 };

/* Rounds a[i * a_row + k] to nearest, ties to even: out (rows, BF16_DEPTH), of any alignment. */
void bf16_round_rows(const float *a, long a_row, int rows, int depth, uint16_t *out);
/* Two terms of KERNEL_COLUMNS columns: out[column] has first[column] in its lower half and
 * second[column] in its upper one. */
void bf16_round_pairs(const float *first, const float *second, float *out);

struct bf16_tile {
    int rows;    /* 1 to KERNEL_ROWS */
    int columns; /* 1 to KERNEL_COLUMNS */
    int pairs;
    const uint16_t *a; /* (rows, BF16_DEPTH) */
    const float *b;    /* (pairs, KERNEL_COLUMNS): two terms in each */
    bool add;
    float *c; /* c[i * c_row + j] */
    long c_row;
};

void bf16_product(const struct bf16_tile *t);
