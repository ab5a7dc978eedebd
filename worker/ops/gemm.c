/* worker/ops/gemm.c - see gemm.h. A task makes a strip of C, as wide as the kernel's tile: it
 * copies the strip of B that belongs to it into a panel that stays in the cache, a part of K at a
 * time, and runs the kernel over its rows of A, which are read as they lie. */
#include "worker/ops/gemm.h"
#include "worker/ops/gemm_kernel.h"
#include <string.h>

enum {
    DEPTH = 512,                /* of a panel: it takes half of the smallest second-level cache */
    DOTS_MAX = 3,               /* rows of A for which B is not worth copying */
    DOT_COLUMNS = 128,          /* of a task */
    UNPACKED = 2 * KERNEL_ROWS, /* rows of A up to which rows of B are read as they lie */
    ROWS_MIN = 4 * KERNEL_ROWS  /* of A in a task */
};

struct product {
    enum gemm_form form;
    int M, N, K;
    float alpha;
    struct matrix A, B;
    bool add;
    float *C;
    long ldc;
    bool across;      /* C is written transposed: C[j * ldc + i] */
    int strips, rows; /* tasks: strips of columns, blocks of so many rows */
};

/* Columns [first, first + columns) of B, terms [k, k + depth), as rows of the kernel's width. */
static void pack_rows(const struct product *p, int first, int columns, int k, int depth,
                      float *panel)
{
    const float *b = p->B.at + (long)k * p->B.ld + first;

    for (int i = 0; i < depth; i++, b += p->B.ld, panel += KERNEL_COLUMNS) {
        if (columns == KERNEL_COLUMNS) {
            memcpy(panel, b, KERNEL_COLUMNS * sizeof(float));
            continue;
        }
        memcpy(panel, b, (size_t)columns * sizeof(float));
        memset(panel + columns, 0, (size_t)(KERNEL_COLUMNS - columns) * sizeof(float));
    }
}

/* The same of B^T. Rows beyond `columns` are those of the first. */
static void pack_columns(const struct product *p, int first, int columns, int k, int depth,
                         float *panel)
{
    for (int j = 0; j < KERNEL_COLUMNS; j += KERNEL_LANES) {
        const float *b[KERNEL_LANES];
        for (int i = 0; i < KERNEL_LANES; i++)
            b[i] = p->B.at + (long)(first + (j + i < columns ? j + i : 0)) * p->B.ld + k;
        kernel_transpose(b, depth, panel + j, KERNEL_COLUMNS);
    }
}

/* A tile whose place in C is transposed. */
static void tile_across(const struct kernel_tile *tile, float *c, long ldc)
{
    float some[KERNEL_ROWS * KERNEL_COLUMNS];
    struct kernel_tile t = *tile;

    t.c = some;
    t.c_row = KERNEL_COLUMNS;
    t.add = false;
    kernel_product(&t);
    for (int j = 0; j < t.columns; j++)
        for (int i = 0; i < t.rows; i++) {
            float x = some[i * KERNEL_COLUMNS + j];
            c[j * ldc + i] = tile->add ? c[j * ldc + i] + x : x;
        }
}

/* Rows [first, last) of the tile's strip, with its b as it is. */
static void run_rows(const struct product *p, struct kernel_tile t, int first, int last, int k,
                     float *c)
{
    t.a_row = p->form == GEMM_TN ? 1 : p->A.ld;
    t.a_column = p->form == GEMM_TN ? p->A.ld : 1;
    t.c_row = p->ldc;
    t.alpha = p->alpha;
    for (int i = first; i < last; i += KERNEL_ROWS) {
        t.rows = last - i < KERNEL_ROWS ? last - i : KERNEL_ROWS;
        t.a = p->A.at + i * t.a_row + k * t.a_column;
        t.c = c + (p->across ? i : i * p->ldc);
        if (p->across)
            tile_across(&t, t.c, p->ldc);
        else
            kernel_product(&t);
    }
}

