/* core/text/rows.h - the rows of a data file, one after another, in the order of the file.
 *
 *   JSON lines   one value a line; blank lines are passed over
 *   JSON array   one array of values
 *   CSV          RFC 4180 with a header; fields separated by commas, tabs or semicolons; every
 * value is a text
 *
 * UTF-8, with or without a byte order mark, and each of them also packed by gzip or zstd. Which it
 * is, the content says; a name in .csv or .tsv decides only where a header could also be plain
 * text. Other formats are recognised and refused by their names, with a command that converts them.
 *
 * Memory is bounded by the longest row, ROW_BYTES_MAX, and by unpack.h. The file is read in blocks
 * and never mapped; it may change at the same time.
 */
#pragma once
#include "core/err.h"
#include <jansson.h>
#include <stdbool.h>

enum { ROW_BYTES_MAX = 64 << 20 };

struct rows;

struct row {
    json_t *value;     /* the caller's, any JSON value; NULL where there is a fault */
    const char *fault; /* what is wrong with this row alone, valid until the next call; or NULL */
    int line;          /* of the file, where the row begins; in an array the row's number; from 1 */
};

/* Errors have the path in them: those of file_open(), and ERR_INVALID for a folder. */
int rows_open(const char *path, struct rows **ret, struct err *err);
void rows_close(struct rows *r);

/* 1: *ret is the next row, or one with a fault; 0: there are no more. A negative code: nothing can
 * be read from here on, for a reason that names neither the path nor the line, which is
 * rows_failed_line(): ERR_INVALID and ERR_UNSUPPORTED are the file's fault. */
int rows_next(struct rows *r, struct row *ret, struct err *err);
/* 0: no line is to blame. */
int rows_failed_line(const struct rows *r);
/* Whether the rows that were read come from CSV. */
bool rows_are_csv(const struct rows *r);
