/* worker/spectrum.h - the singular directions of a frozen matrix, and which of them training has
 * moved.
 *
 * W (n, m) = sum_i sigma_i u_i v_i^T, sigma descending. Only the vectors of the shorter side are
 * kept: with n <= m, e_i = u_i comes from the eigenvectors of W W^T and v_i = W^T u_i / sigma_i
 * follows; with n > m the sides are exchanged. Where W is so ill-conditioned that this would lose
 * the small directions, a full SVD is taken and both sides are kept. All in double, in one thread:
 * the same W gives the same bits in every process.
 *
 * The sign of a pair (u, v) is fixed: the component of e_i that is largest in magnitude (the first
 * of equals) is positive.
 */
#pragma once
#include "core/err.h"
#include "core/job/direction_profile.h"
#include "core/job/directions.h"
#include <stddef.h>
#include <stdint.h>

struct spectrum {
    int rows, columns, p; /* n, m, min(n, m) */
    double *sigma;        /* (p) */
    double *e;            /* (p, p): row i is the shorter side's vector i */
    double *f;            /* (p, max(n, m)): the longer side's, or NULL */
};

/* Makes the BLAS single-threaded: call once before anything else of this file. */
void spectrum_init(void);
int spectrum_compute(const float *W, int rows, int columns, struct spectrum *ret, struct err *err);
void spectrum_free(struct spectrum *s);

/* A safetensors file. */
int spectrum_write(const struct spectrum *s, const char *path, struct err *err);
int spectrum_read(const char *path, int rows, int columns, struct spectrum *ret, struct err *err);
/* Whether spectrum_read() would read it, memory aside. */
int spectrum_check(const char *path, int rows, int columns, struct err *err);

/* n numbers as doubles; the caller frees them. NULL for lack of memory. */
double *spectrum_widen(const float *x, size_t n);

/* ret_profile may be NULL. delta_i = |u_i^T dW v_i| / max(sigma_i, 1e-6 sigma_1) with dW = scale B
 * A (arXiv 2409.01035, section 4.1); the k largest, ties to the lower i. A (r, m), B (n, r); ret
 * says k and has its arrays. */
int spectrum_identify(const struct spectrum *s, const float *W, const float *A, const float *B,
                      int r, double scale, struct directions *ret,
                      struct direction_profile *ret_profile, struct err *err);
