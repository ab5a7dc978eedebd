/* worker/ops/gemm.c - see gemm.h. A task makes a strip of C, as wide as the kernel's tile: it
 * copies the strip of B that belongs to it into a panel, a part of K at a time, and runs the kernel
 * over its rows of A, which are read as they lie. Where the columns of a frozen matrix are stored
 * in wider blocks than the tile, a task makes as many strips as a block has. What follows on a
 * product (struct gemm_then) is done by the task that made a strip. */
#include "worker/ops/gemm.h"
#include "worker/ops/bf16_kernel.h"
#include "worker/ops/gemm_kernel.h"
#include "worker/ops/panel.h"
#include <limits.h>

enum {
    DOTS_MAX = 3,               /* rows of A for which B is not worth copying */
    DOT_COLUMNS = 64,           /* of a task */
    UNPACKED = 2 * KERNEL_ROWS, /* rows of A up to which rows of B are read as they lie */
    ROWS_MIN = 4 * KERNEL_ROWS, /* of A in a task */
    ROUNDED_ROWS = 256,         /* of A that are rounded to bf16 for a strip at a time */
    ROUNDED_TASK = 32,          /* of A that a task rounds for all strips */
    STRIP_MAX = PANELS_MAX * KERNEL_COLUMNS
};

struct product {
    int M, N, K; /* N: of a half, where there are two */
    float alpha;
    const float *A; /* A[i * a_row + k * a_column] */
    long a_row, a_column;
    struct panel_source B;
    bool add, bf16;
    float *C;
    long ldc;
    bool across;                  /* C is written transposed: C[j * ldc + i] */
    const uint16_t *rounded;      /* A in bf16: (K / BF16_DEPTH, M, BF16_DEPTH); NULL: not yet */
    const struct gemm_then *then; /* NULL: nothing */
    int from;                     /* column of `then` that is column 0 here */
    /* of tasks: what makes a strip, its columns, strips, rows of a block */
    void (*make)(const struct product *p, int column, int first, int last);
    int width, strips, rows;
};

/* Rows [first, last) of the tile's strip, with its b as it is, from term k on. */
static void run_rows(const struct product *p, struct kernel_tile t, int first, int last, int k,
                     int column)
{
    t.a_row = p->a_row;
    t.a_column = p->a_column;
    t.c_row = p->across ? 1 : p->ldc;
    t.c_column = p->across ? p->ldc : 1;
    t.alpha = p->alpha;
    t.add = p->add || k > 0;
    for (int i = first; i < last; i += KERNEL_ROWS) {
        t.rows = last - i < KERNEL_ROWS ? last - i : KERNEL_ROWS;
        t.a = p->A + i * t.a_row + k * t.a_column;
        t.c = p->C + i * t.c_row + column * t.c_column;
        kernel_product(&t);
    }
}

/* Columns [column, column + columns) of C, at most a tile wide, terms [k, k + depth). */
static void run_panel(const struct product *p, const float *panel, int column, int columns,
                      int first, int last, int k, int depth)
{
    const struct kernel_tile t = {
        .columns = columns, .K = depth, .b = panel, .b_row = KERNEL_COLUMNS};

    run_rows(p, t, first, last, k, column);
}

