/* client/export_template.c - see export_template.h.
 *
 * Two templates in two languages are never compared as texts. The trained one renders two
 * conversations, with and without a system message, and both must be what one of the forms below
 * makes of them; what it prints where there is no system message becomes Ollama's SYSTEM.
 */
#include "client/export_template.h"
#include "core/file.h"
#include "core/text/dataset.h"
#include "core/text/template.h"
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { TEMPLATE_BYTES_MAX = 1 << 20 };

/* ---- which template ---- */

static int take_first(void *taker, const struct example *e, struct err *err)
{
    (void)taker;
    (void)e;
    return err_set(err, ERR_STATE, "one row is enough");
}

/* Where the job does not decide, the first row of its data does. */
static enum data_template kind_of_data(const struct export_source *source,
                                       const struct tokenizer *tokenizer)
{
    const struct dataset_input in = {.names = &source->job->data.train,
                                     .data = &source->job->data,
                                     .tokenizer = tokenizer,
                                     .vocab = model_config(source->model)->vocab,
                                     .take = take_first};
    enum data_template kind = TEMPLATE_AUTO;
    struct problems problems = {0};
    struct dataset data = {0};
    struct err ignored;

    if (dataset_load(&in, &data, &problems, &ignored) == ERR_STATE && data.format != FORMAT_IDS)
        kind = data.template_kind;
    dataset_free(&data);
    problems_free(&problems);
    return kind;
}

static enum data_template find_kind(const struct export_source *source,
                                    const struct tokenizer *tokenizer)
{
    const struct data_options *data = source->job ? &source->job->data : NULL;
    enum data_template kind;

    if (!data || data->format == FORMAT_IDS)
        return TEMPLATE_AUTO;
    if (data->format == FORMAT_TEXT)
        return TEMPLATE_PLAIN;
    if (data->template_kind != TEMPLATE_AUTO)
        return data->template_kind;
    kind = kind_of_data(source, tokenizer);
    return kind == TEMPLATE_AUTO && data->chat_template ? TEMPLATE_MODEL : kind;
}

static int read_text(const struct export_source *source, struct trained_template *t,
                     struct err *err)
{
    const char *file = t->kind == TEMPLATE_MODEL ? source->job->data.chat_template : NULL;
    size_t len;

    if (file)
        return file_read(file, TEMPLATE_BYTES_MAX, &t->text, &len, err);
    if (t->kind != TEMPLATE_CHATML)
        return 0;
    t->text = strdup(chat_template_chatml);
    return t->text ? 0 : err_nomem(err, strlen(chat_template_chatml));
}

static int open_chat(const struct data_options *data, struct trained_template *t, struct err *err)
{
    const struct chat_template_options options = {
        .file = t->kind == TEMPLATE_MODEL ? data->chat_template : NULL,
        .chatml = t->kind == TEMPLATE_CHATML,
        .date = data->date,
        .variables = data->template_variables,
    };

    return chat_template_open(t->tokenizer, &options, &t->chat, err);
}

int trained_template_open(const struct export_source *source, struct trained_template *ret,
                          struct buf *notices, struct err *err)
{
    struct err refusal;
    int rc;

    *ret = (struct trained_template){0};
    rc = model_open_tokenizer_if_usable(source->model, &ret->tokenizer, &refusal, err);
    if (rc < 0)
        return rc;
    ret->kind = ret->tokenizer ? find_kind(source, ret->tokenizer) : TEMPLATE_AUTO;
    if (ret->kind == TEMPLATE_AUTO && ret->tokenizer)
        buf_puts(notices, "it is not known with which template the adapter was trained: what the "
                          "model has by itself is kept\n");
    rc = read_text(source, ret, err);
    if (rc == 0 && (ret->kind == TEMPLATE_MODEL || ret->kind == TEMPLATE_CHATML))
        rc = open_chat(&source->job->data, ret, err);
    if (rc == 0 && ret->chat && source->job->data.template_variables)
        buf_puts(notices, "data.template_variables are not part of what is exported: give them "
                          "with each request\n");
    return rc;
}

void trained_template_close(struct trained_template *t)
{
    chat_template_free(t->chat);
    tokenizer_free(t->tokenizer);
    free(t->text);
    *t = (struct trained_template){0};
}

/* ---- Ollama ---- */

struct form {
    const char *system[2], *user[2], *assistant[2]; /* in front of a content, and behind it */
    bool joins;         /* the system's words stand in front of the first user's, system[1] after */
    const char *prompt; /* what asks for an answer */
    const char *go;
    const char *stop;
};

