/* worker/ops/gemm.c - see gemm.h. The tile is wide enough that OpenBLAS's packing of A and B, done
 * anew for each tile, is lost in the product. */
#include "worker/ops/gemm.h"
#include <cblas.h>

enum { TILE_M = 256, TILE_N = 384, NARROW = 128 };

struct job {
    enum gemm_form form;
    int M, N, K, tile_m, tile_n, tiles_n;
    float alpha, beta;
    struct matrix A, B;
    float *C;
    int ldc;
};

void gemm_init(void)
{
    openblas_set_num_threads(1);
}

void gemm_one(enum gemm_form form, int M, int N, int K, float alpha, struct matrix A,
              struct matrix B, float beta, float *C, int ldc)
{
    cblas_sgemm(CblasRowMajor, form == GEMM_TN ? CblasTrans : CblasNoTrans,
                form == GEMM_NT ? CblasTrans : CblasNoTrans, M, N, K, alpha, A.at, A.ld, B.at, B.ld,
                beta, C, ldc);
}

/* Equal tiles, a multiple of 16 wide, not wider than `most`; an even number of them, since teams
 * are. */
static int tile_size(int length, int most)
{
    int tiles = (length + most - 1) / most, size;

    tiles += tiles > 1 && tiles % 2;
    size = (length + tiles - 1) / tiles;

    return (size + 15) / 16 * 16;
}

static void tile(void *arg, int i, int thread)
{
    const struct job *j = arg;
    int m = i / j->tiles_n * j->tile_m, n = i % j->tiles_n * j->tile_n;
    int rows = j->M - m < j->tile_m ? j->M - m : j->tile_m;
    int columns = j->N - n < j->tile_n ? j->N - n : j->tile_n;
    struct matrix A = j->A, B = j->B;

    (void)thread;
    A.at += j->form == GEMM_TN ? (long)m : (long)m * A.ld;
    B.at += j->form == GEMM_NT ? (long)n * B.ld : (long)n;
    gemm_one(j->form, rows, columns, j->K, j->alpha, A, B, j->beta, j->C + (long)m * j->ldc + n,
             j->ldc);
}

void gemm(struct team *team, enum gemm_form form, int M, int N, int K, float alpha, struct matrix A,
          struct matrix B, float beta, float *C, int ldc)
{
    struct job j = {form, M, N, K, 0, 0, 0, alpha, beta, A, B, C, ldc};
    int tiles_m;

    if (M <= 0 || N <= 0)
        return;
    j.tile_m = tile_size(M, N <= TILE_N ? NARROW : TILE_M);
    j.tile_n = tile_size(N, TILE_N);
    tiles_m = (M + j.tile_m - 1) / j.tile_m;
    j.tiles_n = (N + j.tile_n - 1) / j.tile_n;
    team_run(team, tile, &j, tiles_m * j.tiles_n);
}
