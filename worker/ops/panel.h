/* worker/ops/panel.h - the right-hand matrix of a product, copied strip by strip into panels that
 * stay in the cache: rows as wide as the kernel's tile. A frozen matrix is expanded on the way.
 */
#pragma once
#include "core/tensor/weight.h"
#include "worker/ops/bf16_kernel.h"
#include "worker/ops/gemm_kernel.h"

/* Terms of K in a panel: a multiple of every block. A panel takes 32 KiB with AVX-512. */
enum {
    PANEL_DEPTH = BF16_DEPTH,
    PANEL_FLOATS = PANEL_DEPTH * KERNEL_COLUMNS,
    PANEL_PAIRS = PANEL_FLOATS / 2
};
/* Of the widest strip: as wide as the largest block of columns that are stored together. */
enum { PANELS_MAX = WEIGHT_BLOCK_MAX / KERNEL_COLUMNS };

/* B (K, N), or what it is transposed from. */
struct panel_source {
    bool transposed;
    const float *at; /* B[k * ld + j], transposed: B[j * ld + k]; NULL: w */
    long ld;
    const struct weight *w;
    int first; /* row of w: B's row 0, transposed: column 0 */
};

/* Columns are filled from a multiple of this on, and it is a multiple of KERNEL_COLUMNS. */
int panel_step(const struct panel_source *s);

/* Fills panels with columns [column, column + columns), at most PANELS_MAX panels, and terms [k, k
 * + depth), which begin at a multiple of PANEL_DEPTH. Panel i begins at panels + i * PANEL_FLOATS;
 * what is beyond `columns` in the last has any finite value. */
void panel_fill(const struct panel_source *s, int column, int columns, int k, int depth,
                float *panels);
/* The same rounded to bf16: rows of pairs of terms, as bf16_kernel.h has them, an odd last one with
 * 0. Panel i begins at panels + i * PANEL_PAIRS. */
void panel_fill_rounded(const struct panel_source *s, int column, int columns, int k, int depth,
                        float *panels);
