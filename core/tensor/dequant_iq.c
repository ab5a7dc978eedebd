/* core/tensor/dequant_iq.c - ggml's types of 1 to 3.5 bits, whose values are chosen by the vector.
 *
 * A block of 256 values is 32 groups of eight. A group has the number of a vector of a grid (IQ3:
 * two, of four elements each), whose upper bits may lie elsewhere in the block, a scale that it
 * shares with others, and signs: a byte, or seven bits of which the eighth is the parity. IQ1 has a
 * shift instead of signs. As in dequant.c, each operation is rounded to f32, in gguf-py's order.
 */
#include "core/tensor/dequant_grids.h"
#include "core/tensor/dequant_impl.h"
#include <stddef.h>

enum { GROUPS = 32 };

static const int8_t iq2_elements[4] = {0x08, 0x19, 0x2b};
static const int8_t iq3_xxs_elements[16] = {0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3e};
static const int8_t iq3_s_elements[16] = {0x01, 0x03, 0x05, 0x07, 0x09, 0x0b, 0x0d, 0x0f};

static float with_sign(float value, uint32_t signs, int i)
{
    return signs >> i & 1 ? -value : value;
}

static void eight(uint16_t vector, float scale, uint32_t signs, float *out)
{
    for (int i = 0; i < 8; i++)
        out[i] = with_sign(scale * (float)iq2_elements[vector >> (2 * i) & 3], signs, i);
}

static void four(uint16_t vector, const int8_t elements[16], float scale, uint32_t signs,
                 float *out)
{
    for (int i = 0; i < 4; i++)
        out[i] = with_sign(scale * (float)elements[vector >> (4 * i) & 15], signs, i);
}

static uint32_t eight_signs(uint32_t seven)
{
    return seven | (uint32_t)__builtin_parity(seven) << 7;
}

static uint32_t nibble(const uint8_t *p, size_t i)
{
    return p[i / 2] >> (i % 2 * 4) & 15u;
}

/* d, 8 x (4 numbers, u32: 4 x 7 signs, scale << 28) */
void dequant_iq2_xxs(const uint8_t *b, float *out)
{
    float d = dequant_half_at(b);

    for (size_t g = 0; g < GROUPS; g++) {
        const uint8_t *part = b + 2 + g / 4 * 8;
        uint32_t more = dequant_u32_at(part + 4);
        float scale = d * (0.5f + (float)(more >> 28)) * 0.25f;
        uint32_t signs = eight_signs(more >> (7 * (g % 4)) & 0x7f);
        eight(dequant_iq2_xxs_grid[part[g % 4]], scale, signs, out + 8 * g);
    }
}

/* d, 32 x u16 (number | 7 signs << 9), 16 nibbles of scales */
void dequant_iq2_xs(const uint8_t *b, float *out)
{
    float d = dequant_half_at(b);

    for (size_t g = 0; g < GROUPS; g++) {
        uint32_t v = dequant_u16_at(b + 2 + 2 * g);
        float scale = d * (0.5f + (float)nibble(b + 66, g / 2)) * 0.25f;
        eight(dequant_iq2_xs_grid[v & 511], scale, eight_signs(v >> 9), out + 8 * g);
    }
}

/* d, 32 numbers, 32 bytes of signs, 32 x 2 upper bits of the numbers, 16 nibbles of scales */
void dequant_iq2_s(const uint8_t *b, float *out)
{
    float d = dequant_half_at(b);

    for (size_t g = 0; g < GROUPS; g++) {
        uint32_t high = b[66 + g / 4] >> (2 * (g % 4)) & 3u;
        float scale = d * (0.5f + (float)nibble(b + 74, g / 2)) * 0.25f;
        eight(dequant_iq2_s_grid[b[2 + g] | high << 8], scale, b[34 + g], out + 8 * g);
    }
}

/* d, 64 numbers, 8 x u32: 4 x 7 signs, scale << 28 */
void dequant_iq3_xxs(const uint8_t *b, float *out)
{
    float d = dequant_half_at(b);

    for (size_t g = 0; g < GROUPS; g++) {
        const uint8_t *q = b + 2 + 2 * g;
        uint32_t more = dequant_u32_at(b + 66 + g / 4 * 4);
        float scale = d * (0.5f + (float)(more >> 28)) * 0.5f;
        uint32_t signs = eight_signs(more >> (7 * (g % 4)) & 0x7f);
        four(dequant_iq3_xxs_grid[q[0]], iq3_xxs_elements, scale, signs, out + 8 * g);
        four(dequant_iq3_xxs_grid[q[1]], iq3_xxs_elements, scale, signs >> 4, out + 8 * g + 4);
    }
}

/* d, 64 numbers, 64 ninth bits of them, 32 bytes of signs, 8 nibbles of scales */
void dequant_iq3_s(const uint8_t *b, float *out)
{
    float d = dequant_half_at(b);

    for (size_t g = 0; g < GROUPS; g++) {
        const uint8_t *q = b + 2 + 2 * g;
        uint32_t high = b[66 + g / 4] >> (2 * (g % 4)) & 3u, signs = b[74 + g];
        float scale = d * (float)(1 + 2 * nibble(b + 106, g / 4));
        four(dequant_iq3_s_grid[q[0] | (high & 1) << 8], iq3_s_elements, scale, signs, out + 8 * g);
        four(dequant_iq3_s_grid[q[1] | (high & 2) << 7], iq3_s_elements, scale, signs >> 4,
             out + 8 * g + 4);
    }
}

/* Elements -1, 0 and 1, shifted by an eighth. */
static void shifted(uint16_t vector, float scale, float shift, float *out)
{
    for (int i = 0; i < 8; i++)
        out[i] = scale * ((float)((vector >> (2 * i) & 3) - 1) + shift);
}

/* d, 32 numbers, 8 x u16: 4 x 3 upper bits of the numbers, scale << 12, sign of the shift << 15 */
void dequant_iq1_s(const uint8_t *b, float *out)
{
    float d = dequant_half_at(b);

    for (size_t g = 0; g < GROUPS; g++) {
        uint32_t more = dequant_u16_at(b + 34 + g / 4 * 2);
        uint32_t high = more >> (3 * (g % 4)) & 7;
        float scale = d * (float)(2 * (more >> 12 & 7) + 1), shift = more >> 15 ? -0.125f : 0.125f;
        shifted(dequant_iq1_grid[b[2 + g] | high << 8], scale, shift, out + 8 * g);
    }
}

/* 32 numbers, 32 nibbles (3 upper bits of the numbers, sign of the shift), 4 x u16: 4 x 3 bits of
 * scales, 4 bits of d << 12 */
void dequant_iq1_m(const uint8_t *b, float *out)
{
    uint32_t half = 0;
    float d;

    for (size_t i = 0; i < 4; i++)
        half |= dequant_u16_at(b + 48 + 2 * i) >> 12 << (4 * i);
    d = dequant_float_of_half(half);
    for (size_t g = 0; g < GROUPS; g++) {
        uint32_t more = nibble(b + 32, g), scales = dequant_u16_at(b + 48 + g / 8 * 2);
        float scale = d * (float)(2 * (scales >> (3 * (g / 2 % 4)) & 7) + 1);
        float shift = more & 8 ? -0.125f : 0.125f;
        shifted(dequant_iq1_grid[b[g] | (more & 7) << 8], scale, shift, out + 8 * g);
    }
}