static const struct form forms[] = {
    {.system = {"<|im_start|>system\n", "<|im_end|>\n"},
     .user = {"<|im_start|>user\n", "<|im_end|>\n"},
     .assistant = {"<|im_start|>assistant\n", "<|im_end|>\n"},
     .prompt = "<|im_start|>assistant\n",
     .go = "{{- range .Messages }}<|im_start|>{{ .Role }}\n"
           "{{ .Content }}<|im_end|>\n"
           "{{ end }}<|im_start|>assistant\n",
     .stop = "<|im_end|>"},
    {.system = {"<|start_header_id|>system<|end_header_id|>\n\n", "<|eot_id|>"},
     .user = {"<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"},
     .assistant = {"<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>"},
     .prompt = "<|start_header_id|>assistant<|end_header_id|>\n\n",
     .go = "{{- range .Messages }}<|start_header_id|>{{ .Role }}<|end_header_id|>\n\n"
           "{{ .Content }}<|eot_id|>\n"
           "{{- end }}<|start_header_id|>assistant<|end_header_id|>\n\n",
     .stop = "<|eot_id|>"},
    {.system = {"", "\n\n"},
     .user = {"<start_of_turn>user\n", "<end_of_turn>\n"},
     .assistant = {"<start_of_turn>model\n", "<end_of_turn>\n"},
     .joins = true,
     .prompt = "<start_of_turn>model\n",
     .go = "{{- $system := .System }}\n"
           "{{- range .Messages }}\n"
           "{{- if eq .Role \"user\" }}<start_of_turn>user\n"
           "{{ if $system }}{{ $system }}\n\n"
           "{{ end }}{{ $system = \"\" }}{{ .Content }}<end_of_turn>\n"
           "{{ else if eq .Role \"assistant\" }}<start_of_turn>model\n"
           "{{ .Content }}<end_of_turn>\n"
           "{{ end }}\n"
           "{{- end }}<start_of_turn>model\n",
     .stop = "<end_of_turn>"},
};

static const char system_words[] = "Wsystem1", first[] = "Wuser1", answer[] = "Wanswer1",
                  second[] = "Wuser2";

static void put_turn(struct buf *out, const char *const around[2], const char *words)
{
    buf_printf(out, "%s%s%s", around[0], words, around[1]);
}

/* What the form makes of the conversation; system NULL: it has none. */
static void put_conversation(const struct form *f, const char *system, struct buf *out)
{
    if (system && !f->joins)
        put_turn(out, f->system, system);
    buf_puts(out, f->user[0]);
    if (system && f->joins)
        put_turn(out, f->system, system);
    buf_printf(out, "%s%s", first, f->user[1]);
    put_turn(out, f->assistant, answer);
    put_turn(out, f->user, second);
    buf_puts(out, f->prompt);
}

/* Cuts off the begin token, which Ollama puts in front of every prompt where the model expects it;
 * empties a text that lacks it then. */
static int cut_bos(const struct tokenizer *t, struct buf *text, struct err *err)
{
    int32_t id = tokenizer_bos(t);
    struct buf bos = {0};
    int rc;

    if (!tokenizer_adds_bos(t))
        return 0;
    rc = tokenizer_decode(t, &id, 1, false, &bos, err);
    if (rc == 0 && bos.len <= text->len && memcmp(text->data, bos.data, bos.len) == 0) {
        text->len -= bos.len;
        memmove(text->data, text->data + bos.len, text->len);
    } else {
        text->len = 0;
    }
    buf_free(&bos);
    return rc;
}

/* What the trained template makes of the conversation; empty where it refuses. */
static int render(const struct trained_template *t, bool system, struct buf *out, struct err *err)
{
    json_t *messages =
        json_pack("[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}]", "role", "user", "content", first, "role",
                  "assistant", "content", answer, "role", "user", "content", second);
    json_t *words =
        system ? json_pack("{s:s, s:s}", "role", "system", "content", system_words) : NULL;
    struct jinja_output made = {0};
    int rc = messages && (words || !system) ? 0 : err_nomem(err, sizeof(json_t));

    if (rc == 0 && system && json_array_insert(messages, 0, words) < 0)
        rc = err_nomem(err, sizeof(json_t));
    if (rc == 0)
        rc = chat_template_render(t->chat, messages, NULL, NULL, true, &made, err);
    if (rc == 0) {
        buf_append(out, made.text.data, made.text.len);
        rc = cut_bos(t->tokenizer, out, err);
    }
    jinja_output_free(&made);
    json_decref(words);
    json_decref(messages);
    return rc == ERR_NOMEM ? rc : 0;
}

