/* client/tokenize_chat.c - see tokenize_chat.h. Text and ids come from the same functions as those
 * of training; a generation prompt, which training never has, is rendered alone. */
#include "client/tokenize_chat.h"
#include "core/clock.h"
#include "core/json_file.h"
#include "core/json_parse.h"
#include "core/text/chat_encode.h"
#include "core/utf8.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TOOLS_BYTES_MAX = 16 << 20 };

/* A word of another language, or a text without quotes, must not become a text that a template
 * takes for true. */
static int refuse_value(const char *assignment, const char *value, struct err *err)
{
    static const char *const words[][2] = {{"true", "true"},     {"yes", "true"}, {"on", "true"},
                                           {"false", "false"},   {"no", "false"}, {"off", "false"},
                                           {"none", "null"},     {"nil", "null"}, {"null", "null"},
                                           {"undefined", "null"}};
    const char *meant = NULL;

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasecmp(value, words[i][0]) == 0)
            meant = words[i][1];
    if (meant)
        return err_set(err, ERR_INVALID, "--set %s: the value is not JSON: write %s", assignment,
                       meant);
    return err_set(err, ERR_INVALID,
                   "--set %s: the value is not JSON: a text has double quotes: --set '%.*s=\"%s\"'",
                   assignment, (int)(value - 1 - assignment), assignment,
                   strpbrk(value, "\"\\{[") || !*value ? "..." : value);
}

