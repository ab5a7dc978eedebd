/* worker/generate_answers.h - what `dashctl generate` is asked to do, and its doing: prompts one
 * after another or a conversation, and what is printed of them.
 */
#pragma once
#include "worker/generate.h"
#include "worker/generate_prompts.h"
#include "worker/stream.h"

struct generate_request {
    const char *model, *adapter, *prompts_file, *system;
    struct prompts prompts;
    struct data_options data; /* the template's */
    int threads, limit;
    bool json, chat;
    struct generate_options options;
    struct stops stops;
};

/* Prints the answers as they are made. Reads r->prompts_file into r->prompts first. */
int generate_answers(struct generate_request *r, struct err *err);