static bool is_equal(const struct buf *a, const struct buf *b)
{
    return a->len == b->len && a->len && memcmp(a->data, b->data, a->len) == 0;
}

/* Whether `plain`, which the template printed without a system message, is what the form makes with
 * some system message: then it is *ret, "" for none, and the caller frees it. */
static bool find_default(const struct form *f, const struct buf *plain, char **ret)
{
    struct buf without = {0}, with = {0};
    const char *before, *behind, *end;
    size_t head, tail;
    bool found = true;

    put_conversation(f, NULL, &without);
    put_conversation(f, system_words, &with);
    if (is_equal(plain, &without)) {
        *ret = strdup("");
    } else {
        before = strstr(with.data ? with.data : "", system_words);
        head = before ? (size_t)(before - with.data) : 0;
        behind = before ? before + strlen(system_words) : "";
        tail = strlen(behind);
        end = plain->data + plain->len - tail;
        found = before && plain->len > head + tail && memcmp(plain->data, with.data, head) == 0 &&
                memcmp(end, behind, tail) == 0;
        *ret = found ? strndup(plain->data + head, plain->len - head - tail) : NULL;
    }
    buf_free(&without);
    buf_free(&with);
    return found;
}

/* Sets *ret_form where there is one, and the default system message. */
static int find_form(const struct trained_template *t, const struct form **ret_form,
                     char **ret_system, struct err *err)
{
    struct buf with = {0}, plain = {0}, made = {0};
    int rc = render(t, true, &with, err);

    if (rc == 0)
        rc = render(t, false, &plain, err);
    for (size_t i = 0; rc == 0 && !*ret_form && i < sizeof(forms) / sizeof(forms[0]); i++) {
        made.len = 0;
        put_conversation(&forms[i], system_words, &made);
        if (is_equal(&with, &made) && plain.len && find_default(&forms[i], &plain, ret_system))
            *ret_form = &forms[i];
    }
    if (rc == 0 && (made.failed || with.failed || plain.failed || (*ret_form && !*ret_system)))
        rc = err_nomem(err, made.len);
    buf_free(&with);
    buf_free(&plain);
    buf_free(&made);
    return rc;
}

/* Between three quotes, which Ollama's parser takes as they are. */
static void put_quoted(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, "%s \"\"\"%s\"\"\"\n", name, text);
}

static void put_unknown(const struct trained_template *t, struct buf *out)
{
    buf_printf(out,
               "# No TEMPLATE: %s. Ollama then takes\n# one of its own that is nearly the GGUF's "
               "chat template, and passes the prompt on as it is where it has none.\n",
               t->kind == TEMPLATE_AUTO ? "it is not known with which one this was trained"
                                        : "the one that was trained has no known form in Ollama");
}

/* plain and alpaca: the prompt's text with the name of Ollama's variable as the user's words. */
static int put_wording(const struct trained_template *t, struct buf *out, struct err *err)
{
    static const char words[] = "{{ .Prompt }}";
    const struct template_row row = {.format = FORMAT_INSTRUCTION,
                                     .prompt = {words, strlen(words)},
                                     .input = {"", 0},
                                     .completion = {"", 0}};
    struct token_list ids = {0};
    struct buf text = {0};
    int rc = template_prompt(t->tokenizer, t->kind, &row, &ids, err);

    if (rc == 0)
        rc = tokenizer_decode(t->tokenizer, ids.ids, ids.n, true, &text, err);
    buf_puts(&text, "");
    if (rc == 0 && text.failed)
        rc = err_nomem(err, text.cap);
    if (rc == 0 && strstr(text.data, words) && !strstr(text.data, "\"\"\""))
        put_quoted(out, "TEMPLATE", text.data);
    else if (rc == 0)
        put_unknown(t, out);
    token_list_free(&ids);
    buf_free(&text);
    return rc;
}

int trained_template_for_ollama(const struct trained_template *t, struct buf *out, struct err *err)
{
    const struct form *form = NULL;
    char *system = NULL;
    int rc = 0;

    if (t->kind == TEMPLATE_PLAIN || t->kind == TEMPLATE_ALPACA)
        return put_wording(t, out, err);
    if (t->chat)
        rc = find_form(t, &form, &system, err);
    if (rc == 0 && form && !strstr(system, "\"\"\"")) {
        put_quoted(out, "TEMPLATE", form->go);
        if (*system)
            put_quoted(out, "SYSTEM", system);
        buf_printf(out, "PARAMETER stop \"%s\"\n", form->stop);
    } else if (rc == 0) {
        put_unknown(t, out);
    }
    free(system);
    return rc;
}
