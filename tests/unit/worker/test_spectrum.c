/* tests/unit/worker/test_spectrum.c - decompositions of matrices whose singular values and vectors
 * are known because the test built them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "core/rng.h"
#include "worker/decompose.h"
#include "worker/spectrum.h"
#include <fcntl.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err err;
enum { MATRICES = 8, FAILS = 5 };

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
    struct direction_profile p;
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
    assert_int_equal(spectrum_identify(s, k->W, A, B, 2, scale, &d, &p, &err), 0);
    assert_int_equal(d.indices[0], 3);
    assert_int_equal(d.indices[1], 1);
    assert_true(fabs(d.delta[0] / (0.5 * scale / k->sigma[3]) - 1) < 1e-5);
    assert_true(fabs(d.delta[1] / (0.25 * scale / k->sigma[1]) - 1) < 1e-5);
    /* The update is 1.0 u_3 v_3^T + 0.5 u_1 v_1^T, all of it in the two chosen ones. */
    assert_true(fabs(p.update / sqrt(1.25) - 1) < 1e-5 && fabs(p.share - 1) < 1e-4);
    assert_true(p.p == (k->n < k->m ? k->n : k->m) && p.n == p.p && p.index[3] == 3);
    assert_true(fabs((double)p.delta[3] / d.delta[0] - 1) < 1e-6);
    assert_true(fabs((double)p.sigma[1] / k->sigma[1] - 1) < 1e-5);
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

struct seen {
    const struct spectrum *expected; /* (n) */
    int n, used[MATRICES];
};

static int compare(void *context, int i, const struct spectrum *s, struct err *e)
{
    struct seen *seen = context;
    size_t p = (size_t)s->p;

    (void)e;
    __atomic_fetch_add(&seen->used[i], 1, __ATOMIC_SEQ_CST);
    if (memcmp(s->e, seen->expected[i].e, p * p * sizeof(double)) != 0)
        return err_set(e, ERR_INTERNAL, "matrix %d has other directions", i);
    return i == FAILS ? err_set(e, ERR_INTERNAL, "matrix %d fails", i) : 0;
}

static void nobody_asks(void *context)
{
    (void)context;
}

/* Uses all matrices with a team, after giving the background thread `head_start_ms`. */
static void use_all(const struct spectrum_cache *cache, const struct weight_rows *matrices, int n,
                    int threads, int head_start_ms, struct seen *seen)
{
    const struct decompose_user user = {compare, nobody_asks, seen};
    struct decompose_progress progress;
    struct decompose *d;
    struct team *team;
    int rc;

    memset(seen->used, 0, sizeof(seen->used));
    assert_int_equal(team_open(threads, &team, &err), 0);
    assert_int_equal(decompose_start(matrices, n, cache, threads, &d, &err), 0);
    usleep((useconds_t)head_start_ms * 1000);
    rc = decompose_use(d, team, &user, &err);
    assert_int_equal(rc, n > FAILS ? ERR_INTERNAL : 0);
    if (n > FAILS)
        assert_string_equal(err.text, "matrix 5 fails");
    progress = decompose_progress(d);
    assert_int_equal(progress.done, n);
    assert_int_equal(progress.n, n);
    for (int i = 0; i < n; i++)
        assert_int_equal(seen->used[i], 1);
    decompose_stop(d);
    team_close(team);
}

static long bytes_in(const char *folder)
{
    char command[120], text[32] = "";
    FILE *f;

    snprintf(command, sizeof(command), "cat %s/*.spectrum 2>/dev/null | wc -c", folder);
    f = popen(command, "r");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof(text), f));
    pclose(f);
    return strtol(text, NULL, 10);
}

/* With a cache, without one, with one that cannot be written, and with one that is too small; by
 * few threads and many, early and late. */
