/* core/tensor/dequant_grids.h - the vectors from which ggml's types of 1 to 3.5 bits choose: a
 * value of a block is the number of one of them.
 *
 * A vector is packed in 16 bits, its first element lowest: eight elements of 2 bits, or for IQ3
 * four of 4 bits. What such an element stands for is set by dequant_iq.c.
 */
#pragma once
#include <stdint.h>

extern const uint16_t dequant_iq2_xxs_grid[256];
extern const uint16_t dequant_iq2_xs_grid[512];
extern const uint16_t dequant_iq2_s_grid[1024];
extern const uint16_t dequant_iq3_xxs_grid[256];
extern const uint16_t dequant_iq3_s_grid[512];
extern const uint16_t dequant_iq1_grid[2048];
