/* tests/unit/worker/test_spectrum.c - decompositions of matrices whose singular values and vectors
 * are known because the test built them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "core/rng.h"
#include "worker/ops/gemm.h"
#include "worker/decompose.h"
#include "worker/spectrum.h"
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err err;

static double draw(uint32_t i, uint32_t stream)
{
    uint32_t counter[4] = {i, stream, 0, 0}, words[4];

    rng_draw(rng_key(9, RNG_INIT), counter, words);
    return 2 * (double)rng_unit(words[0]) - 1;
}

/* count orthonormal vectors of length n, by Gram and Schmidt on random ones, twice. */
static double *orthonormal(int count, int n, uint32_t stream)
{
    double *q = malloc((size_t)count * (size_t)n * sizeof(*q));
    int i, j, a, pass;

    for (i = 0; i < count; i++) {
        double *v = q + i * n, norm = 0;
        for (a = 0; a < n; a++)
            v[a] = draw((uint32_t)(i * n + a), stream);
        for (pass = 0; pass < 2; pass++)
            for (j = 0; j < i; j++) {
                double dot = 0;
                for (a = 0; a < n; a++)
                    dot += v[a] * q[j * n + a];
                for (a = 0; a < n; a++)
                    v[a] -= dot * q[j * n + a];
            }
        for (a = 0; a < n; a++)
            norm += v[a] * v[a];
        for (a = 0; a < n; a++)
            v[a] /= sqrt(norm);
    }
    return q;
}

struct known {
    int n, m, p;
    double *u, *v, *sigma; /* rows are vectors */
    float *W;
};

static struct known build(int n, int m, double smallest)
{
    struct known k = {n, m, n < m ? n : m, NULL, NULL, NULL, NULL};
    int i, a, b;

    k.u = orthonormal(k.p, n, 1);
    k.v = orthonormal(k.p, m, 2);
    k.sigma = malloc((size_t)k.p * sizeof(double));
    k.W = malloc((size_t)(n * m) * sizeof(float));
    for (i = 0; i < k.p; i++)
        k.sigma[i] = i == k.p - 1 ? smallest : 2.0 * (k.p - i);
    for (a = 0; a < n; a++)
        for (b = 0; b < m; b++) {
            double sum = 0;
            for (i = 0; i < k.p; i++)
                sum += k.sigma[i] * k.u[i * n + a] * k.v[i * m + b];
            k.W[a * m + b] = (float)sum;
        }
    return k;
}

static void free_known(struct known *k)
{
    free(k->u), free(k->v), free(k->sigma), free(k->W);
}

/* B A is 0.5 u_3 v_3^T + 0.25 u_1 v_1^T: delta_3 = 0.5 s / sigma_3, delta_1 = 0.25 s / sigma_1, all
 * others 0. */
static void check_identification(const struct known *k, const struct spectrum *s)
{
    float *A = malloc((size_t)(2 * k->m) * sizeof(float)),
          *B = malloc((size_t)(2 * k->n) * sizeof(float));
    double scale = 2, outer;
    struct trainable_map map = {.rows = k->n, .columns = k->m};
    struct direction_set set;
    struct directions d;
    int a, b;

    for (b = 0; b < k->m; b++) {
        A[b] = (float)k->v[3 * k->m + b];
        A[k->m + b] = (float)k->v[k->m + b];
    }
    for (a = 0; a < k->n; a++) {
        B[2 * a] = (float)(0.5 * k->u[3 * k->n + a]);
        B[2 * a + 1] = (float)(0.25 * k->u[k->n + a]);
    }
    assert_int_equal(direction_set_open(&set, &map, 1, 2, &err), 0);
    d = set.of[0];
    assert_int_equal(spectrum_identify(s, k->W, A, B, 2, scale, &d, &err), 0);
    assert_int_equal(d.indices[0], 3);
    assert_int_equal(d.indices[1], 1);
    assert_true(fabs(d.delta[0] / (0.5 * scale / k->sigma[3]) - 1) < 1e-5);
    assert_true(fabs(d.delta[1] / (0.25 * scale / k->sigma[1]) - 1) < 1e-5);
    assert_true(*d.next_delta < 1e-4 * d.delta[1]);
    for (a = 0; a < k->n; a++)
        for (b = 0; b < k->m; b++) {
            outer = (double)d.U[a * 2] * (double)d.V[b * 2];
            assert_true(fabs(outer - k->u[3 * k->n + a] * k->v[3 * k->m + b]) < 1e-5);
        }
    direction_set_close(&set);
    free(A), free(B);
}

