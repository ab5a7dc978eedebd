/* worker/ops/dot.h - sums of squares and of products of f32 in double, as norms need them. */
#pragma once

static inline double dot_double(const float *a, const float *b, int n)
{
    double sum = 0;
    int i;

#pragma omp simd reduction(+ : sum)
    for (i = 0; i < n; i++)
        sum += (double)a[i] * b[i];
    return sum;
}
