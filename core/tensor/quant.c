/* core/tensor/quant.c - see quant.h.
 *
 * A block is scaled so that its largest number becomes the largest quant; scale and minimum are
 * stored as f16, but the quants are made with them as f32. Each operation is rounded to f32 by
 * itself, as the reference does it: this file is compiled without contraction.
 */
#include "core/tensor/quant.h"
#include "core/tensor/dequant.h"
#include <assert.h>
#include <math.h>
#include <string.h>

enum { BLOCK = 32, HALF_INFINITE = 0x7c00 };

static uint32_t bits_of(float x)
{
    uint32_t bits;

    memcpy(&bits, &x, sizeof(bits));
    return bits;
}

/* To nearest, ties to even. Of a number below the normal ones of f16 the sum with 0.5 leaves the
 * rounded bits at the end of the mantissa. */
static uint16_t half_of(float x)
{
    uint32_t bits = bits_of(x), sign = bits >> 16 & 0x8000, rest = bits & 0x7fffffff;

    if (rest >= 0x47800000) /* 65536 */
        return (uint16_t)(sign | HALF_INFINITE);
    if (rest < 0x38800000) /* 2^-14 */
        return (uint16_t)(sign | (bits_of(fabsf(x) + 0.5F) - bits_of(0.5F)));
    rest += 0xfff + (rest >> 13 & 1);
    return (uint16_t)(sign | ((rest - (112U << 23)) >> 13));
}

static uint16_t bf16_of(float x)
{
    uint32_t bits = bits_of(x);

    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Whether f16 holds it. */
static bool put_half(uint8_t *to, float x)
{
    uint16_t h = half_of(x);

    memcpy(to, &h, sizeof(h));
    return (h & HALF_INFINITE) != HALF_INFINITE;
}

static bool put_bf16(uint8_t *to, float x)
{
    uint16_t h = bf16_of(x);

    memcpy(to, &h, sizeof(h));
    return (h & 0x7f80) != 0x7f80;
}

/* 1 / d; 0 for blocks of zeros, and of numbers so small that they become zeros. */
static float inverse(float d)
{
    float id = d == 0 ? 0 : 1 / d;

    return isfinite(id) ? id : 0;
}

static bool block_q8_0(const float *x, uint8_t *out)
{
    float largest = 0, d, id;

    for (int i = 0; i < BLOCK; i++)
        largest = fmaxf(largest, fabsf(x[i]));
    d = largest / 127;
    id = inverse(d);
    for (int i = 0; i < BLOCK; i++)
        out[2 + i] = (uint8_t)(int8_t)roundf(x[i] * id);
    return put_half(out, d);
}

/* The quants of 4 bits, number i beside number i + 16; those of 5 bits have the fifth in high. */
static void put_quants(const uint8_t q[BLOCK], uint8_t *low, uint8_t *high)
{
    uint32_t fifth = 0;

    for (int i = 0; i < BLOCK / 2; i++)
        low[i] = (uint8_t)((q[i] & 15) | q[i + BLOCK / 2] << 4);
    for (int i = 0; i < BLOCK; i++)
        fifth |= (uint32_t)(q[i] >> 4) << i;
    if (high)
        memcpy(high, &fifth, sizeof(fifth));
}

static uint8_t quant_of(float x, int most)
{
    return x >= (float)most + 1 ? (uint8_t)most : (uint8_t)x;
}

/* Q4_0 and Q5_0: the number of largest magnitude becomes the lowest quant. */
static bool block_symmetric(const float *x, int bits, uint8_t *out)
{
    int half = 1 << (bits - 1);
    float extreme = x[0], d, id;
    uint8_t q[BLOCK];

    for (int i = 1; i < BLOCK; i++)
        if (fabsf(x[i]) > fabsf(extreme))
            extreme = x[i];
    d = extreme / (float)-half;
    id = inverse(d);
    for (int i = 0; i < BLOCK; i++)
        q[i] = quant_of(x[i] * id + ((float)half + 0.5F), 2 * half - 1);
    if (bits == 4)
        put_quants(q, out + 2, NULL);
    else
        put_quants(q, out + 6, out + 2);
    return put_half(out, d);
}

/* Q4_1 and Q5_1: the smallest number is quant 0. */
static bool block_affine(const float *x, int bits, uint8_t *out)
{
    int most = (1 << bits) - 1;
    float least = x[0], largest = x[0], d, id;
    uint8_t q[BLOCK];
    bool fits;

    for (int i = 1; i < BLOCK; i++) {
        least = fminf(least, x[i]);
        largest = fmaxf(largest, x[i]);
    }
    d = (largest - least) / (float)most;
    id = inverse(d);
    for (int i = 0; i < BLOCK; i++)
        q[i] = quant_of((x[i] - least) * id + 0.5F, most);
    if (bits == 4)
        put_quants(q, out + 4, NULL);
    else
        put_quants(q, out + 8, out + 4);
    fits = put_half(out, d);
    return put_half(out + 2, least) && fits;
}

static bool put_block(enum tensor_type type, const float *x, uint8_t *out)
{
    switch (type) {
    case TENSOR_F32:
        memcpy(out, x, sizeof(*x));
        return true;
    case TENSOR_F16:
        return put_half(out, *x);
    case TENSOR_BF16:
        return put_bf16(out, *x);
    case TENSOR_Q8_0:
        return block_q8_0(x, out);
    case TENSOR_Q4_0:
        return block_symmetric(x, 4, out);
    case TENSOR_Q4_1:
        return block_affine(x, 4, out);
    case TENSOR_Q5_0:
        return block_symmetric(x, 5, out);
    case TENSOR_Q5_1:
        return block_affine(x, 5, out);
    default:
        assert(!"a type that quant_can() refuses");
        return false;
    }
}

bool quant_can(enum tensor_type type)
{
    return type == TENSOR_F32 || type == TENSOR_F16 || type == TENSOR_BF16 ||
           (type >= TENSOR_Q8_0 && type <= TENSOR_Q5_1);
}

int64_t quant(enum tensor_type type, const float *from, int64_t n, void *out)
{
    const struct tensor_layout *l = tensor_layout(type);
    uint8_t *to = out;

    for (int64_t i = 0; i < n; i += l->block_elements, to += l->block_bytes)
        if (!put_block(type, from + i, to))
            return i;
    return n;
}
