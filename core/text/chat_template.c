/* core/text/chat_template.c - see chat_template.h. Whether a template takes parts of contents is
 * found by giving it some. */
#include "core/text/chat_template.h"
#include "core/file.h"
#include "core/text/chat_source.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { FILE_BYTES_MAX = 1 << 20, VARIABLES_MAX = 256 };

const char chat_template_chatml[] =
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content + "
    "'<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% endif %}";

struct named_template {
    struct jinja *jinja;
    char *text;
};

struct chat_template {
    struct named_template main, tool_use; /* tool_use.jinja NULL: main serves */
    struct chat_source specials;          /* copies of the special tokens */
    const json_t *variables;
    struct jinja_options options;
    bool takes_parts;
    char *source;
};

static bool is_digits(const char *text, const char *form)
{
    size_t i;

    for (i = 0; form[i]; i++)
        if (form[i] == '0' ? text[i] < '0' || text[i] > '9' : text[i] != form[i])
            return false;
    return text[i] == '\0';
}

/* The date as seconds since 1970, as if it were UTC. */
static int read_date(const char *date, int64_t *ret, struct err *err)
{
    struct tm tm = {0};
    char *end = NULL;

    *ret = JINJA_NO_DATE;
    if (!date)
        return 0;
    if (is_digits(date, "0000-00-00"))
        end = strptime(date, "%Y-%m-%d", &tm);
    else if (is_digits(date, "0000-00-00 00:00:00"))
        end = strptime(date, "%Y-%m-%d %H:%M:%S", &tm);
    if (!end || *end)
        return err_set(err, ERR_INVALID,
                       "the date \"%.40s\" must be written as 2026-11-26 or 2026-11-26 14:03:00",
                       date);
    *ret = timegm(&tm);
    return 0;
}

static int parse(struct named_template *n, const char *name, const char *text, size_t len,
                 struct err *err)
{
    n->text = strndup(text, len);
    return n->text ? jinja_parse(name, text, len, &n->jinja, err) : err_nomem(err, len);
}

static int set_source(struct chat_template *c, const char *form, const char *from, struct err *err)
{
    return asprintf(&c->source, form, from) < 0 ? err_nomem(err, strlen(from)) : 0;
}

static int open_file(struct chat_template *c, const char *path, struct err *err)
{
    char *text;
    size_t len;
    int rc = file_read(path, FILE_BYTES_MAX, &text, &len, err);

    if (rc < 0)
        return rc;
    rc = parse(&c->main, path, text, len, err);
    free(text);
    return rc < 0 ? rc : set_source(c, "%s", path, err);
}

static int open_source(struct chat_template *c, const struct chat_source *s, struct err *err)
{
    const struct chat_text *first = chat_source_find(s, "default");
    const struct chat_text *tool_use = chat_source_find(s, "tool_use");
    int rc;

    if (!first)
        return err_set(err, ERR_INVALID,
                       s->n_templates ? "the model's chat templates have names, and none is "
                                        "called \"default\": give one as data.chat_template"
                                      : "the model has no chat template");
    rc = set_source(c, "chat_template of %s", first->from, err);
    if (rc == 0)
        rc = parse(&c->main, c->source, first->text, strlen(first->text), err);
    if (rc == 0 && tool_use)
        rc = parse(&c->tool_use, c->source, tool_use->text, strlen(tool_use->text), err);
    return rc;
}

static int open_template(struct chat_template *c, const struct tokenizer *t,
                         const struct chat_template_options *options, struct err *err)
{
    int rc;

    if (options->file)
        return open_file(c, options->file, err);
    if (!options->chatml)
        return open_source(c, tokenizer_chat(t), err);
    rc = set_source(c, "%s", "chatml", err);
    return rc < 0
               ? rc
               : parse(&c->main, "chatml", chat_template_chatml, strlen(chat_template_chatml), err);
}

static int probe_parts(struct chat_template *c, struct err *err)
{
    static const char text[] = "7f3dprobe";
    json_t *messages = json_pack("[{s:s, s:[{s:s, s:s}]}]", "role", "user", "content", "type",
                                 "text", "text", text);
    struct jinja_output out = {0};
    int rc = messages ? chat_template_render(c, messages, NULL, NULL, false, &out, err)
                      : err_nomem(err, sizeof(json_t));

    c->takes_parts = rc == 0 && memmem(out.text.data, out.text.len, text, sizeof(text) - 1) &&
                     !memmem(out.text.data, out.text.len, "'type'", 6) &&
                     !memmem(out.text.data, out.text.len, "\"type\"", 6);
    jinja_output_free(&out);
    json_decref(messages);
    return rc == ERR_NOMEM ? rc : 0;
}

