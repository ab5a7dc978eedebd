/* core/tensor/dequant.c - see dequant.h.
 *
 * Every value is (scale * quant) or (scale * quant -+ minimum), each operation rounded to f32: this
 * file is compiled without contraction to fused multiply-add, which would round once and differ in
 * the last bit. Fields of a block are given by their byte offsets, d and m being f16.
 */
#include "core/tensor/dequant.h"
#include "core/tensor/dequant_impl.h"
#include <assert.h>
#if defined(__F16C__) || defined(__SSSE3__)
#include <immintrin.h>
#endif
#include <string.h>

enum { BLOCK = 32, SUPER = 256 };

static const struct tensor_layout layouts[] = {
    [TENSOR_F32] = {"F32", 1, 4},
    [TENSOR_F16] = {"F16", 1, 2},
    [TENSOR_BF16] = {"BF16", 1, 2},
    [TENSOR_F64] = {"F64", 1, 8},
    [TENSOR_I32] = {"I32", 1, 4},
    [TENSOR_I64] = {"I64", 1, 8},
    [TENSOR_Q8_0] = {"Q8_0", 32, 34},
    [TENSOR_Q4_0] = {"Q4_0", 32, 18},
    [TENSOR_Q4_1] = {"Q4_1", 32, 20},
    [TENSOR_Q5_0] = {"Q5_0", 32, 22},
    [TENSOR_Q5_1] = {"Q5_1", 32, 24},
    [TENSOR_Q2_K] = {"Q2_K", 256, 84},
    [TENSOR_Q3_K] = {"Q3_K", 256, 110},
    [TENSOR_Q4_K] = {"Q4_K", 256, 144},
    [TENSOR_Q5_K] = {"Q5_K", 256, 176},
    [TENSOR_Q6_K] = {"Q6_K", 256, 210},
    [TENSOR_IQ4_NL] = {"IQ4_NL", 32, 18},
    [TENSOR_IQ4_XS] = {"IQ4_XS", 256, 136},
    [TENSOR_MXFP4] = {"MXFP4", 32, 17},
    [TENSOR_NVFP4] = {"NVFP4", 64, 36},
    [TENSOR_TQ1_0] = {"TQ1_0", 256, 54},
    [TENSOR_TQ2_0] = {"TQ2_0", 256, 66},
    [TENSOR_IQ1_S] = {"IQ1_S", 256, 50},
    [TENSOR_IQ1_M] = {"IQ1_M", 256, 56},
    [TENSOR_IQ2_XXS] = {"IQ2_XXS", 256, 66},
    [TENSOR_IQ2_XS] = {"IQ2_XS", 256, 74},
    [TENSOR_IQ2_S] = {"IQ2_S", 256, 82},
    [TENSOR_IQ3_XXS] = {"IQ3_XXS", 256, 98},
    [TENSOR_IQ3_S] = {"IQ3_S", 256, 110},
};

const struct tensor_layout *tensor_layout(enum tensor_type type)
{
    assert(type < TENSOR_UNSUPPORTED);
    return &layouts[type];
}

static void f16(const uint8_t *p, int64_t n, float *out)
{
    int64_t i = 0;

#ifdef __F16C__
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(out + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(p + 2 * i))));
#endif
    for (; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, sizeof(h));
        out[i] = dequant_float_of_half(h);
    }
}

static void bf16(const uint8_t *p, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, sizeof(h));
        out[i] = dequant_float_of_bits((uint32_t)h << 16);
    }
}

static void f64(const uint8_t *p, int64_t n, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        double d;
        memcpy(&d, p + 8 * i, sizeof(d));
        out[i] = (float)d;
    }
}

/* ---- sixteen numbers at a time, in registers of whatever width there is ---- */

typedef uint8_t bytes __attribute__((vector_size(16)));
typedef uint16_t byte_pairs __attribute__((vector_size(16)));
typedef uint64_t byte_eights __attribute__((vector_size(16)));

