/* core/cpu_build.c - see cpu.h: what the compiler of the other files may use. */
#include "core/cpu.h"

const bool cpu_build_needs[CPU_FEATURES] = {
#ifdef __SSE4_2__
    [CPU_SSE4_2] = true,
#endif
#ifdef __AVX__
    [CPU_AVX] = true,
#endif
#ifdef __AVX2__
    [CPU_AVX2] = true,
#endif
#ifdef __FMA__
    [CPU_FMA] = true,
#endif
#ifdef __BMI2__
    [CPU_BMI2] = true,
#endif
#ifdef __AVX512F__
    [CPU_AVX512F] = true,
#endif
#ifdef __AVX512VL__
    [CPU_AVX512VL] = true,
#endif
#ifdef __AVX512BW__
    [CPU_AVX512BW] = true,
#endif
#ifdef __AVX512DQ__
    [CPU_AVX512DQ] = true,
#endif
#ifdef __AVX512VBMI__
    [CPU_AVX512VBMI] = true,
#endif
#ifdef __AVX512VBMI2__
    [CPU_AVX512VBMI2] = true,
#endif
#ifdef __AVX512VNNI__
    [CPU_AVX512VNNI] = true,
#endif
#ifdef __AVX512BF16__
    [CPU_AVX512BF16] = true,
#endif
};
