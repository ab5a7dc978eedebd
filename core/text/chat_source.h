/* core/text/chat_source.h - the chat templates that came with a model, as texts, and the special
 * tokens that they may name: what transformers' apply_chat_template finds.
 *
 *   folder   tokenizer_config.json: chat_template, a text, a list of {"name", "template"} or an
 *            object {name: template}; where they are there instead of that: chat_template.jinja
 * (the default one), additional_chat_templates/NAME.jinja, chat_templates/NAME.jinja; else
 *            chat_template.json
 *   GGUF     tokenizer.chat_template, and tokenizer.chat_template.NAME for each name of
 *            tokenizer.chat_templates
 */
#pragma once
#include "core/err.h"
#include <jansson.h>
#include <stddef.h>

struct tensorfile;

struct chat_text {
    char *name; /* "default"; of a special token "bos_token" */
    char *text; /* may hold no NUL */
    char *from; /* the file, for messages; NULL: of a special token */
};

struct chat_source { /* all owned */
    struct chat_text *templates, *specials;
    int n_templates, n_specials;
};

/* What is beside the file `path`; config is its tokenizer_config.json, or NULL. */
int chat_source_read_folder(struct chat_source *s, const char *path, const json_t *config,
                            struct err *err);
int chat_source_read_gguf(struct chat_source *s, const struct tensorfile *file, struct err *err);
/* A special token: text is NULL where there is none. */
int chat_source_add_special(struct chat_source *s, const char *name, const char *text,
                            struct err *err);
void chat_source_free(struct chat_source *s);

/* The template of a name, or NULL. */
const struct chat_text *chat_source_find(const struct chat_source *s, const char *name);
