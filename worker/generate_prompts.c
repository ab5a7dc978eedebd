/* worker/generate_prompts.c - see generate_prompts.h. A row becomes a conversation as it does for
 * training; its last answer is what is expected. */
#include "worker/generate_prompts.h"
#include "core/file.h"
#include "core/json_parse.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROMPTS_BYTES_MAX = 256 << 20 };

struct prompt_encoder {
    const struct tokenizer *t;
    const struct data_options *data;
    struct row_encoder *of[FORMAT_IDS][2]; /* of a format, and whether prompts are lists */
};

static void free_prompt(struct prompt *p)
{
    json_decref(p->messages);
    json_decref(p->tools);
    free(p->text);
    free(p->expected);
}

void prompts_free(struct prompts *p)
{
    for (int i = 0; i < p->n; i++)
        free_prompt(&p->of[i]);
    free(p->of);
    *p = (struct prompts){0};
}

static char *content_of(const json_t *message)
{
    const char *text = json_string_value(json_object_get(message, "content"));

    return strdup(text ? text : "");
}

/* Steals messages, which may be NULL for lack of memory. */
static int add(struct prompts *p, json_t *messages, json_t *tools, enum data_format format,
               const char *expected, struct err *err)
{
    struct prompt *more = realloc(p->of, ((size_t)p->n + 1) * sizeof(*more)), *made;

    if (!more || !messages) {
        p->of = more ? more : p->of;
        json_decref(messages);
        return err_nomem(err, sizeof(*more));
    }
    p->of = more;
    made = &more[p->n++];
    *made = (struct prompt){messages, json_incref(tools), format,
                            content_of(json_array_get(messages, json_array_size(messages) - 1)),
                            expected ? strdup(expected) : NULL};
    return made->text && (made->expected || !expected) ? 0 : err_nomem(err, sizeof(*made));
}

int prompts_add_text(struct prompts *p, const char *text, struct err *err)
{
    json_t *messages = json_pack("[{s:s, s:s}]", "role", "user", "content", text);

    if (!messages)
        return err_set(err, ERR_INVALID, "a prompt is not UTF-8");
    return add(p, messages, NULL, FORMAT_INSTRUCTION, NULL, err);
}

static enum data_format format_of(const json_t *row)
{
    if (json_object_get(row, "prompt"))
        return FORMAT_PROMPT;
    if (json_object_get(row, "instruction"))
        return FORMAT_INSTRUCTION;
    return json_object_get(row, "messages") || json_object_get(row, "conversations")
               ? FORMAT_MESSAGES
               : FORMAT_AUTO;
}

/* Rows that ask without an answer get an empty one, so that they are read as those of training. */
static int fill_in(json_t *row, enum data_format format)
{
    const char *key = format == FORMAT_INSTRUCTION ? "output" : "completion";

    if (format == FORMAT_MESSAGES || json_object_get(row, key) ||
        (format == FORMAT_PROMPT && !json_is_string(json_object_get(row, "prompt"))))
        return 0;
    return json_object_set_new(row, key, json_string(""));
}

static int add_row(struct prompts *p, json_t *row, struct err *err)
{
    enum data_format format = format_of(row);
    struct conversation c = {0};
    enum row_fault fault;
    char *expected = NULL;
    int n, rc;

    if (format == FORMAT_AUTO)
        return err_set(err, ERR_INVALID,
                       "the row has none of \"prompt\", \"instruction\" and \"messages\"");
    if (fill_in(row, format) < 0)
        return err_nomem(err, sizeof(json_t));
    rc = conversation_read(&c, row, format, TRAIN_ON_ASSISTANT, &fault, err);
    if (rc == 0)
        rc = conversation_join_parts(&c, err);
    n = c.n;
    if (rc == 0 && n > 1 && role_is_assistant(json_array_get(c.messages, (size_t)n - 1)))
        expected = content_of(json_array_get(c.messages, (size_t)--n));
    if (rc == 0)
        rc = add(p, conversation_begin(&c, n), c.tools, format,
                 expected && *expected ? expected : NULL, err);
    free(expected);
    conversation_free(&c);
    return rc;
}

/* A row of a training file, or a user's words. */
static int add_line(struct prompts *p, const char *line, struct err *err)
{
    json_error_t why;
    json_t *row = *line == '{' ? json_parse(line, strlen(line), 0, &why) : NULL;
    int rc = json_is_object(row) ? add_row(p, row, err) : prompts_add_text(p, line, err);

    json_decref(row);
    return rc;
}

int prompts_read(struct prompts *p, const char *path, int limit, struct err *err)
{
    char *text = NULL, *at, *end;
    long number = 1;
    size_t len;
    int rc;

    if (strcmp(path, "-") == 0)
        rc = file_read_stream(STDIN_FILENO, "standard input", PROMPTS_BYTES_MAX, &text, &len, err);
    else
        rc = file_read(path, PROMPTS_BYTES_MAX, &text, &len, err);
    for (at = text; rc == 0 && *at && !(limit && p->n >= limit); at = end, number++) {
        end = at + strcspn(at, "\n");
        if (*end)
            *end++ = '\0';
        if (*at && (rc = add_line(p, at, err)) < 0)
            err_prefix(err, "%s:%ld", path, number);
    }
    free(text);
    if (rc == 0 && p->n == 0)
        rc = err_set(err, ERR_INVALID, "%s holds no prompt", path);
    return rc;
}

int prompt_encoder_open(const struct tokenizer *t, const struct data_options *data,
                        struct prompt_encoder **ret, struct err *err)
{
    struct prompt_encoder *e = calloc(1, sizeof(*e));

    if (!e)
        return err_nomem(err, sizeof(*e));
    e->t = t;
    e->data = data;
    *ret = e;
    return 0;
}

void prompt_encoder_free(struct prompt_encoder *e)
{
    for (int i = 0; e && i < FORMAT_IDS; i++) {
        row_encoder_free(e->of[i][0]);
        row_encoder_free(e->of[i][1]);
    }
    free(e);
}

int prompt_encode(struct prompt_encoder *e, const struct prompt *p, struct token_list *out,
                  struct err *err)
{
    bool lists = p->format == FORMAT_PROMPT && json_array_size(p->messages) > 1;
    struct row_encoder **encoder = &e->of[p->format][lists];
    int rc = 0;

    if (!*encoder)
        rc = row_encoder_open(e->t, e->data, p->format, lists, encoder, err);
    return rc < 0 ? rc : row_encoder_prompt(*encoder, p->messages, p->tools, out, err);
}
