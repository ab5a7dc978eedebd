/* worker/generate_prompts.h - what a model is asked: texts, rows of a training file without their
 * last answer, conversations; and as token ids, by the templates of training. */
#pragma once
#include "core/err.h"
#include "core/text/row_encoder.h"

struct prompt {
    json_t *row; /* of a training file, with an answer, which may be empty */
    enum data_format format;
    char *text;     /* the last message's, for people */
    char *expected; /* the answer that the row has, or NULL */
};

struct prompts { /* zero-initialise */
    struct prompt *of;
    int n;
};
void prompts_free(struct prompts *p);

/* A user's words. */
int prompts_add_text(struct prompts *p, const char *text, struct err *err);
/* A file, or - for standard input: rows, as JSON lines or as one JSON array, or a user's words a
 * line. A line that begins with { is a row. Packed files are unpacked. At most `limit` prompts in
 * all, 0: any number. Errors name the line. */
int prompts_read(struct prompts *p, const char *path, int limit, struct err *err);

struct prompt_encoder; /* opens a row_encoder for each format that it meets */
int prompt_encoder_open(const struct tokenizer *t, const struct data_options *data,
                        struct prompt_encoder **ret, struct err *err);
void prompt_encoder_free(struct prompt_encoder *e); /* NULL-safe */
int prompt_encode(struct prompt_encoder *e, const struct prompt *p, struct token_list *out,
                  struct err *err);
