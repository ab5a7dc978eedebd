/* client/data_report.h - what dashctl data check prints: numbers about a data set, and single rows
 * as the model sees them. */
#pragma once
#include "core/err.h"
#include "core/text/dataset.h"
#include "core/text/tokenizer.h"
#include <stdbool.h>

struct data_report {
    const struct dataset *data;
    const struct tokenizer *tokenizer; /* NULL: rows of ids */
    const struct data_options *options;
    bool json;
};

/* Rows by kind, lengths, what is cut, the share that is trained. */
int data_report_print(const struct data_report *r, struct err *err);
/* The rows of a line: text with special tokens, trained tokens in colour or in brackets; or with
 * `ids` a token a line. ERR_INVALID where the line has none. */
int data_report_print_row(const struct data_report *r, int line, bool ids, struct err *err);
