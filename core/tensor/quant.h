/* core/tensor/quant.h - f32 numbers into the form of a tensor file: the inverse of dequant.h.
 *
 * The bytes are those of gguf.quantize() of the gguf Python package, and of ggml's reference
 * quantisers, from which it was made: rounding is to nearest, even for 16 bits, away from zero for
 * Q8_0.
 */
#pragma once
#include "core/tensor/tensor_type.h"
#include <stdbool.h>
#include <stdint.h>

/* F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0 and Q5_1. */
bool quant_can(enum tensor_type type);

/* Writes n finite numbers, a multiple of the type's block (dequant.h), to out, of any alignment.
 * Returns the first number that the type cannot hold, or whose block has a scale that it cannot
 * hold; n where there is none. What lies behind that number is undefined then. */
int64_t quant(enum tensor_type type, const float *from, int64_t n, void *out);
