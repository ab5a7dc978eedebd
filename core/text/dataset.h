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
#include "core/err.h"
#include "core/text/data_options.h"
#include "core/problems.h"
#include "core/text/tokenizer.h"
#include <stdint.h>

struct example {
    const int32_t *ids;    /* (n), in the data set's arena */
    const int32_t *labels; /* (n) */
    int n;                 /* >= 2 */
    int n_trained; /* labels that are not -100; may be 0: the row is kept, but see dataset_load() */
    int line;      /* of the file, from 1; for a JSON array the row's number, from 1 */
};

struct dataset {
    struct example *examples;
    long n;
    long n_truncated;    /* rows cut to max_tokens */
    long n_untrained;    /* rows in which no label is trained */
    int first_truncated; /* line of the first such row, 0: none */
    int first_untrained;
    int longest; /* tokens of the longest row, after the cut */
    enum data_format format;
    enum data_template template_kind; /* the one used */
    void *arena;
};

/* Reads path (data->train or data->eval). tokenizer may be NULL: only rows of ids are possible
 * then, anything else is a problem that says so, and why if `refusal` (may be NULL) has it. vocab
 * bounds the ids. Problems name file and line; at most 20 of a kind are listed. Refused as
 * problems: no file, one that is not regular or cannot be read to its end, a row of more than 64
 * MiB, no format of rows.h, a row without its fields or with a field of the
 * wrong type, an id outside the vocabulary, ids and labels of unequal length, an empty data set, no
 * trained label in the whole set. ERR_INVALID then. */
int dataset_load(const char *path, const struct data_options *data,
                 const struct tokenizer *tokenizer, const struct err *refusal, int vocab,
                 struct dataset *ret_dataset, struct problems *problems, struct err *err);
void dataset_free(struct dataset *d);

/* XXH3-128 of all ids and labels in order, as 32 hex digits. */
void dataset_hash(const struct dataset *d, char ret_hex[33]);
