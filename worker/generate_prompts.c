/* worker/generate_prompts.c - see generate_prompts.h. A row becomes a conversation as it does for
 * training; its last answer is what is expected. */
#include "worker/generate_prompts.h"
#include "core/file.h"
#include "core/json_file.h"
#include "core/json_parse.h"
#include "core/text/dataset.h"
#include "core/text/file_kind.h"
#include "core/text/unpack.h"
#include "core/utf8.h"
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
    json_decref(p->row);
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

static char *content_of(const struct conversation *c, int message)
{
    const json_t *content =
        json_object_get(json_array_get(c->messages, (size_t)message), "content");
    const char *text = json_string_value(content);

    return strdup(text ? text : "");
}

static int add(struct prompts *p, json_t *row, enum data_format format,
               const struct conversation *c, struct err *err)
{
    struct prompt *more = realloc(p->of, ((size_t)p->n + 1) * sizeof(*more)), *made;
    int asked = conversation_asked(c);

    if (!more)
        return err_nomem(err, sizeof(*more));
    p->of = more;
    made = &more[p->n++];
    *made = (struct prompt){json_incref(row), format, content_of(c, asked - 1), NULL};
    if (asked < c->n)
        made->expected = content_of(c, asked);
    if (!made->text || (asked < c->n && !made->expected))
        return err_nomem(err, sizeof(*made));
    if (made->expected && !*made->expected) {
        free(made->expected);
        made->expected = NULL;
    }
    return 0;
}

/* The format that training reads the row as; rows that only ask are of the format of their
 * question. */
static enum data_format format_of(const json_t *row)
{
    enum data_format format = dataset_find_format(row);

    if (format != FORMAT_AUTO && format != FORMAT_TEXT)
        return format;
    if (json_object_get(row, "prompt"))
        return FORMAT_PROMPT;
    return json_object_get(row, "instruction") ? FORMAT_INSTRUCTION : FORMAT_AUTO;
}

/* Rows that ask without an answer get an empty one, so that they are read as those of training. */
static int fill_in(json_t *row, enum data_format format)
{
    const char *key = format == FORMAT_INSTRUCTION ? "output" : "completion";
    json_t *none;

    if (format == FORMAT_MESSAGES || json_is_set(json_object_get(row, key)))
        return 0;
    if (format == FORMAT_PROMPT && json_is_array(json_object_get(row, "prompt")))
        none = json_pack("[{s:s, s:s}]", "role", "assistant", "content", "");
    else
        none = json_string("");
    return json_object_set_new(row, key, none);
}

static int add_row(struct prompts *p, json_t *row, struct err *err)
{
    enum data_format format = format_of(row);
    struct conversation c = {0};
    enum row_fault fault;
    int rc;

    if (format == FORMAT_AUTO || format == FORMAT_IDS)
        return err_set(err, ERR_INVALID,
                       format == FORMAT_IDS
                           ? "the row is of token ids: only texts can be answered"
                           : "the row has none of \"prompt\", \"instruction\" and \"messages\"");
    if (fill_in(row, format) < 0)
        return err_nomem(err, sizeof(json_t));
    rc = conversation_read(&c, row, format, TRAIN_ON_ASSISTANT, &fault, err);
    if (rc == 0)
        rc = conversation_join_parts(&c, err);
    if (rc == 0)
        rc = add(p, row, format, &c, err);
    conversation_free(&c);
    return rc;
}

int prompts_add_text(struct prompts *p, const char *text, struct err *err)
{
    json_t *row = json_pack("{s:s, s:s}", "instruction", text, "output", "");
    int rc = row ? add_row(p, row, err) : err_set(err, ERR_INVALID, "a prompt is not UTF-8");

    json_decref(row);
    return rc;
}

/* ---- files ---- */

static const char *behind_blanks(const char *text)
{
    return text + strspn(text, " \t\r\n");
}

/* A row of a training file, or a user's words. */
static int add_line(struct prompts *p, const char *line, struct err *err)
{
    const char *text = behind_blanks(line);
    json_error_t why;
    json_t *row;
    int rc;

    if (*text == '\0')
        return 0;
    if (*text != '{')
        return prompts_add_text(p, line, err);
    row = json_parse(text, strlen(text), JSON_ALLOW_NUL, &why);
    rc = row ? add_row(p, row, err)
             : err_set(err, ERR_INVALID,
                       "begins with { but is not JSON: %s. If it is a text, write it as "
                       "{\"instruction\": \"...\"}",
                       why.text);
    json_decref(row);
    return rc;
}

static int add_lines(struct prompts *p, char *text, const char *path, int limit, struct err *err)
{
    char *at, *end;
    long number = 1;
    int rc = 0;

    for (at = text; rc == 0 && *at && !(limit && p->n >= limit); at = end, number++) {
        end = at + strcspn(at, "\n");
        if (end > at && end[-1] == '\r')
            end[-1] = '\0';
        if (*end)
            *end++ = '\0';
        if ((rc = add_line(p, at, err)) < 0)
            err_prefix(err, "%s:%ld", path, number);
    }
    return rc;
}

static int add_array(struct prompts *p, const char *text, const char *path, int limit,
                     struct err *err)
{
    json_error_t why;
    json_t *rows = json_parse(text, strlen(text), JSON_ALLOW_NUL, &why), *row;
    size_t i;
    int rc = 0;

    if (!rows)
        return err_set(err, ERR_INVALID, "%s:%d: is not JSON: %s", path, why.line, why.text);
    json_array_foreach(rows, i, row)
    {
        if (rc < 0 || (limit && p->n >= limit))
            break;
        rc = json_is_object(row) ? add_row(p, row, err)
                                 : err_set(err, ERR_INVALID, "is no row, which is an object");
        if (rc < 0)
            err_prefix(err, "%s: row %zu", path, i + 1);
    }
    json_decref(rows);
    return rc;
}

static int add_file(struct prompts *p, char *text, size_t len, const char *path, int limit,
                    struct err *err)
{
    const struct file_kind *kind = file_kind_of_bytes(text, len);
    const char *first;

    if (kind)
        return err_set(err, ERR_UNSUPPORTED, "%s: is %s. %s", path, kind->name, kind->advice);
    if (strlen(text) < len)
        return err_set(err, ERR_INVALID, "%s: is not a text file: it holds a NUL byte", path);
    text += utf8_mark_len(text, len);
    first = behind_blanks(text);
    if (*first == '[' && *behind_blanks(first + 1) == '{')
        return add_array(p, text, path, limit, err);
    return add_lines(p, text, path, limit, err);
}

int prompts_read(struct prompts *p, const char *path, int limit, struct err *err)
{
    char *text = NULL;
    size_t len;
    int rc;

    if (strcmp(path, "-") == 0)
        rc = file_read_stream(STDIN_FILENO, "standard input", PROMPTS_BYTES_MAX, &text, &len, err);
    else
        rc = unpack_file(path, PROMPTS_BYTES_MAX, &text, &len, err);
    if (rc == 0)
        rc = add_file(p, text, len, path, limit, err);
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
    bool lists = json_is_array(json_object_get(p->row, "prompt"));
    struct row_encoder **encoder = &e->of[p->format][lists];
    int rc = 0;

    if (!*encoder)
        rc = row_encoder_open(e->t, e->data, p->format, lists, encoder, err);
    return rc < 0 ? rc : row_encoder_prompt(*encoder, p->row, out, err);
}
