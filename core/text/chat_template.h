/* core/text/chat_template.h - a chat template with what it reads, as transformers'
 * apply_chat_template hands it over: messages, tools, add_generation_prompt, the special tokens by
 * name, and further variables.
 *
 * Which one: the file of data.chat_template, else the model's; of several named ones "tool_use"
 * where a conversation has tools, else "default".
 */
#pragma once
#include "core/err.h"
#include "core/text/jinja/jinja.h"
#include "core/text/tokenizer.h"
#include <jansson.h>
#include <stdbool.h>

struct chat_template; /* does not change: threads may share it */

struct chat_template_options {
    const char *file;        /* NULL: the model's */
    bool chatml;             /* instead of both: <|im_start|>ROLE\nTEXT<|im_end|>\n ... */
    const char *date;        /* of strftime_now(): "2026-11-26" or "2026-11-26 14:03:00"; NULL */
    const json_t *variables; /* an object, which must live as long; NULL: none */
};

/* The text of the template that `chatml` asks for. */
extern const char chat_template_chatml[];

/* ERR_INVALID where there is none, or it is no template; ERR_UNSUPPORTED where it needs what this
 * program lacks. */
int chat_template_open(const struct tokenizer *t, const struct chat_template_options *options,
                       struct chat_template **ret, struct err *err);
void chat_template_free(struct chat_template *c); /* NULL-safe */

/* Whether the model has one, or the options name one. */
bool chat_template_exists(const struct tokenizer *t, const struct chat_template_options *options);
/* Where it comes from: "chat_template of DIR/tokenizer_config.json". */
const char *chat_template_source(const struct chat_template *c);
/* Whether what it prints depends on the date. */
bool chat_template_needs_date(const struct chat_template *c);
/* Whether it marks the words of the assistant itself, with {% generation %}. tools: of the
 * conversation, or NULL. */
bool chat_template_marks(const struct chat_template *c, const json_t *tools);
/* Whether contents may be lists of parts. */
bool chat_template_takes_parts(const struct chat_template *c);
/* Whether the template names a field anywhere in its text. */
bool chat_template_names(const struct chat_template *c, const json_t *tools, const char *field);

/* tools and variables may be NULL; variables win over those of the options. Errors as
 * jinja_render(); what the template itself raises is quoted. */
int chat_template_render(const struct chat_template *c, const json_t *messages, const json_t *tools,
                         const json_t *variables, bool add_generation_prompt,
                         struct jinja_output *out, struct err *err);
