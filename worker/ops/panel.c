/* worker/ops/panel.c - see panel.h. */
#include "worker/ops/panel.h"
#include <string.h>

int panel_step(const struct panel_source *s)
{
    int block = s->at || s->transposed ? 1 : s->w->block;

    return block > KERNEL_COLUMNS ? block : KERNEL_COLUMNS;
}

/* Spreads a row of `columns` numbers over the panels. */
static void spread(const float *row, int columns, int k, float *panels)
{
    for (int j = 0; j < columns; j += KERNEL_COLUMNS, panels += PANEL_FLOATS) {
        float *to = panels + (long)k * KERNEL_COLUMNS;
        if (columns - j >= KERNEL_COLUMNS) {
            memcpy(to, row + j, KERNEL_COLUMNS * sizeof(float));
            continue;
        }
        memcpy(to, row + j, (size_t)(columns - j) * sizeof(float));
        memset(to + columns - j, 0, (size_t)(KERNEL_COLUMNS - columns + j) * sizeof(float));
    }
}

static void fill_rows(const struct panel_source *s, int column, int columns, int k, int depth,
                      float *panels)
{
    float row[WEIGHT_BLOCK_MAX];

    for (int i = 0; i < depth; i++) {
        if (s->at) {
            spread(s->at + (long)(k + i) * s->ld + column, columns, i, panels);
        } else {
            weight_read(s->w, s->first + k + i, column, columns, row);
            spread(row, columns, i, panels);
        }
    }
}

/* One panel. Columns beyond `columns` are the first one. */
static void fill_columns(const struct panel_source *s, int column, int columns, int k, int depth,
                         float *panel)
{
    float rows[KERNEL_LANES][PANEL_DEPTH];

    for (int j = 0; j < KERNEL_COLUMNS; j += KERNEL_LANES) {
        const float *b[KERNEL_LANES];
        for (int i = 0; i < KERNEL_LANES; i++) {
            int at = column + (j + i < columns ? j + i : 0);
            b[i] = s->at ? s->at + (long)at * s->ld + k : rows[i];
            if (!s->at)
                weight_read(s->w, s->first + at, k, depth, rows[i]);
        }
        kernel_transpose(b, depth, panel + j, KERNEL_COLUMNS);
    }
}

void panel_fill(const struct panel_source *s, int column, int columns, int k, int depth,
                float *panels)
{
    if (!s->transposed) {
        fill_rows(s, column, columns, k, depth, panels);
        return;
    }
    for (int j = 0; j < columns; j += KERNEL_COLUMNS, panels += PANEL_FLOATS)
        fill_columns(s, column + j, columns - j < KERNEL_COLUMNS ? columns - j : KERNEL_COLUMNS, k,
                     depth, panels);
}
