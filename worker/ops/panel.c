/* worker/ops/panel.c - see panel.h. */
#include "worker/ops/panel.h"
#include <string.h>

int panel_step(const struct panel_source *s)
{
    int block = s->at || s->transposed ? 1 : s->w->block;

    return block > KERNEL_COLUMNS ? block : KERNEL_COLUMNS;
}

/* A row of B in whole panels. `memory` is for what does not lie so: beyond `columns` it has zeros.
 */
static const float *row_of(const struct panel_source *s, int row, int column, int columns,
                           float *memory)
{
    const float *at = s->at ? s->at + (long)row * s->ld + column : NULL;

    if (at && columns % KERNEL_COLUMNS == 0)
        return at;
    if (at)
        memcpy(memory, at, (size_t)columns * sizeof(*memory));
    else
        weight_read(s->w, s->first + row, column, columns, memory);
    return memory;
}

static void fill_rows(const struct panel_source *s, int column, int columns, int k, int depth,
                      float *panels)
{
    float memory[WEIGHT_BLOCK_MAX] = {0};

    for (int i = 0; i < depth; i++) {
        const float *row = row_of(s, k + i, column, columns, memory);
        for (int j = 0; j < columns; j += KERNEL_COLUMNS)
            memcpy(panels + (long)j / KERNEL_COLUMNS * PANEL_FLOATS + (long)i * KERNEL_COLUMNS,
                   row + j, KERNEL_COLUMNS * sizeof(*row));
    }
}

static void fill_rows_rounded(const struct panel_source *s, int column, int columns, int k,
                              int depth, float *panels)
{
    static const float zeros[WEIGHT_BLOCK_MAX];
    float memory[2][WEIGHT_BLOCK_MAX] = {{0}};

    for (int i = 0; i < depth; i += 2) {
        const float *row = row_of(s, k + i, column, columns, memory[0]);
        const float *next =
            i + 1 < depth ? row_of(s, k + i + 1, column, columns, memory[1]) : zeros;
        for (int j = 0; j < columns; j += KERNEL_COLUMNS)
            bf16_round_pairs(row + j, next + j,
                             panels + (long)j / KERNEL_COLUMNS * PANEL_PAIRS +
                                 (long)i / 2 * KERNEL_COLUMNS);
    }
}

/* Column j of B is a row of what it is transposed from. */
static const float *column_of(const struct panel_source *s, int column, int k, int depth,
                              float *memory)
{
    if (s->at)
        return s->at + (long)column * s->ld + k;
    weight_read(s->w, s->first + column, k, depth, memory);
    return memory;
}

/* One panel. Columns beyond `columns` are the first one. */
static void fill_columns(const struct panel_source *s, int column, int columns, int k, int depth,
                         float *panel)
{
    float memory[KERNEL_LANES][PANEL_DEPTH];
    const float *lines[KERNEL_LANES];

    for (int j = 0; j < KERNEL_COLUMNS; j += KERNEL_LANES) {
        for (int i = 0; i < KERNEL_LANES; i++)
            lines[i] = column_of(s, column + (j + i < columns ? j + i : 0), k, depth, memory[i]);
        kernel_transpose(lines, depth, panel + j, KERNEL_COLUMNS);
    }
}

/* As pairs lie in a line, so they are wanted: they are transposed as if they were one number. */
static void fill_columns_rounded(const struct panel_source *s, int column, int columns, int k,
                                 int depth, float *panel)
{
    float memory[PANEL_DEPTH], pairs[KERNEL_LANES][PANEL_DEPTH / 2];
    const float *lines[KERNEL_LANES];

    for (int j = 0; j < KERNEL_COLUMNS; j += KERNEL_LANES) {
        for (int i = 0; i < KERNEL_LANES; i++) {
            const float *line =
                column_of(s, column + (j + i < columns ? j + i : 0), k, depth, memory);
            bf16_round_rows(line, 0, 1, depth, (uint16_t *)(void *)pairs[i]);
            lines[i] = pairs[i];
        }
        kernel_transpose(lines, (depth + 1) / 2, panel + j, KERNEL_COLUMNS);
    }
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

void panel_fill(const struct panel_source *s, int column, int columns, int k, int depth,
                float *panels)
{
    if (!s->transposed)
        fill_rows(s, column, columns, k, depth, panels);
    for (int j = 0; s->transposed && j < columns; j += KERNEL_COLUMNS, panels += PANEL_FLOATS)
        fill_columns(s, column + j, least(columns - j, KERNEL_COLUMNS), k, depth, panels);
}

void panel_fill_rounded(const struct panel_source *s, int column, int columns, int k, int depth,
                        float *panels)
{
    if (!s->transposed)
        fill_rows_rounded(s, column, columns, k, depth, panels);
    for (int j = 0; s->transposed && j < columns; j += KERNEL_COLUMNS, panels += PANEL_PAIRS)
        fill_columns_rounded(s, column + j, least(columns - j, KERNEL_COLUMNS), k, depth, panels);
}
