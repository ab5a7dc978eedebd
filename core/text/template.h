/* core/text/template.h - how the texts of a row become token ids.
 *
 *   plain    tokens(prompt) | tokens(completion) end
 *   alpaca   the wording of Stanford Alpaca (Taori et al. 2023), with and without an input,
 *            likewise
 *   chatml   <|im_start|>ROLE\nTEXT<|im_end|>\n ... ; a completion ends with <|im_end|>; no system
 *            message is added
 *
 * What stands right of the bar is trained; in a conversation, that is every assistant's text and
 * its <|im_end|>. Trained and other texts are tokenised apart.
 */
#pragma once
#include "core/text/data_options.h"
#include "core/text/tokenizer.h"

enum { LABEL_NONE = -100 };

struct text { /* borrowed bytes, which may hold NUL */
    const char *bytes;
    size_t len;
};

struct template_message {
    struct text role, content;
};

struct template_row { /* what a row says, whatever its format */
    enum data_format format;
    struct text prompt;     /* FORMAT_PROMPT's prompt, FORMAT_INSTRUCTION's instruction */
    struct text input;      /* FORMAT_INSTRUCTION's, may be empty */
    struct text completion; /* FORMAT_TEXT's text, too */
    const struct template_message *messages; /* FORMAT_MESSAGES */
    int n_messages;
};

struct tokenised {
    struct token_list ids;
    struct token_list labels; /* of equal length: the id where trained, else LABEL_NONE */
};

/* The template that TEMPLATE_AUTO stands for; any other stays. */
enum data_template template_choose(enum data_template wanted, enum data_format format,
                                   const struct tokenizer *t);
/* ERR_INVALID where the template cannot render the format, or asks for tokens that the tokenizer
 * lacks. */
int template_check(enum data_template kind, enum data_format format, const struct tokenizer *t,
                   struct err *err);
/* Appends the row to out (which template_check() allows), behind a begin token if the tokenizer
 * asks for one. Nothing is cut. */
int template_encode(const struct tokenizer *t, enum data_template kind,
                    const struct template_row *row, struct tokenised *out, struct err *err);
/* The prompt of one user text under a template, as `generate` sends it: appends ids to out. For
 * TEMPLATE_AUTO the template is chosen as dataset_load() would for an {"instruction"} row.
 * *ret_kind (may be NULL) is the template chosen. */
int template_prompt(const struct tokenizer *t, enum data_template kind, const char *text,
                    struct token_list *out, enum data_template *ret_kind, struct err *err);
