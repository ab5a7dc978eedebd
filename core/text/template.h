/* core/text/template.h - the templates without roles: how the texts of a row become token ids.
 *
 *   plain    tokens(prompt) | tokens(completion) end
 *   alpaca   the wording of Stanford Alpaca (Taori et al. 2023), with and without an input,
 *            likewise
 *
 * What stands right of the bar is trained. Both sides are tokenised apart.
 */
#pragma once
#include "core/text/data_options.h"
#include "core/text/tokenizer.h"

enum { LABEL_NONE = -100 };

struct text { /* borrowed bytes, which may hold NUL */
    const char *bytes;
    size_t len;
};

struct template_row { /* what a row says, whatever its format */
    enum data_format format;
    struct text prompt;     /* FORMAT_PROMPT's prompt, FORMAT_INSTRUCTION's instruction */
    struct text input;      /* FORMAT_INSTRUCTION's, may be empty */
    struct text completion; /* FORMAT_TEXT's text, too */
};

struct tokenised {
    struct token_list ids;
    struct token_list labels; /* of equal length: the id where trained, else LABEL_NONE */
};

/* Appends the row to out, behind a begin token if the tokenizer asks for one. kind is
 * TEMPLATE_PLAIN or TEMPLATE_ALPACA; the tokenizer has an end token. Nothing is cut. */
int template_encode(const struct tokenizer *t, enum data_template kind,
                    const struct template_row *row, struct tokenised *out, struct err *err);
/* What a model is given to complete the row, which is all in front of its completion: appends ids
 * to out. */
int template_prompt(const struct tokenizer *t, enum data_template kind,
                    const struct template_row *row, struct token_list *out, struct err *err);
