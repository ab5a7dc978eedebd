/* client/tokenize_chat.h - conversations as a chat template prints them, and as training sees
 * them: dashctl tokenize --chat. */
#pragma once
#include "core/err.h"
#include "core/text/tokenizer.h"
#include <jansson.h>
#include <stdbool.h>

struct tokenize_chat {
    const char *template_file; /* NULL: the model's */
    const char *tools_file;    /* NULL: those of the conversations */
    const char *date;          /* NULL: today */
    bool prompt;               /* add_generation_prompt */
    bool ids, mask;            /* printed in place of the text */
    bool nul, json;            /* form of the output */
    json_t *variables;         /* an object; NULL: none */
};

/* Adds "key=json". */
int tokenize_chat_set(struct tokenize_chat *o, const char *assignment, struct err *err);

/* lines: each a list of messages, or a row with "messages" or "conversations". name is for
 * messages. A byte order mark is passed over. Prints to standard output. */
int tokenize_chat(const struct tokenize_chat *o, const struct tokenizer *t, const char *lines,
                  size_t len, const char *name, struct err *err);
