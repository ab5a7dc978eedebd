/* core/tensor/weight.h - a frozen matrix in memory in the form of its file, quantised or of 16
 * bits.
 *
 * It is expanded part by part where it is used, to the values that the file's format defines, so
 * that it takes the memory of its file and gives the bits of a full expansion. It is a copy: a
 * model's file that is replaced or cut off while a job runs changes nothing.
 */
#pragma once
#include "core/err.h"
#include "core/tensor/tensorfile.h"
#include <stdint.h>

enum { WEIGHT_PIECES_MAX = 3, WEIGHT_BLOCK_MAX = 256 };

/* Rows from one tensor of a file. */
struct weight_source {
    const struct tensor *tensor; /* (rows, columns) */
    int interleaved; /* channels of a head whose rows GGUF's converter interleaves; 0: in order */
};

struct weight {
    int rows, columns;
    int block;        /* columns that are expanded together: a power of two */
    const float *f32; /* (rows, columns) where it is in this form, else NULL */
    bool bf16; /* products with it round both factors to bf16; what it holds stays as it is */
    int n;
    struct weight_piece {
        int first; /* row */
        enum tensor_type type;
        size_t row_bytes;
        const uint8_t *at;
    } pieces[WEIGHT_PIECES_MAX];
    void *memory; /* owned; NULL: borrowed */
};

/* Where row `row` of the matrix is in its tensor. */
int64_t weight_source_row(const struct weight_source *source, int64_t row);

/* The inverse: which row of the matrix a row of its tensor is. */
int64_t weight_matrix_row(const struct weight_source *source, int64_t row);

/* Copies the sources, one below the other. They have equal columns; see tensor_check_readable()
 * for what they may hold. */
int weight_open(const struct weight_source *sources, int n, struct weight *ret, struct err *err);
/* Numbers of the caller's. */
struct weight weight_of_floats(const float *at, int rows, int columns);
void weight_close(struct weight *w);
size_t weight_bytes(const struct weight *w);
/* What weight_open() would take for one tensor. */
double weight_tensor_bytes(const struct tensor *t);

/* Some rows of a matrix: those of one map. */
struct weight_rows {
    const struct weight *w;
    int first, n;
};

/* XXH3-128, with a seed, of all of them as f32. */
void weight_hash(const struct weight_rows *rows, uint64_t seed, uint64_t ret[2]);
/* Writes all of them. */
void weight_read_rows(const struct weight_rows *rows, float *out);

/* Writes columns [column, column + n) of a row; column is a multiple of block, and so is n unless
 * it ends the row. */
void weight_read(const struct weight *w, int row, int column, int n, float *out);
