/* core/text/rows_impl.h - what rows.c (blocks, which format) shares with rows_json.c and
 * rows_csv.c.
 *
 * block[at, n) is what was read and not used. A row that lies in it is parsed where it is; one that
 * crosses its end, and every CSV row, is put together in `text`.
 */
#pragma once
#include "core/buf.h"
#include "core/text/rows.h"
#include "core/text/unpack.h"
#include <stddef.h>

#ifndef ROWS_BLOCK_BYTES /* targets of libFuzzer have smaller ones */
#define ROWS_BLOCK_BYTES (256 << 10)
#endif

struct rows {
    char *path;
    struct unpack *bytes;
    char *block; /* (ROWS_BLOCK_BYTES) */
    size_t at, n;
    bool at_end;     /* of the file: nothing follows the block */
    int line;        /* of block[at], from 1 */
    int failed_line; /* 0: none */
    struct buf text;
    struct buf fault;
    int (*next)(struct rows *r, struct row *ret, struct err *err); /* NULL before the first row */

    int number;  /* JSON array: rows so far */
    bool closed; /* JSON array: its bracket was read */

    char delimiter; /* CSV; 0: the file is not CSV */
    char **names;   /* CSV: (n_names), of the header */
    int n_names;
    int header_line;
    struct buf ends;  /* CSV: size_t each, where in `text` each field of the row ends */
    bool quoted;      /* CSV: a field of the row is in quotes */
    int behind_quote; /* CSV: number of a field with text behind its closing quote; 0: none */
};

/* Reads the next block where this one is used up. 1: block[at] is there; 0: the end; or a code. */
int rows_more(struct rows *r, struct err *err);
/* Appends n bytes of the block to the text, and passes over them. */
int rows_keep(struct rows *r, size_t n, struct err *err);
/* Passes over n bytes of the block, counting lines. */
void rows_skip(struct rows *r, size_t n);
/* Ends the reading: "the row has more than ..." and the like. Returns code. */
int rows_fail(struct rows *r, int code, int line, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* Fills a row that has a fault; returns 1, or a code for lack of memory. */
int rows_fault(struct rows *r, int line, struct row *ret, struct err *err, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* rows_json.c. block[at] is the first byte that is not blank. */
int rows_begin_lines(struct rows *r, struct err *err);
int rows_begin_array(struct rows *r, struct err *err);

/* rows_csv.c. Whether the block begins with a header of CSV; then r->delimiter is set. certain: the
 * name of the file says that it is CSV (',') or TSV ('\t'), else 0. */
bool rows_csv_sniff(struct rows *r, char certain);
int rows_begin_csv(struct rows *r, struct err *err);
