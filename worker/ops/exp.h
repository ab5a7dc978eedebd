/* worker/ops/exp.h - e^x in f32, in plain C that compilers vectorise; within 1.5 units in the last
 * place of the correct value (tests/ops/test_rows.c goes over the whole range).
 *
 * e^x = 2^n e^r with n = round(x / ln 2); ln 2 is subtracted in two parts (Cody & Waite 1980); e^r
 * by a minimax polynomial on |r| <= ln 2 / 2 (coefficients: Moshier, Cephes, expf).
 */
#pragma once
#include <stdint.h>
#include <string.h>

/* Limits of x. Compilers must not know their values: GCC 12 would make each of them a path of its
 * own, which it cannot vectorise for AVX2, and computes three times for AVX-512. To be made before
 * a loop. */
struct exp_range {
    float least, most;
};

static inline struct exp_range exp_range(void)
{
    float least = -87.0f, most = 88.0f;

    __asm__("" : "+m"(least), "+m"(most));
    return (struct exp_range){least, most};
}

/* e^x = 2^n (1 + q). */
struct exp_parts {
    float power, q; /* 2^n; from sqrt(1/2) - 1 to sqrt(2) - 1 */
};

static inline struct exp_parts exp_parts(float x, struct exp_range range)
{
    const float rounder = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
    float n, r, p;
    int32_t bits;

    x = x < range.least ? range.least : x;
    x = x > range.most ? range.most : x;
    n = (x * 1.44269504f + rounder) - rounder;
    r = x - n * 0.693359375f;
    r = r + n * 2.12194440e-4f;
    p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r;
    bits = ((int32_t)n + 127) << 23;
    memcpy(&n, &bits, sizeof(n));
    return (struct exp_parts){n, p};
}

static inline float exp_f32(float x, struct exp_range range)
{
    struct exp_parts e = exp_parts(x, range);

    return (e.q + 1.0f) * e.power;
}