static inline bytes bytes_at(const uint8_t *p)
{
    bytes q;

    memcpy(&q, p, sizeof(q));
    return q;
}

/* (q >> from) & mask, where mask takes no bit of the next byte. */
static inline bytes bits_of(bytes q, size_t from, uint8_t mask)
{
    return (bytes)((byte_pairs)q >> (uint16_t)from) & mask;
}

/* Each byte times 1 << n, which is below 256. */
static inline bytes shifted_up(bytes q, unsigned n)
{
    return (bytes)((byte_pairs)q << (uint16_t)n);
}

/* 16 where the bit of a number is set, else 0; bits: one of each, the first one the lowest. */
static inline bytes fifth_bits(uint32_t bits)
{
    static const bytes of_lane = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    static const uint64_t EACH = 0x0101010101010101;
    bytes q = (bytes)(byte_eights){EACH * (bits & 255), EACH * (bits >> 8 & 255)};

    return (bytes)((q & of_lane) != 0) & 16;
}

/* Sixteen signed numbers. */
static inline void floats_of(bytes q, float out[16])
{
#if defined(__AVX512F__)
    _mm512_storeu_ps(out, _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32((__m128i)q)));
#elif defined(__AVX2__)
    __m128i high = _mm_srli_si128((__m128i)q, 8);

    _mm256_storeu_ps(out, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32((__m128i)q)));
    _mm256_storeu_ps(out + 8, _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(high)));
#else
    int8_t x[16];

    memcpy(x, &q, sizeof(x));
    for (int i = 0; i < 16; i++)
        out[i] = (float)x[i];
#endif
}

/* No array of its own: where AddressSanitizer looks for use after return, GCC 12 takes arrays of 64
 * bytes for aligned, which they are not then. */
static inline void scaled(bytes q, float scale, float *out)
{
    floats_of(q, out);
    for (int i = 0; i < 16; i++)
        out[i] *= scale;
}

static inline void scaled_from(bytes q, float scale, float from, float *out)
{
    floats_of(q, out);
    for (int i = 0; i < 16; i++)
        out[i] = out[i] * scale + from;
}

/* ---- the types ---- */

/* d, 32 x i8 */
static void q8_0(const uint8_t *b, float *out)
{
    float d = dequant_half_at(b);

    scaled(bytes_at(b + 2), d, out);
    scaled(bytes_at(b + 18), d, out + 16);
}

/* d, 16 bytes: the low nibbles are values 0 to 15, the high ones 16 to 31 */
static void q4_0(const uint8_t *b, float *out)
{
    bytes q = bytes_at(b + 2);
    float d = dequant_half_at(b);

    scaled((q & 15) - 8, d, out);
    scaled(bits_of(q, 4, 15) - 8, d, out + 16);
}

/* d, m, nibbles */
static void q4_1(const uint8_t *b, float *out)
{
    bytes q = bytes_at(b + 4);
    float d = dequant_half_at(b), m = dequant_half_at(b + 2);

    scaled_from(q & 15, d, m, out);
    scaled_from(bits_of(q, 4, 15), d, m, out + 16);
}

/* d, 32 fifth bits, nibbles */
static void q5_0(const uint8_t *b, float *out)
{
    bytes q = bytes_at(b + 6);
    float d = dequant_half_at(b);
    uint32_t high = dequant_u32_at(b + 2);

    scaled(((q & 15) | fifth_bits(high)) - 16, d, out);
    scaled((bits_of(q, 4, 15) | fifth_bits(high >> 16)) - 16, d, out + 16);
}

/* d, m, 32 fifth bits, nibbles */
static void q5_1(const uint8_t *b, float *out)
{
    bytes q = bytes_at(b + 8);
    float d = dequant_half_at(b), m = dequant_half_at(b + 2);
    uint32_t high = dequant_u32_at(b + 4);

    scaled_from((q & 15) | fifth_bits(high), d, m, out);
    scaled_from(bits_of(q, 4, 15) | fifth_bits(high >> 16), d, m, out + 16);
}

