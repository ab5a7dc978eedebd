/* core/tensor/dequant_impl.h - what dequant.c shares with dequant_iq.c: numbers in blocks, and the
 * readers of a block.
 */
#pragma once
#ifdef __F16C__
#include <immintrin.h>
#endif
#include <stdint.h>
#include <string.h>

static inline float dequant_float_of_bits(uint32_t bits)
{
    float f;

    memcpy(&f, &bits, sizeof(f));
    return f;
}

/* Selects, not branches, so that a loop over it is vectorised; no f32 subnormal arises on the way.
 */
static inline float dequant_float_of_half(uint32_t h)
{
    uint32_t sign = (h & 0x8000) << 16, exponent = h & 0x7c00, mantissa = h & 0x3ff;
    float subnormal = (float)(int32_t)mantissa * 0x1p-24f;
    uint32_t bits, rest = (h & 0x7fff) << 13;

    memcpy(&bits, &subnormal, sizeof(bits));
    bits = exponent == 0 ? bits : rest + (112u << 23);
    bits = exponent == 0x7c00 ? rest | 0x7f800000 : bits;
    return dequant_float_of_bits(sign | bits);
}

static inline uint32_t dequant_u16_at(const uint8_t *p)
{
    uint16_t h;

    memcpy(&h, p, sizeof(h));
    return h;
}

static inline float dequant_half_at(const uint8_t *p)
{
#ifdef __F16C__
    return _cvtsh_ss((uint16_t)dequant_u16_at(p));
#else
    return dequant_float_of_half(dequant_u16_at(p));
#endif
}

static inline uint32_t dequant_u32_at(const uint8_t *p)
{
    uint32_t v;

    memcpy(&v, p, sizeof(v));
    return v;
}

/* Each reads one block of 256 values. */
void dequant_iq2_xxs(const uint8_t *b, float *out);
void dequant_iq2_xs(const uint8_t *b, float *out);
void dequant_iq2_s(const uint8_t *b, float *out);
void dequant_iq3_xxs(const uint8_t *b, float *out);
void dequant_iq3_s(const uint8_t *b, float *out);
void dequant_iq1_s(const uint8_t *b, float *out);
void dequant_iq1_m(const uint8_t *b, float *out);
