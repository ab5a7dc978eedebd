/* tests/bench/gemm.c - the rate of a layer's matrix products, as training calls them: the ceiling
 * of its speed on this machine.
 *
 * usage: bench_gemm     prints a line for 1 thread and one for all: threads, 1e9 operations/s in
 *                       f32, and in bf16 where the CPU has such products
 *
 * The shapes are SmolLM2-135M's, forward and backward to the input; the fastest of some rounds
 * counts, since other programs on the machine can only slow one down.
 */
#include "core/clock.h"
#include "core/cpus.h"
#include "worker/ops/bf16_kernel.h"
#include "worker/ops/gemm.h"
#include <stdio.h>
#include <stdlib.h>

enum { TOKENS = 512, WIDEST = 3072, ROUNDS = 30 };

static const int maps[][2] = {{960, 576}, {576, 576}, {3072, 576}, {576, 1536}}; /* N, K */

static float *numbers(size_t n)
{
    float *x = malloc(n * sizeof(*x));

    for (size_t i = 0; x && i < n; i++)
        x[i] = (float)(i * 2654435761u % 1000) / 1000 - 0.5f;
    return x;
}

/* Seconds of all products once. */
static double round_of(struct team *team, const float *x, const float *w, float *y, bool bf16)
{
    double start = clock_s();

    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        int n = maps[i][0], k = maps[i][1];
        struct weight frozen = weight_of_floats(w, n, k);
        frozen.bf16 = bf16;
        gemm_weight(team, GEMM_NT, TOKENS, &frozen, 0, n, (struct matrix){x, k}, 0, y, n);
        gemm_weight(team, GEMM_NN, TOKENS, &frozen, 0, n, (struct matrix){x, n}, 0, y, k);
    }
    return clock_s() - start;
}

static double operations(void)
{
    double sum = 0;

    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
        sum += 4.0 * TOKENS * maps[i][0] * maps[i][1];
    return sum;
}

/* 1e9 operations a second, of the fastest round. */
static double rate(struct team *team, const float *x, const float *w, float *y, bool bf16)
{
    double best = 0;

    for (int i = 0; i < ROUNDS; i++) {
        double seconds = round_of(team, x, w, y, bf16);
        if (i == 0 || seconds < best)
            best = seconds;
    }
    return operations() / best / 1e9;
}

static int measure(int threads)
{
    size_t n = (size_t)WIDEST * 1536;
    float *x = numbers(n), *w = numbers(n), *y = numbers(n);
    struct team *team;
    struct err err;

    if (!x || !w || !y || team_open(threads, &team, &err) < 0)
        return 1;
    printf("%d %.1f", threads, rate(team, x, w, y, false));
    if (bf16_is_possible())
        printf(" %.1f", rate(team, x, w, y, true));
    printf("\n");
    team_close(team);
    free(x), free(w), free(y);
    return 0;
}

int main(void)
{
    int all = cpus_allowed();

    if (measure(1) != 0)
        return 1;
    return all > 1 ? measure(all) : 0;
}
