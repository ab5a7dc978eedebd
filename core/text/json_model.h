/* core/text/json_model.h - the vocabulary and the merges of a tokenizer.json, read from its text.
 *
 * They are nearly all of a file of up to tens of megabytes. As jansson's values they would take ten
 * times the memory and most of the time of loading, so that they are cut out of what jansson sees,
 * and scanned.
 */
#pragma once
#include "core/text/vocab.h"
#include <jansson.h>

struct json_model {
    char *bytes;                  /* the file */
    const char *vocab, *merges;   /* the object's and the list's text, in bytes; NULL: none */
    size_t vocab_len, merges_len; /* in bytes */
};

/* Reads the file, which must hold an object; ret_root has empty ones in place of both. The caller
 * frees *ret by json_model_free() and *ret_root. */
int json_model_read(const char *path, size_t max, struct json_model *ret, json_t **ret_root,
                    struct err *err);
/* The same of a text in memory. */
int json_model_of_text(const char *text, size_t len, struct json_model *ret, json_t **ret_root,
                       struct err *err);
void json_model_free(struct json_model *m);

/* How many tokens there are, and the largest id; ERR_INVALID where one is no id. */
int json_model_count_tokens(const struct json_model *m, size_t *ret_n, int *ret_most,
                            struct err *err);
size_t json_model_count_merges(const struct json_model *m);

int json_model_put_tokens(const struct json_model *m, struct vocab *v, struct err *err);
int json_model_put_merges(const struct json_model *m, struct vocab *v, struct err *err);
