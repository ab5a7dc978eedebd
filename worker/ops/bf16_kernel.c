/* worker/ops/bf16_kernel.c - see bf16_kernel.h. As gemm_kernel.c, with the CPU's own instructions:
 * the compiler's vectors do not know this product. */
#include "worker/ops/bf16_kernel.h"

#ifdef __AVX512BF16__
#include <immintrin.h>
#include <string.h>

bool bf16_is_possible(void)
{
    return true;
}

static __m256i rounded(const float *x)
{
    return (__m256i)_mm512_cvtneps_pbh(_mm512_loadu_ps(x));
}

void bf16_round_rows(const float *a, long a_row, int rows, int depth, uint16_t *out)
{
    for (int i = 0; i < rows; i++, a += a_row, out += BF16_DEPTH) {
        float last[KERNEL_LANES] = {0};
        int k = 0;
        for (; k + KERNEL_LANES <= depth; k += KERNEL_LANES)
            _mm256_storeu_si256((__m256i *)(void *)(out + k), rounded(a + k));
        if (k == depth)
            continue;
        memcpy(last, a + k, (size_t)(depth - k) * sizeof(float));
        _mm256_storeu_si256((__m256i *)(void *)(out + k), rounded(last));
    }
}

void bf16_round_pairs(const float *first, const float *second, float *out)
{
    for (int j = 0; j < KERNEL_COLUMNS; j += KERNEL_LANES) {
        __m512i low = _mm512_cvtepu16_epi32(rounded(first + j));
        __m512i high = _mm512_cvtepu16_epi32(rounded(second + j));
        _mm512_storeu_si512(out + j, _mm512_or_si512(low, _mm512_slli_epi32(high, 16)));
    }
}

static __m512bh pair_of(const uint16_t *at)
{
    int both;

    memcpy(&both, at, sizeof(both));
    return (__m512bh)_mm512_set1_epi32(both);
}

static inline __attribute__((always_inline)) void whole(const struct bf16_tile *t, int rows)
{
    __m512 sum[KERNEL_ROWS][2];
    const uint16_t *a = t->a;
    const float *b = t->b;

    for (int i = 0; i < rows; i++)
        sum[i][0] = sum[i][1] = _mm512_setzero_ps();
#pragma GCC unroll 4
    for (int k = 0; k < t->pairs; k++, a += 2, b += KERNEL_COLUMNS) {
        __m512bh first = (__m512bh)_mm512_loadu_si512(b);
        __m512bh second = (__m512bh)_mm512_loadu_si512(b + KERNEL_LANES);
#pragma GCC unroll 8
        for (int i = 0; i < rows; i++) {
            __m512bh x = pair_of(a + (long)i * BF16_DEPTH);
            sum[i][0] = _mm512_dpbf16_ps(sum[i][0], x, first);
            sum[i][1] = _mm512_dpbf16_ps(sum[i][1], x, second);
        }
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < 2; j++) {
            float *c = t->c + i * t->c_row + (long)(long)j * KERNEL_LANES;
            _mm512_storeu_ps(c, t->add ? _mm512_add_ps(_mm512_loadu_ps(c), sum[i][j]) : sum[i][j]);
        }
}

#define ROWS(n)                                                                                    \
    case n:                                                                                        \
        whole(t, n);                                                                               \
        break;

static void whole_of(const struct bf16_tile *t)
{
    switch (t->rows) {
        ROWS(1)
        ROWS(2)
        ROWS(3)
        ROWS(4)
        ROWS(5)
        ROWS(6)
        ROWS(7)
        ROWS(8)
    }
}

static void product_apart(const struct bf16_tile *t)
{
    float some[KERNEL_ROWS * KERNEL_COLUMNS] = {0};
    struct bf16_tile apart = *t;

    apart.c = some;
    apart.c_row = KERNEL_COLUMNS;
    apart.add = false;
    whole_of(&apart);
    kernel_put(some, t->rows, t->columns, t->add, t->c, t->c_row, 1);
}

void bf16_product(const struct bf16_tile *t)
{
    if (t->columns == KERNEL_COLUMNS)
        whole_of(t);
    else
        product_apart(t);
}

#else
#include <assert.h>

bool bf16_is_possible(void)
{
    return false;
}

void bf16_round_rows(const float *a, long a_row, int rows, int depth, uint16_t *out)
{
    (void)a, (void)a_row, (void)rows, (void)depth, (void)out;
    assert(false);
}

void bf16_round_pairs(const float *first, const float *second, float *out)
{
    (void)first, (void)second, (void)out;
    assert(false);
}

void bf16_product(const struct bf16_tile *t)
{
    (void)t;
    assert(false);
}
#endif
