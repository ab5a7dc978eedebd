/* core/text/dataset.h - rows of a data file as token ids and labels.
 *
 * JSON lines, one JSON array of objects, or CSV, packed or not (rows.h). The format is found from
 * the keys of the first row unless the job names it; every later row must have the same. Templates
 * turn a row into (prompt, completion) texts that are tokenised apart; every template ends a
 * completion with the model's end token; the completion and that end token are what is trained
 * (train_on_prompt: everything but the first token). Rows longer than max_tokens are cut at the end
 * and counted.
 *
 *   labels[i] is the target for position i, predicted from position i-1; -100: not trained.
 *   labels[0] can never be
 *   trained and reads as -100.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "core/text/data_options.h"
#include "core/text/id_store.h"
#include "core/problems.h"
#include "core/text/tokenizer.h"
#include <jansson.h>
#include <stdint.h>

enum { ROW_LINES_MAX = 20 };

struct example {
    const int32_t *ids;    /* (n); NULL where they are not kept (sample_only) */
    const int32_t *labels; /* (n) */
    int n;                 /* >= 2 */
    int n_whole;           /* tokens before the row was cut to max_tokens */
    int n_trained; /* labels that are not -100; may be 0: the row is kept, but see dataset_load() */
    int file;      /* in the data set's files */
    int line;      /* of the file, from 1; for a JSON array the row's number, from 1 */
};

struct row_lines { /* rows of one kind, and where the first are */
    long n;
    long lines; /* different ones */
    struct {
        int file, line;
    } first[ROW_LINES_MAX];
};

struct dataset {
    struct example *examples;      /* NULL where another takes them */
    long n;                        /* in a pass: by weights and by data.overflow */
    long n_rows;                   /* of the files */
    struct row_lines cut;          /* rows cut to max_tokens, or into several of that many */
    struct row_lines dropped;      /* rows left out because they are longer */
    struct row_lines untrained;    /* rows in which no label is trained */
    struct row_lines without_stop; /* whose last trained token is none at which the model stops */
    int longest;                   /* tokens of the longest row, after the cut */
    char **files;                  /* (n_files) their paths */
    int n_files;
    enum data_format format;
    enum data_template template_kind; /* the one used */
    const char *template_source;      /* in words; NULL for rows of ids */
    const char *unused; /* fields that are not used, with the rows that have them; NULL: none */
    void *arena;        /* of texts */
    struct id_store ids;
};

struct dataset_input {
    const struct data_names *names; /* data->train or data->eval */
    const struct data_options *data;
    const struct tokenizer *tokenizer; /* NULL: only rows of ids are possible */
    const struct err *refusal;         /* why there is none, or NULL */
    int vocab;                         /* bounds the ids */
    bool sample_only;   /* all rows are counted, ids and labels of the first few MB are kept */
    const char *folder; /* for ids that are too many for memory; NULL: none are */
    void (*progress)(void *arg, long rows); /* now and then; may be NULL */
    void *arg;
    /* Where it is not NULL it gets every example as it is found, and the data set has none. Ids and
     * labels stay until dataset_free(), which then is the caller's to call after a failure, too. A
     * negative code ends the reading, as does the first row that is wrong. */
    int (*take)(void *taker, const struct example *e, struct err *err);
    void *taker;
};

/* Reads the files of in->names, in order. Where rows are texts and there is no tokenizer, that is a
 * problem. Problems name file and line; at most 20 of a kind are listed. Refused as problems: no
 * file, one that is not regular or cannot be read to its end, a row of more than 64 MiB, not JSON,
 * a row without its fields or with a field of the wrong type, an id outside the vocabulary, ids and
 * labels of unequal length, an empty data set, no trained label in the whole set. ERR_INVALID then.
 */
int dataset_load(const struct dataset_input *in, struct dataset *ret_dataset,
                 struct problems *problems, struct err *err);
void dataset_free(struct dataset *d);

/* Whether example i is the first one of its row, which may give several. */
bool dataset_begins_row(const struct dataset *d, long i);

/* The format that a row's fields are of, where the job says none; FORMAT_AUTO: of none. */
enum data_format dataset_find_format(const json_t *row);

/* Appends what a user should know of it, a sentence a line. */
void dataset_notes(const struct dataset *d, const struct data_options *data, struct buf *out);

/* XXH3-128 of all ids and labels of the first n examples in order, as 32 hex digits. */
void dataset_hash(const struct dataset *d, long n, char ret_hex[33]);
