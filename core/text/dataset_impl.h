/* core/text/dataset_impl.h - what dataset.c (files, arena, counts) shares with dataset_rows.c (what
 * a row says, what is wrong with it). */
#pragma once
#include "core/text/dataset.h"
#include "core/pool.h"
#include "core/text/row_encoder.h"
#include <jansson.h>

enum { LISTED_MAX = 20, UNUSED_MAX = 32 };

struct loader {
    const struct dataset_input *in;
    long n_read;      /* rows of all files */
    const char *path; /* of the file that is read now */
    double weight;    /* of its rows */
    long n_rows;      /* of the files of its name so far */
    long times;       /* that the row is in a pass */
    const struct data_options *data;
    struct dataset *d;
    long cap; /* of d->examples */
    struct pool *pool;
    struct problems *problems;
    long faults[FAULTS];
    bool started;  /* the first row was seen: format and template are known */
    bool hopeless; /* nothing further can be said */
    struct tokenised row;
    struct row_encoder *encoder; /* NULL: rows of ids */
    int *parts;                  /* (n_parts + 1) where position_ids cut the row; 0: they do not */
    int n_parts, parts_cap;
    struct {
        const char *name;
        long rows;
    } unused[UNUSED_MAX];
    int n_unused;
    struct err *err;
};

/* Counts a row. */
void dataset_note_line(const struct loader *l, struct row_lines *lines, int line);
/* Reports a fault of a row; of each kind only the first LISTED_MAX. */
void dataset_fault(struct loader *l, enum row_fault kind, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Reports how many more there were of each kind. */
void dataset_count_the_rest(struct loader *l);

/* Puts the ids and labels of a row (a JSON object) in l->row, uncut. 1: a good row; 0: a bad one,
 * which was reported; or a negative code. The first row decides format and template. */
int dataset_read_row(struct loader *l, const json_t *row, int line);
/* The same for a row of ids. Where position_ids begin anew, l->parts says where the row is cut. */
int dataset_read_ids(struct loader *l, const json_t *row, int line);
