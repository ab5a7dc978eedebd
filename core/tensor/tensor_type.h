/* core/tensor/tensor_type.h - the types of values that a tensor file can hold. */
#pragma once

enum tensor_type {
    TENSOR_F32,
    TENSOR_F16,
    TENSOR_BF16,
    TENSOR_F64,
    TENSOR_I32,
    TENSOR_I64,
    TENSOR_Q8_0, /* GGUF only, from here on */
    TENSOR_Q4_0,
    TENSOR_Q4_1,
    TENSOR_Q5_0,
    TENSOR_Q5_1,
    TENSOR_Q2_K,
    TENSOR_Q3_K,
    TENSOR_Q4_K,
    TENSOR_Q5_K,
    TENSOR_Q6_K,
    TENSOR_IQ4_NL,
    TENSOR_IQ4_XS,
    TENSOR_MXFP4,
    TENSOR_NVFP4,
    TENSOR_TQ1_0,
    TENSOR_TQ2_0,
    TENSOR_IQ1_S,
    TENSOR_IQ1_M,
    TENSOR_IQ2_XXS,
    TENSOR_IQ2_XS,
    TENSOR_IQ2_S,
    TENSOR_IQ3_XXS,
    TENSOR_IQ3_S,
    TENSOR_UNSUPPORTED, /* a type this program cannot read: listed, and refused when read */
};
