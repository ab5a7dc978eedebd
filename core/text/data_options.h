/* core/text/data_options.h - how the rows of a data set are read: a job file's section data. */
#pragma once
#include <stdbool.h>

enum data_format {
    FORMAT_AUTO,
    FORMAT_PROMPT,      /* {"prompt","completion"} */
    FORMAT_INSTRUCTION, /* {"instruction","input","output"} */
    FORMAT_MESSAGES,    /* {"messages":[{"role","content"}]} */
    FORMAT_TEXT,        /* {"text"} */
    FORMAT_IDS,         /* {"input_ids","labels"} */
};
enum data_template { TEMPLATE_AUTO, TEMPLATE_PLAIN, TEMPLATE_ALPACA, TEMPLATE_CHATML };

struct data_options {
    char *train; /* absolute path */
    char *eval;  /* absolute path, or NULL */
    enum data_format format;
    enum data_template template_kind;
    int max_tokens; /* an example is cut to this many */
    bool train_on_prompt;
    bool shuffle;
};