int chat_template_open(const struct tokenizer *t, const struct chat_template_options *options,
                       struct chat_template **ret, struct err *err)
{
    const struct chat_source *s = tokenizer_chat(t);
    struct chat_template *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        return err_nomem(err, sizeof(*c));
    c->variables = options->variables;
    c->options = jinja_defaults;
    rc = read_date(options->date, &c->options.now, err);
    for (int i = 0; i < s->n_specials && rc == 0; i++)
        rc = chat_source_add_special(&c->specials, s->specials[i].name, s->specials[i].text, err);
    if (rc == 0)
        rc = open_template(c, t, options, err);
    if (rc == 0)
        rc = probe_parts(c, err);
    if (rc < 0) {
        chat_template_free(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void chat_template_free(struct chat_template *c)
{
    if (!c)
        return;
    jinja_free(c->main.jinja);
    jinja_free(c->tool_use.jinja);
    free(c->main.text);
    free(c->tool_use.text);
    chat_source_free(&c->specials);
    free(c->source);
    free(c);
}

bool chat_template_exists(const struct tokenizer *t, const struct chat_template_options *options)
{
    return options->file || options->chatml || (t && tokenizer_chat(t)->n_templates > 0);
}

const char *chat_template_source(const struct chat_template *c)
{
    return c->source;
}

static const struct named_template *choose(const struct chat_template *c, const json_t *tools)
{
    return tools && c->tool_use.jinja ? &c->tool_use : &c->main;
}

bool chat_template_needs_date(const struct chat_template *c)
{
    return strstr(c->main.text, "strftime_now") ||
           (c->tool_use.text && strstr(c->tool_use.text, "strftime_now"));
}

bool chat_template_marks(const struct chat_template *c, const json_t *tools)
{
    return jinja_has_generation(choose(c, tools)->jinja);
}

bool chat_template_takes_parts(const struct chat_template *c)
{
    return c->takes_parts;
}

bool chat_template_names(const struct chat_template *c, const json_t *tools, const char *field)
{
    return strstr(choose(c, tools)->text, field) != NULL;
}

struct variables {
    struct jinja_variable of[VARIABLES_MAX];
    int n;
    bool too_many;
};

/* A later one of the same name replaces an earlier one. */
static void put(struct variables *v, const char *name, const json_t *json, const char *text)
{
    int i = 0;

    while (i < v->n && strcmp(v->of[i].name, name) != 0)
        i++;
    if (i == VARIABLES_MAX) {
        v->too_many = true;
        return;
    }
    v->of[i] = (struct jinja_variable){name, json, text, text ? strlen(text) : 0};
    v->n += i == v->n;
}

static void put_all(struct variables *v, const json_t *object)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)object, name, value)
    {
        put(v, name, value, NULL);
    }
}

int chat_template_render(const struct chat_template *c, const json_t *messages, const json_t *tools,
                         const json_t *variables, bool add_generation_prompt,
                         struct jinja_output *out, struct err *err)
{
    struct variables v = {.n = 0};
    int rc;

    for (int i = 0; i < c->specials.n_specials; i++)
        put(&v, c->specials.specials[i].name, NULL, c->specials.specials[i].text);
    put(&v, "documents", json_null(), NULL);
    put_all(&v, c->variables);
    put_all(&v, variables);
    put(&v, "messages", messages, NULL);
    put(&v, "tools", tools ? tools : json_null(), NULL);
    put(&v, "add_generation_prompt", add_generation_prompt ? json_true() : json_false(), NULL);
    if (v.too_many)
        return err_set(err, ERR_INVALID, "more than %d variables for a chat template",
                       VARIABLES_MAX);
    rc = jinja_render(choose(c, tools)->jinja, v.of, v.n, &c->options, out, err);
    if (rc < 0 && out->raised)
        err_prefix(err, "the chat template refuses the conversation");
    return rc;
}