static void each_matrix_is_used_once_with_the_same_bits(void **state)
{
    char folder[] = "/tmp/spectra-test-XXXXXX", small[] = "/tmp/spectra-test-XXXXXX", command[120];
    struct spectrum_cache caches[] = {{NULL, 1e9},
                                      {"/proc/no/such/folder", 1e9},
                                      {mkdtemp(folder), 1e9},
                                      {folder, 1e9},
                                      {mkdtemp(small), 4000}};
    struct known k[MATRICES];
    struct weight weights[MATRICES];
    struct weight_rows matrices[MATRICES];
    struct spectrum expected[MATRICES];
    struct seen seen = {.expected = expected};

    (void)state;
    for (int i = 0; i < MATRICES; i++) {
        k[i] = build(9 + i, 14, 1.5);
        weights[i] = weight_of_floats(k[i].W, k[i].n, k[i].m);
        matrices[i] = (struct weight_rows){&weights[i], 0, k[i].n};
        assert_int_equal(spectrum_compute(k[i].W, k[i].n, k[i].m, &expected[i], &err), 0);
    }
    for (size_t c = 0; c < sizeof(caches) / sizeof(caches[0]); c++)
        for (int i = 0; i < 8; i++)
            use_all(&caches[c], matrices, i % 4 ? FAILS : MATRICES, i % 2 ? 1 : 3, i < 4 ? 0 : 20,
                    &seen);
    assert_true(bytes_in(folder) > MATRICES * 8 * 81);
    assert_in_range(bytes_in(small), 8 * 81, 4000);
    for (int i = 0; i < MATRICES; i++) {
        spectrum_free(&expected[i]);
        free_known(&k[i]);
    }
    snprintf(command, sizeof(command), "rm -r %s %s", folder, small);
    assert_int_equal(system(command), 0);
}

static char *path_of(const struct spectrum_cache *cache, const struct known *k)
{
    struct weight w = weight_of_floats(k->W, k->n, k->m);

    return spectrum_cache_path(cache, &(struct weight_rows){&w, 0, k->n});
}

static void put_at(const struct spectrum_cache *cache, const struct known *k, time_t used)
{
    const struct timespec times[2] = {{.tv_sec = used}, {.tv_sec = used}};
    char *path = path_of(cache, k);
    struct spectrum s;

    assert_non_null(path);
    assert_int_equal(spectrum_compute(k->W, k->n, k->m, &s, &err), 0);
    assert_true(spectrum_cache_put(cache, path, &s));
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    spectrum_free(&s);
    free(path);
}

static bool has(const struct spectrum_cache *cache, const struct known *k)
{
    char *path = path_of(cache, k);
    bool there = spectrum_cache_has(path, k->n, k->m);

    free(path);
    return there;
}

/* Three fit; finding one says that it was used. */
static void full_cache_loses_what_was_not_used_longest(void **state)
{
    char folder[] = "/tmp/spectra-test-XXXXXX", command[64];
    const struct spectrum_cache cache = {mkdtemp(folder), 3000};
    struct known k[4];

    (void)state;
    for (int i = 0; i < 4; i++)
        k[i] = build(9, 14 + i, 1.5);
    put_at(&cache, &k[0], 3000);
    put_at(&cache, &k[1], 1000);
    put_at(&cache, &k[2], 2000);
    assert_true(has(&cache, &k[1])); /* now the newest */
    put_at(&cache, &k[3], 4000);
    assert_true(has(&cache, &k[0]));
    assert_true(has(&cache, &k[1]));
    assert_false(has(&cache, &k[2]));
    assert_true(has(&cache, &k[3]));
    for (int i = 0; i < 4; i++)
        free_known(&k[i]);
    snprintf(command, sizeof(command), "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_directions_are_found_whichever_side_is_shorter),
        cmocka_unit_test(ill_conditioned_matrices_keep_both_sides),
        cmocka_unit_test(cache_gives_back_the_same_bits),
        cmocka_unit_test(each_matrix_is_used_once_with_the_same_bits),
        cmocka_unit_test(full_cache_loses_what_was_not_used_longest),
    };

    spectrum_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
