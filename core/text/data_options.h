/* core/text/data_options.h - how the rows of a data set are read: a job file's section data. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

enum data_format {
    FORMAT_AUTO,
    FORMAT_PROMPT,      /* {"prompt","completion"} */
    FORMAT_INSTRUCTION, /* {"instruction","input","output"} */
    FORMAT_MESSAGES,    /* {"messages":[{"role","content"}]} */
    FORMAT_TEXT,        /* {"text"} */
    FORMAT_IDS,         /* {"input_ids","labels"} */
};
enum data_overflow { OVERFLOW_CUT, OVERFLOW_DROP, OVERFLOW_SPLIT }; /* of rows that are too long */
enum train_on { TRAIN_ON_ASSISTANT, TRAIN_ON_LAST, TRAIN_ON_ALL };
enum data_template {
    TEMPLATE_AUTO,
    TEMPLATE_PLAIN,
    TEMPLATE_ALPACA,
    TEMPLATE_CHATML,
    TEMPLATE_MODEL, /* the model's own chat template, or data.chat_template */
};

struct data_names { /* what data.train or data.eval says */
    struct data_name {
        char *path;    /* absolute; a file, or a pattern of them (data_files.h) */
        double weight; /* how often each row is seen in a pass: 1, or 2, or 0.5 for every second */
    } * of;            /* owned */
    int n;
};

struct data_options {
    struct data_names train, eval; /* eval may be empty */
    enum data_format format;
    enum data_template template_kind;
    char *chat_template;        /* absolute path of a template, or NULL: the model's */
    char *date;                 /* of a template that prints one, or NULL: not known */
    json_t *template_variables; /* further ones, an object, or NULL */
    json_t *fields; /* which key of a row holds what a format calls by another name, or NULL */
    enum data_overflow overflow;
    int max_tokens;               /* an example is cut to this many */
    enum train_on train_on;       /* of conversations */
    bool train_on_empty_thoughts; /* that a chat template inserts */
    bool train_on_prompt;         /* of all others */
    bool shuffle;
};