static void check_shape(int n, int m, double smallest, bool both_sides)
{
    struct known k = build(n, m, smallest);
    struct spectrum s;
    int i;

    assert_int_equal(spectrum_compute(k.W, n, m, &s, &err), 0);
    assert_int_equal(s.f != NULL, both_sides);
    for (i = 0; i < k.p - both_sides; i++)
        assert_true(fabs(s.sigma[i] - k.sigma[i]) < 1e-5);
    check_identification(&k, &s);
    spectrum_free(&s);
    free_known(&k);
}

static void known_directions_are_found_whichever_side_is_shorter(void **state)
{
    (void)state;
    check_shape(9, 14, 1.5, false);
    check_shape(14, 9, 1.5, false);
    check_shape(11, 11, 1.5, false);
}

static void ill_conditioned_matrices_keep_both_sides(void **state)
{
    (void)state;
    check_shape(9, 14, 1e-12, true);
    check_shape(14, 9, 1e-12, true);
}

static void cache_gives_back_the_same_bits(void **state)
{
    char path[] = "/tmp/spectrum-test-XXXXXX";
    struct known k = build(9, 14, 1e-12);
    struct spectrum s, again;
    int fd = mkstemp(path);

    (void)state;
    close(fd);
    assert_int_equal(spectrum_compute(k.W, 9, 14, &s, &err), 0);
    assert_int_equal(spectrum_write(&s, path, &err), 0);
    assert_int_equal(spectrum_read(path, 9, 14, &again, &err), 0);
    assert_memory_equal(s.sigma, again.sigma, 9 * sizeof(double));
    assert_memory_equal(s.e, again.e, 81 * sizeof(double));
    assert_memory_equal(s.f, again.f, 9 * 14 * sizeof(double));
    spectrum_free(&again);
    assert_true(spectrum_read(path, 14, 14, &again, &err) < 0);
    unlink(path);
    spectrum_free(&s);
    free_known(&k);
}

static void take_one(const char *cache, const struct known *k, struct spectrum *ret)
{
    struct decompose_matrix matrix = {0, k->W, k->n, k->m};
    struct decompose *d;

    assert_int_equal(decompose_start(&matrix, 1, cache, &d, &err), 0);
    assert_int_equal(decompose_result(d, 0, ret, &err), 0);
    decompose_stop(d);
}

/* With a cache, without one, and with one that cannot be written. */
static void background_thread_gives_the_same_bits_with_and_without_a_cache(void **state)
{
    char folder[] = "/tmp/spectra-test-XXXXXX", command[64];
    struct known k = build(9, 14, 1.5);
    struct spectrum direct, s;
    const char *caches[3] = {NULL, "/proc/no/such/folder", mkdtemp(folder)};
    int i, again;

    (void)state;
    assert_int_equal(spectrum_compute(k.W, 9, 14, &direct, &err), 0);
    for (i = 0; i < 3; i++)
        for (again = 0; again < 2; again++) {
            take_one(caches[i], &k, &s);
            assert_memory_equal(s.e, direct.e, 81 * sizeof(double));
            spectrum_free(&s);
        }
    spectrum_free(&direct);
    free_known(&k);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_directions_are_found_whichever_side_is_shorter),
        cmocka_unit_test(ill_conditioned_matrices_keep_both_sides),
        cmocka_unit_test(cache_gives_back_the_same_bits),
        cmocka_unit_test(background_thread_gives_the_same_bits_with_and_without_a_cache),
    };

    gemm_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
