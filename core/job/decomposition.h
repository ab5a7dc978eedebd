/* core/job/decomposition.h - what decomposing a frozen (rows, columns) matrix costs
 * (worker/spectrum.c), for those who plan it. */
#pragma once

/* Bytes in memory while it is made: the matrix in double, the Gram matrix of its shorter side, and
 * what LAPACK needs for that one's eigenvectors, three times as much. */
double decomposition_bytes(int rows, int columns);
/* Bytes of what is kept of it, in memory or in a file. */
double decomposition_kept_bytes(int rows, int columns);
/* Grows as its time does, which is about decomposition_work() / DECOMPOSITION_PACE seconds on one
 * core. */
double decomposition_work(int rows, int columns);
static const double DECOMPOSITION_PACE = 1.2e10; /* measured on a Zen 4; half of it on a Zen 1 */
