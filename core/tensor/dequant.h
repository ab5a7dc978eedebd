/* core/tensor/dequant.h - how values lie in a tensor file, and what they are as f32.
 *
 * A row is a run of blocks; a block holds block_elements values in block_bytes bytes: one value for
 * the plain types, 32 or 256 for GGUF's quantised ones (the layouts are ggml's; values are bit for
 * bit those of the gguf Python package).
 */
#pragma once
#include "core/tensor/tensor_type.h"
#include <stdint.h>

struct tensor_layout {
    const char *name; /* as GGUF and safetensors call it */
    int block_elements;
    int block_bytes;
};

/* Of every type but TENSOR_UNSUPPORTED. */
const struct tensor_layout *tensor_layout(enum tensor_type type);

/* Writes n values from src, which may lie anywhere (no alignment). n is a multiple of
 * block_elements. type is one of floating values or of GGUF's quantised ones. */
void dequant(enum tensor_type type, const void *src, int64_t n, float *out);
