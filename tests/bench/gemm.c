/* tests/bench/gemm.c - the rate of a layer's matrix products, as training calls them: the ceiling
 * of its speed on this machine.
 *
 * usage: bench_gemm     prints a line for 1 thread and one for all: threads, 1e9 operations/s
 *
 * The shapes are SmolLM2-135M's, forward and backward to the input; the fastest of some rounds
 * counts, since other programs on the machine can only slow one down.
 */
#include "core/clock.h"
#include "worker/ops/gemm.h"
#include <sched.h>
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
static double round_of(struct team *team, const float *x, const float *w, float *y)
{
    double start = clock_s();

    for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
        int n = maps[i][0], k = maps[i][1];
        gemm(team, GEMM_NT, TOKENS, n, k, 1, (struct matrix){x, k}, (struct matrix){w, k}, 0, y, n);
        gemm(team, GEMM_NN, TOKENS, k, n, 1, (struct matrix){x, n}, (struct matrix){w, k}, 0, y, k);
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

static int measure(int threads)
{
    size_t n = (size_t)WIDEST * 1536;
    float *x = numbers(n), *w = numbers(n), *y = numbers(n);
    double best = 0;
    struct team *team;
    struct err err;

    if (!x || !w || !y || team_open(threads, &team, &err) < 0)
        return 1;
    for (int i = 0; i < ROUNDS; i++) {
        double seconds = round_of(team, x, w, y);
        if (i == 0 || seconds < best)
            best = seconds;
    }
    printf("%d %.1f\n", threads, operations() / best / 1e9);
    team_close(team);
    free(x), free(w), free(y);
    return 0;
}

int main(void)
{
    cpu_set_t set;
    int all = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;

    if (measure(1) != 0)
        return 1;
    return all > 1 ? measure(all) : 0;
}