/* 16 bytes (scale | minimum << 4), 64 bytes of 2-bit values, d, dmin. Value i of a super-block lies
 * in byte 32 * (i / 128) + i % 32, bits 2 * (i % 128 / 32). */
static void q2_k(const uint8_t *b, float *out)
{
    float d = dequant_half_at(b + 80), dmin = dequant_half_at(b + 82);

    for (size_t s = 0; s < 16; s++) {
        bytes q = bytes_at(b + 16 + s / 8 * 32 + s % 2 * 16);
        float scale = d * (float)(b[s] & 15), minimum = dmin * (float)(b[s] >> 4);
        scaled_from(bits_of(q, s % 8 / 2 * 2, 3), scale, -minimum, out + 16 * s);
    }
}

/* 32 bytes of third bits (bit i / 32 of byte i % 32; clear means minus 4), 64 bytes of 2-bit values
 * as in Q2_K, 12 bytes of sixteen 6-bit scales, d. */
static void q3_k(const uint8_t *b, float *out)
{
    const uint8_t *scales = b + 96;
    float d = dequant_half_at(b + 108);

    for (size_t s = 0; s < 16; s++) {
        bytes q = bytes_at(b + 32 + s / 8 * 32 + s % 2 * 16), high = bytes_at(b + s % 2 * 16);
        int low4 = s < 8 ? scales[s] & 15 : scales[s - 8] >> 4;
        int high2 = scales[8 + s % 4] >> (s / 4 * 2) & 3;
        float scale = d * (float)((low4 | high2 << 4) - 32);
        bytes plus = shifted_up(bits_of(high, s / 2, 1), 2);
        scaled(bits_of(q, s % 8 / 2 * 2, 3) + plus - 4, scale, out + 16 * s);
    }
}

/* The j-th of eight 6-bit (scale, minimum) pairs in the 12 bytes that Q4_K and Q5_K share. */
static void k_scale_min(const uint8_t *s, size_t j, int *ret_scale, int *ret_minimum)
{
    if (j < 4) {
        *ret_scale = s[j] & 63;
        *ret_minimum = s[j + 4] & 63;
    } else {
        *ret_scale = (s[j + 4] & 15) | (s[j - 4] >> 2 & 0x30);
        *ret_minimum = (s[j + 4] >> 4) | (s[j] >> 2 & 0x30);
    }
}

/* d, dmin, 12 bytes of scales, 128 bytes of nibbles: value i in byte 32 * (i / 64) + i % 32 */
static void q4_k(const uint8_t *b, float *out)
{
    float d = dequant_half_at(b), dmin = dequant_half_at(b + 2);

    for (size_t j = 0; j < 8; j++) {
        const uint8_t *q = b + 16 + j / 2 * 32;
        int scale, minimum;
        k_scale_min(b + 4, j, &scale, &minimum);
        float dl = d * (float)scale, ml = dmin * (float)minimum;
        scaled_from(bits_of(bytes_at(q), j % 2 * 4, 15), dl, -ml, out + 32 * j);
        scaled_from(bits_of(bytes_at(q + 16), j % 2 * 4, 15), dl, -ml, out + 32 * j + 16);
    }
}

/* d, dmin, 12 bytes of scales, 32 bytes of fifth bits (bit i / 32 of byte i % 32), nibbles as in
 * Q4_K */
static void q5_k(const uint8_t *b, float *out)
{
    float d = dequant_half_at(b), dmin = dequant_half_at(b + 2);

    for (size_t s = 0; s < 16; s++) {
        size_t j = s / 2, odd = s % 2 * 16;
        bytes q = bytes_at(b + 48 + j / 2 * 32 + odd), high = bytes_at(b + 16 + odd);
        int scale, minimum;
        k_scale_min(b + 4, j, &scale, &minimum);
        scaled_from(bits_of(q, j % 2 * 4, 15) | shifted_up(bits_of(high, j, 1), 4),
                    d * (float)scale, -(dmin * (float)minimum), out + 16 * s);
    }
}

