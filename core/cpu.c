/* core/cpu.c - see cpu.h. The compiler's own names of features, and those that people read, in
 * tables by feature. Compiled for every CPU of the architecture. */
#include "core/cpu.h"
#include <stdio.h>
#include <string.h>

static const char *const names[CPU_FEATURES] = {
    [CPU_SSE4_2] = "SSE4.2",
    [CPU_AVX] = "AVX",
    [CPU_AVX2] = "AVX2",
    [CPU_FMA] = "FMA",
    [CPU_BMI2] = "BMI2",
    [CPU_AVX512F] = "AVX-512",
    [CPU_AVX512VL] = "AVX-512 VL",
    [CPU_AVX512BW] = "AVX-512 BW",
    [CPU_AVX512DQ] = "AVX-512 DQ",
    [CPU_AVX512VBMI] = "AVX-512 VBMI",
    [CPU_AVX512VBMI2] = "AVX-512 VBMI2",
    [CPU_AVX512VNNI] = "AVX-512 VNNI",
    [CPU_AVX512BF16] = "AVX-512 BF16",
};

#ifdef __x86_64__
bool cpu_has(enum cpu_feature feature)
{
    const bool has[CPU_FEATURES] = {
        [CPU_SSE4_2] = __builtin_cpu_supports("sse4.2"),
        [CPU_AVX] = __builtin_cpu_supports("avx"),
        [CPU_AVX2] = __builtin_cpu_supports("avx2"),
        [CPU_FMA] = __builtin_cpu_supports("fma"),
        [CPU_BMI2] = __builtin_cpu_supports("bmi2"),
        [CPU_AVX512F] = __builtin_cpu_supports("avx512f"),
        [CPU_AVX512VL] = __builtin_cpu_supports("avx512vl"),
        [CPU_AVX512BW] = __builtin_cpu_supports("avx512bw"),
        [CPU_AVX512DQ] = __builtin_cpu_supports("avx512dq"),
        [CPU_AVX512VBMI] = __builtin_cpu_supports("avx512vbmi"),
        [CPU_AVX512VBMI2] = __builtin_cpu_supports("avx512vbmi2"),
        [CPU_AVX512VNNI] = __builtin_cpu_supports("avx512vnni"),
        [CPU_AVX512BF16] = __builtin_cpu_supports("avx512bf16"),
    };

    return has[feature];
}
#else
bool cpu_has(enum cpu_feature feature)
{
    (void)feature;
    return false;
}
#endif

const char *cpu_lacks(void)
{
    int i;

    for (i = 0; i < CPU_FEATURES; i++)
        if (cpu_build_needs[i] && !cpu_has((enum cpu_feature)i))
            return names[i];
    return NULL;
}

void cpu_model(char *ret_model, size_t size)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    char line[512], *value;

    snprintf(ret_model, size, "unknown");
    while (file && fgets(line, sizeof(line), file)) {
        value = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !value || !value[1])
            continue;
        value[1 + strcspn(value + 1, "\n")] = '\0';
        snprintf(ret_model, size, "%s", value + 1 + (value[1] == ' '));
        break;
    }
    if (file)
        fclose(file);
}
