/* core/text/dataset_impl.h - what dataset.c (files, arena, counts) shares with dataset_rows.c (what
 * a row says, what is wrong with it). */
#pragma once
#include "core/text/dataset.h"
#include "core/pool.h"
#include "core/text/template.h"
#include <jansson.h>

enum row_fault {
    FAULT_NOT_JSON,
    FAULT_FIELDS,
    FAULT_MISSING,
    FAULT_TYPE,
    FAULT_ROLE,
    FAULT_ID,
    FAULT_LENGTHS,
    FAULT_SHORT,
    FAULT_TEXT,
    FAULTS
};
enum { LISTED_MAX = 20 };

struct loader {
    const char *path;
    const struct data_options *data;
    const struct tokenizer *tokenizer; /* NULL: none */
    const struct err *refusal;         /* why there is none, or NULL */
    int vocab;
    struct dataset *d;
    long cap; /* of d->examples */
    struct pool *pool;
    struct problems *problems;
    long faults[FAULTS];
    bool started;  /* the first row was seen: format and template are known */
    bool hopeless; /* nothing further can be said */
    struct tokenised row;
    struct template_message *messages; /* scratch */
    size_t messages_cap;
    struct err *err;
};

/* Reports a fault of a row; of each kind only the first LISTED_MAX. */
void dataset_fault(struct loader *l, enum row_fault kind, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Reports how many more there were of each kind. */
void dataset_count_the_rest(struct loader *l);

/* "a text", "a list" and so on. */
const char *dataset_type_name(const json_t *value);

/* Puts the ids and labels of a row (a JSON object) in l->row, uncut. 1: a good row; 0: a bad one,
 * which was reported; or a negative code. The first row decides format and template. */
int dataset_read_row(struct loader *l, const json_t *row, int line);