/* 128 bytes of nibbles, 64 bytes of 2 upper bits, 16 x i8 scales, d */
static void q6_k(const uint8_t *b, float *out)
{
    const int8_t *scales = (const int8_t *)b + 192;
    float d = dequant_half_at(b + 208);

    for (size_t s = 0; s < 16; s++) {
        size_t half = s / 8, j = s % 8 / 2, odd = s % 2 * 16;
        bytes low = bytes_at(b + half * 64 + j % 2 * 32 + odd);
        bytes high = bytes_at(b + 128 + half * 32 + odd);
        scaled((bits_of(low, j / 2 * 4, 15) | shifted_up(bits_of(high, 2 * j, 3), 4)) - 32,
               d * (float)scales[s], out + 16 * s);
    }
}

/* 16 bytes of nibbles that choose from 16 values: the low ones are the first half. */
static void chosen(const uint8_t *q, const int8_t values[16], float scale, float *out)
{
#ifdef __SSSE3__
    __m128i of = (__m128i)bytes_at((const uint8_t *)values);
    bytes low = bytes_at(q) & 15, high = bits_of(bytes_at(q), 4, 15);

    scaled((bytes)_mm_shuffle_epi8(of, (__m128i)low), scale, out);
    scaled((bytes)_mm_shuffle_epi8(of, (__m128i)high), scale, out + 16);
#else
    for (int i = 0; i < 16; i++) {
        out[i] = scale * (float)values[q[i] & 15];
        out[16 + i] = scale * (float)values[q[i] >> 4];
    }
#endif
}

static const int8_t iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                      1,    13,   25,  38,  53,  69,  89,  113};

/* d, nibbles */
static void iq4_nl(const uint8_t *b, float *out)
{
    chosen(b + 2, iq4_values, dequant_half_at(b), out);
}

/* d, 8 x 2 upper bits of scales, 8 nibbles of scales, nibbles */
static void iq4_xs(const uint8_t *b, float *out)
{
    uint32_t high = (uint32_t)b[2] | (uint32_t)b[3] << 8;
    float d = dequant_half_at(b);

    for (size_t s = 0; s < 8; s++) {
        int scale = (b[4 + s / 2] >> (s % 2 * 4) & 15) | (int)(high >> (2 * s) & 3) << 4;
        chosen(b + 8 + 16 * s, iq4_values, d * (float)(scale - 32), out + 32 * s);
    }
}

/* E2M1, doubled (OCP Microscaling Formats 1.0, section 5.3). */
static const int8_t fp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* One byte e: 2^(e - 128), nibbles of fp4_values */
static void mxfp4(const uint8_t *b, float *out)
{
    uint32_t e = b[0], bits = e < 2 ? 0x00200000u << e : (e - 1) << 23;

    chosen(b + 1, fp4_values, dequant_float_of_bits(bits), out);
}

/* Half of an unsigned E4M3, which is 0 where it is not a number. */
static float half_of_ue4m3(uint8_t x)
{
    uint32_t exponent = x >> 3 & 15, mantissa = x & 7;

    if (x == 0x7f)
        return 0;
    if (exponent == 0)
        return (float)mantissa * 0x1p-10f;
    return dequant_float_of_bits((exponent + 127 - 8) << 23 | mantissa << 20);
}

/* 4 x UE4M3, 4 x 8 bytes of nibbles of fp4_values: of each eight, the low ones are the first half
 */