int tokenize_chat_set(struct tokenize_chat *o, const char *assignment, struct err *err)
{
    const char *equals = strchr(assignment, '=');
    json_error_t why;
    json_t *value;
    char *name;
    int failed;

    if (!equals || equals == assignment)
        return err_set(err, ERR_INVALID, "--set %s: must be KEY=JSON", assignment);
    value = json_parse(equals + 1, strlen(equals + 1), JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (!value || json_parse_not_finite(value)) {
        json_decref(value);
        return refuse_value(assignment, equals + 1, err);
    }
    name = strndup(assignment, (size_t)(equals - assignment));
    if (!o->variables)
        o->variables = json_object();
    failed = !name || json_object_set_new(o->variables, name, value);
    free(name);
    return failed ? err_set(err, ERR_INVALID, "--set %s: is not UTF-8", assignment) : 0;
}

struct printing {
    const struct tokenize_chat *o;
    const struct tokenizer *t;
    struct chat_template *template;
    json_t *tools; /* of tools_file, or NULL */
    struct conversation conversation;
    struct chat_scratch scratch;
    struct jinja_output text;
    struct tokenised row;
    struct err *err;
};

static int open_template(struct printing *p)
{
    char today[16];
    const struct chat_template_options options = {
        .file = p->o->template_file,
        .date = p->o->date ? p->o->date : clock_today(today),
        .variables = p->o->variables,
    };
    int rc = chat_template_open(p->t, &options, &p->template, p->err);

    if (rc < 0 || !p->o->tools_file)
        return rc;
    rc = json_file_read(p->o->tools_file, TOOLS_BYTES_MAX, &p->tools, p->err);
    if (rc == 0 && !json_is_array(p->tools))
        return err_set(p->err, ERR_INVALID, "%s: must be a list of tools", p->o->tools_file);
    return rc;
}

static json_t *ints(const int32_t *values, const int32_t *labels, int n)
{
    json_t *list = json_array();

    for (int i = 0; i < n; i++)
        json_array_append_new(list, json_integer(labels ? labels[i] != LABEL_NONE : values[i]));
    return list;
}

static int print_json(struct printing *p, const struct buf *text)
{
    json_t *o = json_pack("{s:s%}", "text", text->data ? text->data : "", text->len);
    int failed = !o;

    if (!failed && p->o->ids)
        failed = json_object_set_new(o, "ids", ints(p->row.ids.ids, NULL, p->row.ids.n));
    if (!failed && p->o->mask)
        failed =
            json_object_set_new(o, "mask", ints(p->row.ids.ids, p->row.labels.ids, p->row.ids.n));
    if (!failed)
        failed = json_dumpf(o, stdout, JSON_ENSURE_ASCII);
    json_decref(o);
    putchar('\n');
    return failed ? err_nomem(p->err, text->len) : 0;
}

static int print(struct printing *p, const struct buf *text)
{
    if (p->o->json)
        return print_json(p, text);
    for (int i = 0; p->o->ids && i < p->row.ids.n; i++)
        printf("%s%d", i ? " " : "", p->row.ids.ids[i]);
    if (p->o->ids)
        putchar('\n');
    for (int i = 0; p->o->mask && i < p->row.ids.n; i++)
        printf("%s%d", i ? " " : "", p->row.labels.ids[i] != LABEL_NONE);
    if (p->o->mask)
        putchar('\n');
    if (p->o->ids || p->o->mask)
        return 0;
    fwrite(text->data ? text->data : "", 1, text->len, stdout);
    putchar(p->o->nul ? '\0' : '\n');
    return 0;
}

/* With a generation prompt nothing is trained. */
static int encode_prompt(struct printing *p)
{
    struct buf *text = &p->text.text;
    int rc = chat_template_takes_parts(p->template)
                 ? 0
                 : conversation_join_parts(&p->conversation, p->err);

    if (rc == 0)
        rc = chat_template_render(p->template, p->conversation.messages, p->conversation.tools,
                                  p->conversation.variables, p->o->prompt, &p->text, p->err);
    if (rc == 0 && (p->o->ids || p->o->mask))
        rc = tokenizer_encode(p->t, text->data ? text->data : "", text->len, &p->row.ids, p->err);
    while (rc == 0 && p->row.labels.n < p->row.ids.n)
        rc = token_list_push(&p->row.labels, LABEL_NONE, 0, p->err);
    return rc < 0 ? rc : print(p, text);
}

static int encode(struct printing *p)
{
    const struct chat_rules rules = {0};
    enum row_fault fault;
    int rc = chat_encode(p->template, p->t, &p->conversation, &rules, &p->scratch, &p->row, &fault,
                         p->err);

    return rc < 0 ? rc : print(p, &p->scratch.turns.whole.text);
}

/* Steals value. */
static int put_value(struct printing *p, json_t *value)
{
    json_t *row = json_is_array(value) ? json_pack("{s:o}", "messages", value) : value;
    enum row_fault fault;
    int rc = json_is_object(row) ? 0
                                 : err_set(p->err, ERR_INVALID,
                                           "is neither a list of messages nor a row that has one");

    if (rc == 0 && p->tools)
        json_object_set(row, "tools", p->tools);
    if (rc == 0)
        rc = conversation_read(&p->conversation, row,
                               json_is_array(json_object_get(row, "prompt")) ? FORMAT_PROMPT
                               : json_object_get(row, "instruction")         ? FORMAT_INSTRUCTION
                                                                             : FORMAT_MESSAGES,
                               TRAIN_ON_ASSISTANT, &fault, p->err);
    p->row.ids.n = p->row.labels.n = 0;
    if (rc == 0)
        rc = p->o->mask && !p->o->prompt ? encode(p) : encode_prompt(p);
    json_decref(row);
    return rc;
}

static int put_line(struct printing *p, const char *line, size_t len)
{
    json_error_t why = {0};
    json_t *value;

    if (strspn(line, " \t\r\n") >= len)
        return 0;
    value = json_parse(line, len, JSON_ALLOW_NUL, &why);
    if (!value)
        return err_set(p->err, ERR_INVALID, "is not JSON: %s", why.text);
    return put_value(p, value);
}

int tokenize_chat(const struct tokenize_chat *o, const struct tokenizer *t, const char *lines,
                  size_t len, const char *name, struct err *err)
{
    struct printing p = {.o = o, .t = t, .err = err};
    const char *at = lines + utf8_mark_len(lines, len), *end = lines + len, *stop;
    int rc = open_template(&p);

    for (long number = 1; rc == 0 && at < end; at = stop + 1, number++) {
        stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        rc = put_line(&p, at, (size_t)(stop - at));
        if (rc < 0)
            err_prefix(err, "%s:%ld", name, number);
    }
    chat_template_free(p.template);
    conversation_free(&p.conversation);
    chat_scratch_free(&p.scratch);
    jinja_output_free(&p.text);
    token_list_free(&p.row.ids);
    token_list_free(&p.row.labels);
    json_decref(p.tools);
    return rc;
}
