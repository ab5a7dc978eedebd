/* core/cpu.h - whether this CPU can run this build, which is made for one kind of CPU
 * (-DDASH_MARCH).
 *
 * cpu.c is compiled for every CPU of the architecture, so that the question can be asked where the
 * answer is no. What the build needs is data (cpu_build.c), compiled as everything else is.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum cpu_feature {
    CPU_SSE4_2,
    CPU_AVX,
    CPU_AVX2,
    CPU_FMA,
    CPU_BMI2,
    CPU_AVX512F,
    CPU_AVX512VL,
    CPU_AVX512BW,
    CPU_AVX512DQ,
    CPU_AVX512VBMI,
    CPU_AVX512VBMI2,
    CPU_AVX512VNNI,
    CPU_AVX512BF16,
    CPU_FEATURES
};

extern const bool cpu_build_needs[CPU_FEATURES];

/* Always false where the architecture is another one. */
bool cpu_has(enum cpu_feature feature);

/* The name of a feature that the build needs and this CPU lacks; NULL: it has them all. */
const char *cpu_lacks(void);

/* As the kernel names it: "AMD EPYC 9354 32-Core Processor"; "unknown" where it does not. */
void cpu_model(char *ret_model, size_t size);
