/* core/text/conversation.h - a row of data as the messages of a conversation, in the form that a
 * chat template reads.
 *
 *   messages      {"messages": [{"role", "content", ...}], "tools": [...], ...}; OpenAI's files
 *   ShareGPT      {"conversations": [{"from", "value"}], "system"}
 *   prompt        {"prompt": [messages], "completion": [messages]}: the prompt's are not trained
 *   instruction   {"instruction", "input", "output", "system", "history": [[asked, answered]]}
 *
 * As in transformers, fields that are null are left out, and reasoning has its newer and its older
 * name. Whose words are trained is decided here by data.train_on and by what messages say
 * themselves ("weight": 0 or 1, "train": true or false).
 */
#pragma once
#include "core/err.h"
#include "core/text/data_options.h"
#include "core/text/row_fault.h"
#include <jansson.h>
#include <stdbool.h>

struct conversation {  /* owned */
    json_t *messages;  /* a list of objects */
    json_t *tools;     /* NULL: none */
    json_t *variables; /* of the template (chat_template_kwargs), an object; NULL: none */
    bool *trained;     /* (n) */
    int n;
};

/* What a row means. On failure, ERR_INVALID with the kind of fault and a sentence about the row, or
 * ERR_NOMEM. Frees what *c held before. */
int conversation_read(struct conversation *c, const json_t *row, enum data_format format,
                      enum train_on train_on, enum row_fault *ret_fault, struct err *err);
void conversation_free(struct conversation *c);

/* Messages [0, n) as a list of their own; json_decref() it. NULL for lack of memory. */
json_t *conversation_begin(const struct conversation *c, int n);
/* How many messages a model is given to answer: all, but for an answer at the end. */
int conversation_asked(const struct conversation *c);
/* Replaces contents that are lists of text parts by their texts, one behind the other. */
int conversation_join_parts(struct conversation *c, struct err *err);

/* Whether a role's words are those of the model. */
bool role_is_assistant(const json_t *message);
/* What the field of a row is called if rows that have it are for another kind of training: "a
 * preference"; NULL: it is not. */
const char *row_of_other_training(const json_t *row);
/* "a text", "a list" and so on. */
const char *json_type_words(const json_t *value);
