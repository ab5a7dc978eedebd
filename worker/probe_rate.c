/* worker/probe_rate.c - how fast this node multiplies float matrices, of a size that training has
 * too. */
#include "core/clock.h"
#include "worker/ops/gemm.h"
#include "worker/probe.h"
#include <stdlib.h>

enum { M = 512, N = 1536, K = 1536, ROWS_A_THREAD = 128 };

static const double rate_seconds = 0.4;

/* GFLOP/s of C (m, N) = A (m, K) . B (N, K)^T, the first product, which touches memory, not
 * counted: on average, and of the fastest product, which other programs disturbed least. */
static double measure(struct team *team, int m, const float *A, const float *B, float *C,
                      double *ret_best)
{
    double start = 0, before = 0, s, fastest = 0;
    int n = -1;

    do {
        if (n == 0)
            start = clock_s();
        before = clock_s();
        gemm(team, GEMM_NT, m, N, K, 1, (struct matrix){A, K}, (struct matrix){B, K}, 0, C, N);
        s = clock_s() - before;
        if (n++ >= 0 && (fastest == 0 || s < fastest))
            fastest = s;
        s = clock_s() - start;
    } while (n == 0 || s < rate_seconds);
    *ret_best = 2.0 * m * N * K / fastest / 1e9;
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
static int measure_with(int threads, double *ret_rate, double *ret_best, struct err *err)
{
    int m = ROWS_A_THREAD * threads > M ? ROWS_A_THREAD * threads : M, rc;
    float *A = numbers((size_t)m * K), *B = numbers((size_t)N * K);
    float *C = malloc((size_t)m * N * sizeof(*C));
    struct team *team = NULL;

    rc = A && B && C ? team_open(threads, &team, err) : err_nomem(err, (size_t)m * N * sizeof(*C));
    if (rc == 0)
        *ret_rate = measure(team, m, A, B, C, ret_best);
    team_close(team);
    free(A);
    free(B);
    free(C);
    return rc;
}

int probe_rate(int threads, json_t *found, struct err *err)
{
    double one = 0, all = 0, best = 0;
    int rc = measure_with(1, &one, &best, err);

    if (rc == 0)
        rc = measure_with(threads, &all, &best, err);
    if (rc < 0)
        return rc;
    json_object_set_new(found, "one", json_real(one));
    json_object_set_new(found, "all", json_real(all));
    json_object_set_new(found, "best", json_real(best));
    return 0;
}
