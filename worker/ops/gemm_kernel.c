/* worker/ops/gemm_kernel.c - see gemm_kernel.h. In the vectors of the compiler, so that one text
 * serves every CPU; the number of rows is a constant in each instance, so that the sums stay in
 * registers. */
#include "worker/ops/gemm_kernel.h"
#include <string.h>

enum { VECTORS_MAX = KERNEL_COLUMNS / KERNEL_LANES };

typedef float vector __attribute__((vector_size(KERNEL_LANES * sizeof(float))));
typedef int indices __attribute__((vector_size(KERNEL_LANES * sizeof(int))));
typedef float loose /* of any alignment */
    __attribute__((vector_size(KERNEL_LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

/* Whole vectors of C. */
static inline __attribute__((always_inline)) void whole(const struct kernel_tile *t, int rows,
                                                        int vectors)
{
    vector sum[KERNEL_ROWS][VECTORS_MAX];
    const float *a = t->a, *b = t->b;
    long a_row = t->a_row, a_column = t->a_column, b_row = t->b_row;

    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++)
            sum[i][j] = (vector){0};
#pragma GCC unroll 4
    for (int k = 0; k < t->K; k++, a += a_column, b += b_row) {
        vector line[VECTORS_MAX];
#pragma GCC unroll 2
        for (int j = 0; j < vectors; j++)
            line[j] = *(const loose *)(b + (long)j * KERNEL_LANES);
#pragma GCC unroll 16
        for (int i = 0; i < rows; i++) {
            float x = a[i * a_row];
#pragma GCC unroll 2
            for (int j = 0; j < vectors; j++)
                sum[i][j] += x * line[j];
        }
    }
    for (int i = 0; i < rows; i++)
        for (int j = 0; j < vectors; j++) {
            loose *c = (loose *)(t->c + i * t->c_row + (long)j * KERNEL_LANES);
            if (t->add)
                *c += t->alpha * sum[i][j];
            else
                *c = t->alpha * sum[i][j];
        }
}

#define ROWS(n)                                                                                    \
    case n:                                                                                        \
        if (vectors == 1)                                                                          \
            whole(t, n, 1);                                                                        \
        else                                                                                       \
            whole(t, n, 2);                                                                        \
        break;

static void whole_of(const struct kernel_tile *t, int vectors)
{
    switch (t->rows) {
        ROWS(1)
        ROWS(2)
        ROWS(3)
        ROWS(4)
        ROWS(5)
        ROWS(6)
#if defined(__AVX512F__)
        ROWS(7)
        ROWS(8)
#endif
    }
}

static void put_row(const float *x, int n, bool add, float *to)
{
    if (!add) {
        memcpy(to, x, (size_t)n * sizeof(*to));
        return;
    }
    for (int i = 0; i < n; i++)
        to[i] += x[i];
}

static void put_column(const float *x, int n, bool add, float *to, long step)
{
    for (int i = 0; i < n; i++)
        to[i * step] = add ? to[i * step] + x[i] : x[i];
}

void kernel_put(const float *tile, int rows, int columns, bool add, float *c, long c_row,
                long c_column)
{
    for (int i = 0; i < rows; i++)
        if (c_column == 1)
            put_row(tile + (long)i * KERNEL_COLUMNS, columns, add, c + i * c_row);
        else
            put_column(tile + (long)i * KERNEL_COLUMNS, columns, add, c + i * c_row, c_column);
}

/* A tile that is not whole vectors of rows of C. */
static void product_apart(const struct kernel_tile *t, int vectors)
{
    float some[KERNEL_ROWS * KERNEL_COLUMNS] = {0};
    struct kernel_tile apart = *t;

    apart.c = some;
    apart.c_row = KERNEL_COLUMNS;
    apart.add = false;
    whole_of(&apart, vectors);
    kernel_put(some, t->rows, t->columns, t->add, t->c, t->c_row, t->c_column);
}

void kernel_product(const struct kernel_tile *t)
{
    int vectors = (t->columns + KERNEL_LANES - 1) / KERNEL_LANES;

    if (t->columns == vectors * KERNEL_LANES && t->c_column == 1)
        whole_of(t, vectors);
    else
        product_apart(t, vectors);
}

float kernel_dot(const float *a, const float *b, int n)
{
    vector sum[2] = {{0}, {0}};
    float x = 0;
    int k = 0;

    for (; k + 2 * KERNEL_LANES <= n; k += 2 * KERNEL_LANES)
        for (int j = 0; j < 2; j++)
            sum[j] += *(const loose *)(a + k + (long)j * KERNEL_LANES) *
                      *(const loose *)(b + k + (long)j * KERNEL_LANES);
    sum[0] += sum[1];
    for (int i = 0; i < KERNEL_LANES; i++)
        x += sum[0][i];
    for (; k < n; k++)
        x += a[k] * b[k];
    return x;
}

/* Lanes of a, and behind them those of b. */
static inline __attribute__((always_inline)) vector choose(vector a, vector b, indices of)
{
#ifdef __clang__
    vector chosen = a;

    for (int l = 0; l < KERNEL_LANES; l++)
        chosen[l] = of[l] < KERNEL_LANES ? a[of[l]] : b[of[l] - KERNEL_LANES];
    return chosen;
#else
    return __builtin_shuffle(a, b, of);
#endif
}

/* Exchanges the blocks of `step` lanes of x and y that lie off the diagonal. */
static inline __attribute__((always_inline)) void exchange(vector *x, vector *y, int step)
{
    indices first = {0}, second = {0};
    vector a = *x, b = *y;

    for (int l = 0; l < KERNEL_LANES; l++) {
        first[l] = l & step ? KERNEL_LANES + l - step : l;
        second[l] = l & step ? KERNEL_LANES + l : l + step;
    }
    *x = choose(a, b, first);
    *y = choose(a, b, second);
}

/* A square, by halves of halves. */
static inline __attribute__((always_inline)) void transpose_square(vector *v)
{
#pragma GCC unroll 4
    for (int step = KERNEL_LANES / 2; step > 0; step /= 2)
#pragma GCC unroll 16
        for (int i = 0; i < KERNEL_LANES; i++)
            if (!(i & step))
                exchange(&v[i], &v[i + step], step);
}

void kernel_transpose(const float *const *from, int n, float *to, long to_row)
{
    int k = 0;

    for (; k + KERNEL_LANES <= n; k += KERNEL_LANES) {
        vector v[KERNEL_LANES];
#pragma GCC unroll 16
        for (int i = 0; i < KERNEL_LANES; i++)
            v[i] = *(const loose *)(from[i] + k);
        transpose_square(v);
#pragma GCC unroll 16
        for (int i = 0; i < KERNEL_LANES; i++)
            *(loose *)(to + (k + i) * to_row) = v[i];
    }
    for (; k < n; k++)
        for (int i = 0; i < KERNEL_LANES; i++)
            to[k * to_row + i] = from[i][k];
}
