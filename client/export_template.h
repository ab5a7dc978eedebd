/* client/export_template.h - with which template a job trained, for the programs that are to serve
 * what it trained.
 */
#pragma once
#include "core/job/export_source.h"
#include "core/text/chat_template.h"
#include "core/text/tokenizer.h"

struct trained_template {
    enum data_template kind;     /* TEMPLATE_AUTO: not known */
    char *text;                  /* of a chat template that is not the model's own; or NULL */
    struct chat_template *chat;  /* of TEMPLATE_MODEL and TEMPLATE_CHATML */
    struct tokenizer *tokenizer; /* NULL: the model has none */
};

/* An adapter without a job has a template that is not known, and so has a job whose data decide and
 * are no longer there; notices says so. Closed by trained_template_close(), on failure too. */
int trained_template_open(const struct export_source *source, struct trained_template *ret,
                          struct buf *notices, struct err *err);
void trained_template_close(struct trained_template *t);

/* Appends TEMPLATE, and what goes with it, as a Modelfile of Ollama has them. Only where the
 * trained template prints conversations exactly as one of the forms that are known as Go templates;
 * else appends a comment. */
int trained_template_for_ollama(const struct trained_template *t, struct buf *out, struct err *err);
