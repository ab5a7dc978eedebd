/* worker/probe_rate.c - see probe.h: how fast float matrices are multiplied, and how fast they
 * should be.
 *
 *   GFLOP/s of a core = GHz * floating point operations a cycle
 *
 * The latter are 2 (multiply and add) * lanes * units: AVX2 2 * 8 * 2 = 32, AVX-512 2 * 16 * 2
 * = 64. Half of that where there is one unit, or where one takes two cycles (Zen 4 with AVX-512,
 * Zen 1 with AVX2). The measure is what the BLAS finds on this CPU, whatever the rest is compiled
 * for.
 */
#include "core/cpu.h"
#include "core/clock.h"
#include "worker/ops/gemm.h"
#include "worker/probe.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { M = 512, N = 1536, K = 1536, ROWS_A_THREAD = 128 };

static const double rate_seconds = 0.4;

/* ---- what the CPU should give ---- */

static bool is_amd_family(int family)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    bool amd = false, same = false;
    char line[512];
    int n;

    while (file && fgets(line, sizeof(line), file) && line[0] != '\n') {
        amd |= strstr(line, "AuthenticAMD") != NULL;
        same |= sscanf(line, "cpu family : %d", &n) == 1 && n == family;
    }
    if (file)
        fclose(file);
    return amd && same;
}

/* Intel's servers have a second AVX-512 unit, but for the lower ones of the first two generations;
 * its other CPUs have none. */
static bool has_one_avx512_unit(void)
{
    static const char *const lower[] = {"Bronze", "Silver 41", "Silver 42", "Gold 51", "Gold 52"};
    char model[128];
    size_t i;

    cpu_model(model, sizeof(model));
    for (i = 0; i < sizeof(lower) / sizeof(lower[0]); i++)
        if (strstr(model, lower[i]))
            return true;
    return strstr(model, "Intel") && !strstr(model, "Xeon");
}

static double flop_per_cycle(void)
{
    enum { ZEN_1 = 0x17, ZEN_4 = 0x19 };

    if (cpu_has(CPU_AVX512F))
        return is_amd_family(ZEN_4) || has_one_avx512_unit() ? 32 : 64;
    if (cpu_has(CPU_AVX2) && cpu_has(CPU_FMA))
        return is_amd_family(ZEN_1) ? 16 : 32; /* Zen 2 shares the number: a bar too low for it */
    return cpu_has(CPU_AVX) ? 16 : 8;
}

static double read_ghz(const char *file)
{
    char path[128];
    double khz = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu0/cpufreq/%s", file);
    f = fopen(path, "re");
    if (f) {
        if (fscanf(f, "%lf", &khz) != 1)
            khz = 0;
        fclose(f);
    }
    return khz / 1e6;
}

/* Of the fastest core at this moment. */
static double ghz_now(void)
{
    FILE *file = fopen("/proc/cpuinfo", "re");
    double most = 0, mhz;
    char line[512];

    while (file && fgets(line, sizeof(line), file))
        if (sscanf(line, "cpu MHz : %lf", &mhz) == 1 && mhz > most)
            most = mhz;
    if (file)
        fclose(file);
    return most / 1e3;
}

/* The first of these that the kernel knows. With all cores at work the highest clock is not to be
 * had. */
static double ghz(bool all_cores)
{
    double g = all_cores ? read_ghz("base_frequency") : 0;

    if (g == 0)
        g = read_ghz("cpuinfo_max_freq");
    return g > 0 ? g : ghz_now();
}

/* The first of the threads that share a core stands for it. */
static int physical_cores(int threads)
{
    cpu_set_t set;
    int i, n = 0;

    if (sched_getaffinity(0, sizeof(set), &set) < 0)
        return threads;
    for (i = 0; i < CPU_SETSIZE; i++) {
        char path[128];
        int first = i;
        FILE *f;
        if (!CPU_ISSET(i, &set))
            continue;
        snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list",
                 i);
        f = fopen(path, "re");
        if (f && fscanf(f, "%d", &first) != 1)
            first = i;
        if (f)
            fclose(f);
        n += first == i || !CPU_ISSET(first, &set);
    }
    return n > 0 && n < threads ? n : threads;
}

/* ---- what it gives ---- */

/* GFLOP/s of C (m, N) = A (m, K) . B (N, K)^T, the first product, which touches memory, not
 * counted. */
static double measure(struct team *team, int m, const float *A, const float *B, float *C)
{
    double start = 0, s;
    int n = -1;

    do {
        if (n == 0)
            start = clock_s();
        gemm(team, GEMM_NT, m, N, K, 1, (struct matrix){A, K}, (struct matrix){B, K}, 0, C, N);
        n++;
        s = clock_s() - start;
    } while (n == 0 || s < rate_seconds);
    return 2.0 * m * N * K * n / s / 1e9;
}

static float *numbers(size_t n)
{
    float *x = malloc(n * sizeof(*x));
    size_t i;

    for (i = 0; x && i < n; i++)
        x[i] = (float)(i % 97) / 97 - 0.5F;
    return x;
}

/* Rows enough for tiles enough for all threads. */
static int measure_with(int threads, double *ret_rate, struct err *err)
{
    int m = ROWS_A_THREAD * threads > M ? ROWS_A_THREAD * threads : M, rc;
    float *A = numbers((size_t)m * K), *B = numbers((size_t)N * K);
    float *C = malloc((size_t)m * N * sizeof(*C));
    struct team *team = NULL;

    rc = A && B && C ? team_open(threads, &team, err) : err_nomem(err, (size_t)m * N * sizeof(*C));
    if (rc == 0)
        *ret_rate = measure(team, m, A, B, C);
    team_close(team);
    free(A);
    free(B);
    free(C);
    return rc;
}

int probe_rate(int threads, json_t *found, struct err *err)
{
    double one = 0, all = 0, a_cycle = flop_per_cycle();
    int rc = measure_with(1, &one, err);

    if (rc == 0)
        rc = measure_with(threads, &all, err);
    if (rc < 0)
        return rc;
    json_object_set_new(found, "one", json_real(one));
    json_object_set_new(found, "all", json_real(all));
    json_object_set_new(found, "one_expected", json_real(a_cycle * ghz(false)));
    json_object_set_new(found, "all_expected",
                        json_real(a_cycle * ghz(true) * physical_cores(threads)));
    return 0;
}
