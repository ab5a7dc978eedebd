/* worker/generate_prompts.h - what a model is asked: texts, rows of a training file without their
 * last answer, conversations; and as token ids, by the templates of training. */
#pragma once
#include "core/err.h"
#include "core/text/row_encoder.h"

struct prompt {
    json_t *messages; /* a list */
    json_t *tools;    /* or NULL */
    enum data_format format;
    char *text;     /* the last message's, for people */
    char *expected; /* the answer that a row has, or NULL */
};

struct prompts { /* zero-initialise */
    struct prompt *of;
    int n;
};
void prompts_free(struct prompts *p);

/* A user's words. */
int prompts_add_text(struct prompts *p, const char *text, struct err *err);
/* A file, or - for standard input: JSON lines of rows, or a user's words a line. At most `limit`
 * prompts in all, 0: any number. */
int prompts_read(struct prompts *p, const char *path, int limit, struct err *err);

struct prompt_encoder; /* opens a row_encoder for each format that it meets */
int prompt_encoder_open(const struct tokenizer *t, const struct data_options *data,
                        struct prompt_encoder **ret, struct err *err);
void prompt_encoder_free(struct prompt_encoder *e); /* NULL-safe */
int prompt_encode(struct prompt_encoder *e, const struct prompt *p, struct token_list *out,
                  struct err *err);