static void nvfp4(const uint8_t *b, float *out)
{
    for (size_t s = 0; s < 4; s++) {
        const uint8_t *q = b + 4 + 8 * s;
        float scale = half_of_ue4m3(b[s]);
        for (size_t i = 0; i < 8; i++) {
            out[16 * s + i] = scale * (float)fp4_values[q[i] & 15];
            out[16 * s + 8 + i] = scale * (float)fp4_values[q[i] >> 4];
        }
    }
}

/* Values -1, 0 and 1: digits to the base of 3, the first one the highest, of n bytes. Byte j holds
 * values j, j + n, ... of the part. */
static float *ternary(const uint8_t *q, int n, int digits, float d, float *out)
{
    unsigned power = 1;

    for (int digit = 0; digit < digits; digit++, power *= 3)
        for (int i = 0; i < n; i++) {
            unsigned rest = q[i] * power & 255;
            *out++ = d * (float)((int)(rest * 3 >> 8) - 1);
        }
    return out;
}

/* 48 bytes of five digits, 4 of four, d */
static void tq1_0(const uint8_t *restrict b, float *restrict out)
{
    float d = dequant_half_at(b + 52);

    out = ternary(b, 32, 5, d, out);
    out = ternary(b + 32, 16, 5, d, out);
    ternary(b + 48, 4, 4, d, out);
}

/* 64 bytes of 2-bit values, as in Q2_K, d */
static void tq2_0(const uint8_t *b, float *out)
{
    float d = dequant_half_at(b + 64);

    for (int i = 0; i < SUPER; i++)
        out[i] = d * (float)((b[i / 128 * 32 + i % 32] >> (2 * (i % 128 / 32)) & 3) - 1);
}

typedef void (*block_fn)(const uint8_t *block, float *out);

static block_fn block_reader(enum tensor_type type)
{
    static const block_fn readers[] = {
        [TENSOR_Q8_0] = q8_0,
        [TENSOR_Q4_0] = q4_0,
        [TENSOR_Q4_1] = q4_1,
        [TENSOR_Q5_0] = q5_0,
        [TENSOR_Q5_1] = q5_1,
        [TENSOR_Q2_K] = q2_k,
        [TENSOR_Q3_K] = q3_k,
        [TENSOR_Q4_K] = q4_k,
        [TENSOR_Q5_K] = q5_k,
        [TENSOR_Q6_K] = q6_k,
        [TENSOR_IQ4_NL] = iq4_nl,
        [TENSOR_IQ4_XS] = iq4_xs,
        [TENSOR_MXFP4] = mxfp4,
        [TENSOR_NVFP4] = nvfp4,
        [TENSOR_TQ1_0] = tq1_0,
        [TENSOR_TQ2_0] = tq2_0,
        [TENSOR_IQ1_S] = dequant_iq1_s,
        [TENSOR_IQ1_M] = dequant_iq1_m,
        [TENSOR_IQ2_XXS] = dequant_iq2_xxs,
        [TENSOR_IQ2_XS] = dequant_iq2_xs,
        [TENSOR_IQ2_S] = dequant_iq2_s,
        [TENSOR_IQ3_XXS] = dequant_iq3_xxs,
        [TENSOR_IQ3_S] = dequant_iq3_s,
    };

    assert(type < TENSOR_UNSUPPORTED && readers[type]);
    return readers[type];
}

void dequant(enum tensor_type type, const void *src, int64_t n, float *out)
{
    const struct tensor_layout *l = tensor_layout(type);
    const uint8_t *p = src;
    block_fn read;

    switch (type) {
    case TENSOR_F32:
        memcpy(out, src, (size_t)n * sizeof(*out));
        return;
    case TENSOR_F16:
        f16(p, n, out);
        return;
    case TENSOR_BF16:
        bf16(p, n, out);
        return;
    case TENSOR_F64:
        f64(p, n, out);
        return;
    default:
        break;
    }
    read = block_reader(type);
    for (int64_t i = 0; i < n; i += l->block_elements, p += l->block_bytes)
        read(p, out + i);
}