/* The same from B as it lies. */
static bool run_unpacked(const struct product *p, int column, int columns, int first, int last,
                         int k, int depth)
{
    const struct panel_source *b = &p->B;
    const struct kernel_tile t = {
        .columns = columns, .K = depth, .b = b->at + k * b->ld + column, .b_row = b->ld};

    if (!b->at || b->transposed || columns != KERNEL_COLUMNS || last - first > UNPACKED)
        return false;
    run_rows(p, t, first, last, k, column);
    return true;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* A strip of C, rows [first, last). */
static void strip(const struct product *p, int column, int first, int last)
{
    float panels[PANELS_MAX * PANEL_FLOATS] __attribute__((aligned(64)));
    int columns = least(p->N - column, p->width), k = 0;

    do { /* without any term C is still written */
        int depth = least(p->K - k, PANEL_DEPTH);
        if (run_unpacked(p, column, columns, first, last, k, depth))
            continue;
        panel_fill(&p->B, column, columns, k, depth, panels);
        for (int j = 0; j < columns; j += KERNEL_COLUMNS)
            run_panel(p, panels + (long)j / KERNEL_COLUMNS * PANEL_FLOATS, column + j,
                      least(columns - j, KERNEL_COLUMNS), first, last, k, depth);
    } while ((k += PANEL_DEPTH) < p->K);
}

/* A block of rows of A, rounded, by the rounded panels of a strip. */
static void run_rounded(const struct product *p, const float *panels, int column, int columns,
                        int first, int rows, int k, int depth)
{
    uint16_t here[ROUNDED_ROWS * BF16_DEPTH] __attribute__((aligned(64)));
    const uint16_t *a =
        p->rounded ? p->rounded + (k / BF16_DEPTH * (long)p->M + first) * BF16_DEPTH : here;
    struct bf16_tile t = {.pairs = (depth + 1) / 2, .add = p->add || k > 0, .c_row = p->ldc};

    if (!p->rounded)
        bf16_round_rows(p->A + first * p->a_row + k, p->a_row, rows, depth, here);
    for (int j = 0; j < columns; j += KERNEL_COLUMNS) {
        t.columns = least(columns - j, KERNEL_COLUMNS);
        t.b = panels + (long)j / KERNEL_COLUMNS * PANEL_PAIRS;
        for (int i = 0; i < rows; i += KERNEL_ROWS) {
            t.rows = least(rows - i, KERNEL_ROWS);
            t.a = a + (long)i * BF16_DEPTH;
            t.c = p->C + (first + i) * p->ldc + column + j;
            bf16_product(&t);
        }
    }
}

/* As strip(), in bf16. */
static void rounded_strip(const struct product *p, int column, int first, int last)
{
    float panels[PANELS_MAX * PANEL_PAIRS] __attribute__((aligned(64)));
    int columns = least(p->N - column, p->width);

    for (int k = 0; k < p->K; k += PANEL_DEPTH) {
        int depth = least(p->K - k, PANEL_DEPTH);
        panel_fill_rounded(&p->B, column, columns, k, depth, panels);
        for (int i = first; i < last; i += ROUNDED_ROWS)
            run_rounded(p, panels, column, columns, i, least(last - i, ROUNDED_ROWS), k, depth);
    }
}

/* Columns [first, last) of C with a few rows: B's rows as they lie, or expanded one by one. */
static void dots(const struct product *p, int first, int last, int k, int depth)
{
    const struct panel_source *b = &p->B;
    float row[PANEL_DEPTH];

    for (int j = first; j < last; j++) {
        if (!b->at)
            weight_read(b->w, b->first + j, k, depth, row);
        for (int i = 0; i < p->M; i++) {
            const float *line = b->at ? b->at + (long)j * b->ld + k : row;
            float x = p->alpha * kernel_dot(p->A + i * p->a_row + k, line, depth);
            float *c = p->C + i * p->ldc + j;
            *c = p->add || k > 0 ? *c + x : x;
        }
    }
}

static void dots_strip(const struct product *p, int column, int first, int last)
{
    int end = least(column + DOT_COLUMNS, p->N), k = 0;

    (void)first, (void)last;
    do
        dots(p, column, end, k, least(p->K - k, PANEL_DEPTH));
    while ((k += PANEL_DEPTH) < p->K);
}

/* ---- what follows ---- */

/* Columns [column, column + columns) of the term's and of C, rows [first, last). */
static void add_term(const struct product *p, const struct gemm_term *t, int column, int columns,
                     int first, int last)
{
    int from = p->from + column > t->column ? p->from + column : t->column;
    int to = least(p->from + column + columns, t->column + t->columns);
    bool transposed = t->form == GEMM_NT;
    struct product q = {
        .M = p->M,
        .N = to - from,
        .K = t->K,
        .alpha = 1,
        .A = t->A.at,
        .a_row = t->A.ld,
        .a_column = 1,
        .B = {.transposed = transposed,
              .at = t->B.at + (from - t->column) * (transposed ? (long)t->B.ld : 1),
              .ld = t->B.ld},
        .add = true,
        .C = p->C + from - p->from,
        .ldc = p->ldc,
        .width = KERNEL_COLUMNS,
    };

    for (int j = 0; j < q.N; j += KERNEL_COLUMNS)
        strip(&q, j, first, last);
}

static void follow(const struct product *p, int column, int first, int last)
{
    const struct gemm_then *then = p->then;
    int columns = least(p->N - column, p->width);

    for (int i = first; then->bias && i < last; i++)
        for (int j = 0; j < columns; j++)
            p->C[i * p->ldc + column + j] += then->bias[p->from + column + j];
    for (int i = 0; i < then->n; i++)
        add_term(p, &then->terms[i], column, columns, first, last);
}

static struct product second_half(const struct product *p)
{
    struct product half = *p;

    if (half.B.at)
        half.B.at += p->N * half.B.ld;
    half.B.first += p->N;
    half.C += p->N;
    half.from = p->N;
    return half;
}

static void strip_task(void *arg, int i, int thread)
{
    const struct product *p = arg;
    int first = i / p->strips * p->rows, last = least(first + p->rows, p->M);
    int column = i % p->strips * p->width;

    (void)thread;
    p->make(p, column, first, last);
    if (!p->then)
        return;
    follow(p, column, first, last);
    if (p->then->halves) {
        const struct product half = second_half(p);
        half.make(&half, column, first, last);
        follow(&half, column, first, last);
    }
    if (p->then->finish)
        p->then->finish(p->then->arg, first, last, column, least(p->N - column, p->width));
}

/* ---- A in bf16 ---- */

size_t gemm_rounded(size_t M, size_t K)
{
    return (K + BF16_DEPTH - 1) / BF16_DEPTH * BF16_DEPTH * M;
}

struct rounding {
    const struct product *p;
    uint16_t *out;
};

static void round_task(void *arg, int i, int thread)
{
    const struct rounding *r = arg;
    const struct product *p = r->p;
    int first = i * ROUNDED_TASK, rows = least(p->M - first, ROUNDED_TASK);

    (void)thread;
    for (int k = 0; k < p->K; k += BF16_DEPTH)
        bf16_round_rows(p->A + first * p->a_row + k, p->a_row, rows, least(p->K - k, BF16_DEPTH),
                        r->out + (k / BF16_DEPTH * (long)p->M + first) * BF16_DEPTH);
}

static void round_left(struct team *team, struct product *p)
{
    struct rounding r = {p, p->then->rounded};

    team_run(team, round_task, &r, (p->M + ROUNDED_TASK - 1) / ROUNDED_TASK);
    p->rounded = r.out;
}

/* ---- tasks ---- */

static int strips_of(const struct product *p, int width)
{
    return (p->N + width - 1) / width;
}

/* What the busiest thread has to do more than its share: columns. */
static int excess(const struct product *p, int width, int threads)
{
    return (strips_of(p, width) + threads - 1) / threads * width - p->N / threads;
}

/* Wide strips where the rows of B lie as they are wanted: they are read in longer runs; and where A
 * is rounded for each of them. The widest of those that share out the columns best. */
static int width_for(const struct product *p, int threads)
{
    int step = panel_step(&p->B), best = step;
    bool wide = p->bf16 || (!p->B.transposed && p->M > UNPACKED);

    for (int width = step; wide && threads > 0 && width <= STRIP_MAX; width += step)
        if (strips_of(p, width) >= 2 * threads &&
            excess(p, width, threads) <= excess(p, best, threads))
            best = width;
    return best;
}

/* Rows are cut only as far as there are too few strips for the team: each block fills the panels
 * anew. */
static void cut(struct product *p, int threads)
{
    p->make = p->bf16 ? rounded_strip : strip;
    p->width = width_for(p, threads);
    p->strips = strips_of(p, p->width);
    p->rows = p->M;
    while (p->strips * ((p->M + p->rows - 1) / p->rows) < 2 * threads && p->rows >= 2 * ROWS_MIN)
        p->rows = ((p->rows + 1) / 2 + KERNEL_ROWS - 1) / KERNEL_ROWS * KERNEL_ROWS;
}

static void cut_to_dots(struct product *p)
{
    p->make = dots_strip;
    p->width = DOT_COLUMNS;
    p->strips = strips_of(p, DOT_COLUMNS);
    p->rows = p->M;
}

static int tasks_of(const struct product *p)
{
    return p->strips * ((p->M + p->rows - 1) / p->rows);
}

/* A^T B is computed as B^T A, and written transposed, where it is higher than wide and no wider
 * than `narrow`: the kernel's tile is wider than high. */
static struct product turned(enum gemm_form form, int M, int N, int K, float alpha, struct matrix A,
                             struct matrix B, int narrow)
{
    bool turn = form == GEMM_TN && N < M && N <= narrow;
    struct matrix left = turn ? B : A, right = turn ? A : B;

    return (struct product){
        .M = turn ? N : M,
        .N = turn ? M : N,
        .K = K,
        .alpha = alpha,
        .A = left.at,
        .a_row = form == GEMM_TN ? 1 : left.ld,
        .a_column = form == GEMM_TN ? left.ld : 1,
        .B = {.transposed = form == GEMM_NT, .at = right.at, .ld = right.ld},
        .across = turn,
    };
}

static void run(struct team *team, struct product *p)
{
    if (p->M <= 0 || p->N <= 0)
        return;
    if (p->bf16 && p->then && p->then->rounded)
        round_left(team, p);
    if (p->B.transposed && p->M <= DOTS_MAX && !p->bf16)
        cut_to_dots(p);
    else
        cut(p, team_threads(team));
    team_run(team, strip_task, p, tasks_of(p));
}

void gemm(struct team *team, enum gemm_form form, int M, int N, int K, float alpha, struct matrix A,
          struct matrix B, float beta, float *C, int ldc)
{
    struct product p = turned(form, M, N, K, alpha, A, B, INT_MAX);

    p.add = beta != 0;
    p.C = C;
    p.ldc = ldc;
    run(team, &p);
}

void gemm_one(enum gemm_form form, int M, int N, int K, float alpha, struct matrix A,
              struct matrix B, float beta, float *C, int ldc)
{
    struct product p = turned(form, M, N, K, alpha, A, B, KERNEL_COLUMNS - 1);

    p.add = beta != 0;
    p.C = C;
    p.ldc = ldc;
    cut(&p, 0);
    for (int i = 0; i < tasks_of(&p) && p.M > 0; i++)
        strip_task(&p, i, 0);
}

void gemm_weight(struct team *team, enum gemm_form form, int M, const struct weight *w, int first,
                 int last, struct matrix A, float beta, float *C, int ldc)
{
    gemm_weight_then(team, form, M, w, first, last, A, beta, C, ldc, NULL);
}

void gemm_weight_then(struct team *team, enum gemm_form form, int M, const struct weight *w,
                      int first, int last, struct matrix A, float beta, float *C, int ldc,
                      const struct gemm_then *then)
{
    int halves = then && then->halves ? 2 : 1;
    struct product p = {
        .M = M,
        .N = form == GEMM_NT ? (last - first) / halves : w->columns,
        .K = form == GEMM_NT ? w->columns : last - first,
        .alpha = 1,
        .A = A.at,
        .a_row = A.ld,
        .a_column = 1,
        .B = {form == GEMM_NT, w->f32 ? w->f32 + (size_t)first * (size_t)w->columns : NULL,
              w->columns, w, first},
        .add = beta != 0,
        .bf16 = w->bf16,
        .C = C,
        .ldc = ldc,
        .then = then,
    };

    run(team, &p);
}