/* A strip of C, rows [first, last): terms are added in equal parts of at most DEPTH. */
static void strip(const struct product *p, int column, int first, int last)
{
    float panel[DEPTH * KERNEL_COLUMNS] __attribute__((aligned(64)));
    int columns = p->N - column < KERNEL_COLUMNS ? p->N - column : KERNEL_COLUMNS;
    int parts = p->K > DEPTH ? (p->K + DEPTH - 1) / DEPTH : 1, depth = (p->K + parts - 1) / parts;
    bool as_it_lies = p->form != GEMM_NT && columns == KERNEL_COLUMNS && last - first <= UNPACKED;

    for (int k = 0, part = 0; part < parts; part++, k += depth) {
        int n = p->K - k < depth ? p->K - k : depth;
        struct kernel_tile t = {.columns = columns, .K = n, .add = p->add || part > 0};
        t.b = as_it_lies ? p->B.at + (long)k * p->B.ld + column : panel;
        t.b_row = as_it_lies ? p->B.ld : KERNEL_COLUMNS;
        if (!as_it_lies)
            (p->form == GEMM_NT ? pack_columns : pack_rows)(p, column, columns, k, n, panel);
        run_rows(p, t, first, last, k, p->C + (p->across ? column * p->ldc : column));
    }
}

static void strip_task(void *arg, int i, int thread)
{
    const struct product *p = arg;
    int first = i / p->strips * p->rows, last = first + p->rows;

    (void)thread;
    strip(p, i % p->strips * KERNEL_COLUMNS, first, last < p->M ? last : p->M);
}

static void dots_task(void *arg, int i, int thread)
{
    const struct product *p = arg;
    int first = i * DOT_COLUMNS;

    (void)thread;
    for (int m = 0; m < p->M; m++) {
        const struct kernel_tile t = {
            .columns = p->N - first < DOT_COLUMNS ? p->N - first : DOT_COLUMNS,
            .K = p->K,
            .a = p->A.at + (long)m * p->A.ld,
            .b = p->B.at + (long)first * p->B.ld,
            .b_row = p->B.ld,
            .alpha = p->alpha,
            .add = p->add,
            .c = p->C + m * p->ldc + first,
            .c_row = 1,
        };
        kernel_dots(&t);
    }
}

/* B^T A instead of A^T B where that has the fewer rows: the kernel's tile is wider than high. */
static void turn(struct product *p)
{
    struct matrix A = p->A;
    int M = p->M;

    p->A = p->B;
    p->B = A;
    p->M = p->N;
    p->N = M;
    p->across = true;
}

static struct product product_of(enum gemm_form form, int M, int N, int K, float alpha,
                                 struct matrix A, struct matrix B, float beta, float *C, int ldc)
{
    struct product p = {form, M, N, K, alpha, A, B, beta != 0, C, ldc, false, 0, M};

    if (form == GEMM_TN && N < M)
        turn(&p);
    p.strips = (p.N + KERNEL_COLUMNS - 1) / KERNEL_COLUMNS;
    p.rows = p.M;
    return p;
}

void gemm_one(enum gemm_form form, int M, int N, int K, float alpha, struct matrix A,
              struct matrix B, float beta, float *C, int ldc)
{
    struct product p = product_of(form, M, N, K, alpha, A, B, beta, C, ldc);

    for (int i = 0; i < p.strips && p.M > 0; i++)
        strip_task(&p, i, 0);
}

/* Rows are cut only as far as there are too few strips for the team: each block copies B anew. */
static void cut_rows(struct product *p, int threads)
{
    while (p->strips * ((p->M + p->rows - 1) / p->rows) < 2 * threads && p->rows >= 2 * ROWS_MIN)
        p->rows = ((p->rows + 1) / 2 + KERNEL_ROWS - 1) / KERNEL_ROWS * KERNEL_ROWS;
}

void gemm(struct team *team, enum gemm_form form, int M, int N, int K, float alpha, struct matrix A,
          struct matrix B, float beta, float *C, int ldc)
{
    struct product p = product_of(form, M, N, K, alpha, A, B, beta, C, ldc);

    if (M <= 0 || N <= 0)
        return;
    if (form == GEMM_NT && M <= DOTS_MAX) {
        team_run(team, dots_task, &p, (N + DOT_COLUMNS - 1) / DOT_COLUMNS);
        return;
    }
    cut_rows(&p, team_threads(team));
    team_run(team, strip_task, &p, p.strips * ((p.M + p.rows - 1) / p.rows));
}
