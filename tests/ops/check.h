/* tests/ops/check.h - comparing kernels with double-precision references that are computed another
 * way. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "core/rng.h"
#include "worker/team.h"

/* n numbers in [-1, 1), the same for the same stream. */
static inline float *random_floats(size_t n, uint32_t stream)
{
    float *x = malloc((n + 1) * sizeof(*x));
    uint32_t words[4];
    size_t i;

    for (i = 0; i < n; i++) {
        uint32_t counter[4] = {(uint32_t)i, stream, 0, 0};
        rng_draw(rng_key(7, RNG_INIT), counter, words);
        x[i] = 2 * rng_unit(words[0]) - 1;
    }
    return x;
}

static inline double *to_double(const float *x, size_t n)
{
    double *d = malloc((n + 1) * sizeof(*d));
    size_t i;

    for (i = 0; i < n; i++)
        d[i] = (double)x[i];
    return d;
}

/* f32 rounding of sums of a few hundred terms of size 1. */
static const double TOLERANCE = 2e-5;

static inline void assert_close(const char *what, size_t i, double got, double want)
{
    if (fabs(got - want) > TOLERANCE * (1 + fabs(want)))
        fail_msg("%s[%zu] is %.9g, should be %.9g", what, i, got, want);
}

/* A scalar function of x (n), in double: usually sum(weights * forward(x)). */
typedef double objective(const void *context, const double *x);

/* Compares gradient (n) with central differences of f at x, at every coordinate, or at about `most`
 * of them. */
static inline void check_gradient(const char *what, objective *f, const void *context,
                                  const float *x, const float *gradient, size_t n, size_t most)
{
    double *at = to_double(x, n);
    const double h = 1e-5; /* error h^2 of the difference against 1e-16 / h of rounding */
    size_t i, stride = n > most ? n / most | 1 : 1;

    for (i = 0; i < n; i += stride) {
        double up, down, keep = at[i];
        at[i] = keep + h;
        up = f(context, at);
        at[i] = keep - h;
        down = f(context, at);
        at[i] = keep;
        assert_close(what, i, (double)gradient[i], (up - down) / (2 * h));
    }
    free(at);
}

static inline struct team *new_team(int threads)
{
    struct team *team;
    struct err err;

    assert_int_equal(team_open(threads, &team, &err), 0);
    return team;
}
