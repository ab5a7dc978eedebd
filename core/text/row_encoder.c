/* core/text/row_encoder.c - see row_encoder.h. */
#include "core/text/row_encoder.h"
#include "core/json_file.h"
#include <stdlib.h>
#include <string.h>

struct row_encoder {
    const struct tokenizer *t;
    const struct data_options *data;
    enum data_format format;
    enum data_template kind;
    struct chat_template *chat; /* TEMPLATE_MODEL, TEMPLATE_CHATML */
    struct conversation conversation;
    struct chat_scratch scratch;
};

static bool has_chatml(const struct tokenizer *t)
{
    return tokenizer_id(t, "<|im_start|>") >= 0 && tokenizer_id(t, "<|im_end|>") >= 0;
}

static enum data_template choose(const struct tokenizer *t, const struct data_options *data,
                                 enum data_format format, bool lists)
{
    const struct chat_template_options of_model = {.file = data->chat_template};
    bool talks = format == FORMAT_MESSAGES || lists;

    if (format == FORMAT_TEXT)
        return TEMPLATE_PLAIN;
    if (data->template_kind != TEMPLATE_AUTO)
        return data->template_kind;
    if (data->chat_template)
        return TEMPLATE_MODEL;
    if (!talks && format != FORMAT_INSTRUCTION)
        return TEMPLATE_PLAIN;
    if (chat_template_exists(t, &of_model))
        return TEMPLATE_MODEL;
    return talks || has_chatml(t) ? TEMPLATE_CHATML : TEMPLATE_ALPACA;
}

static bool is_chat(enum data_template kind)
{
    return kind == TEMPLATE_MODEL || kind == TEMPLATE_CHATML;
}

static int check(const struct row_encoder *e, bool lists, struct err *err)
{
    if ((e->format == FORMAT_MESSAGES || lists) && !is_chat(e->kind))
        return err_set(err, ERR_INVALID,
                       "messages have roles, which only the model's chat template (data.template: "
                       "model) or chatml can print");
    if (e->kind == TEMPLATE_CHATML && !has_chatml(e->t))
        return err_set(err, ERR_INVALID,
                       "the model has no chat template, and its tokenizer lacks <|im_start|> and "
                       "<|im_end|>, which the template chatml needs: give a template as "
                       "data.chat_template");
    if (!is_chat(e->kind) && tokenizer_eos(e->t) < 0)
        return err_set(err, ERR_INVALID,
                       "the model names no end token (eos_token_id), with which a completion ends");
    return 0;
}

int row_encoder_open(const struct tokenizer *t, const struct data_options *data,
                     enum data_format format, bool lists, struct row_encoder **ret, struct err *err)
{
    struct row_encoder *e = calloc(1, sizeof(*e));
    int rc;

    if (!e)
        return err_nomem(err, sizeof(*e));
    *e = (struct row_encoder){.t = t, .data = data, .format = format};
    e->kind = choose(t, data, format, lists);
    rc = check(e, lists, err);
    if (rc == 0 && is_chat(e->kind)) {
        const struct chat_template_options options = {
            .file = e->kind == TEMPLATE_MODEL ? data->chat_template : NULL,
            .chatml = e->kind == TEMPLATE_CHATML,
            .date = data->date,
            .variables = data->template_variables,
        };
        rc = chat_template_open(t, &options, &e->chat, err);
    }
    if (rc < 0) {
        row_encoder_free(e);
        return rc;
    }
    *ret = e;
    return 0;
}

void row_encoder_free(struct row_encoder *e)
{
    if (!e)
        return;
    chat_template_free(e->chat);
    conversation_free(&e->conversation);
    chat_scratch_free(&e->scratch);
    free(e);
}

enum data_template row_encoder_template(const struct row_encoder *e)
{
    return e->kind;
}

const char *row_encoder_source(const struct row_encoder *e)
{
    return e->chat                      ? chat_template_source(e->chat)
           : e->kind == TEMPLATE_ALPACA ? "alpaca"
                                        : "plain";
}

const struct chat_template *row_encoder_chat(const struct row_encoder *e)
{
    return e->chat;
}

static int encode_conversation(struct row_encoder *e, const json_t *row, struct tokenised *out,
                               enum row_fault *ret_fault, struct err *err)
{
    const struct chat_rules rules = {
        .all = e->data->train_on == TRAIN_ON_ALL || e->data->train_on_prompt,
        .empty_thoughts = e->data->train_on_empty_thoughts,
    };
    enum train_on train_on = rules.all ? TRAIN_ON_ALL : e->data->train_on;
    int rc = conversation_read(&e->conversation, row, e->format, train_on, ret_fault, err);

    if (rc == 0)
        rc = chat_encode(e->chat, e->t, &e->conversation, &rules, &e->scratch, out, ret_fault, err);
    return rc < 0 ? rc : chat_trim(e->t, out, err);
}

/* A text field of a row. */
static int get_text(const json_t *row, const char *key, bool needed, struct text *ret,
                    enum row_fault *ret_fault, struct err *err)
{
    const json_t *value = json_object_get(row, key);

    *ret = (struct text){"", 0};
    *ret_fault = FAULT_MISSING;
    if (!json_is_set(value) && needed)
        return err_set(err, ERR_INVALID,
                       value ? "\"%s\" must be a string; it is null" : "the row has no \"%s\"",
                       key);
    if (!json_is_set(value))
        return 0;
    *ret_fault = FAULT_TYPE;
    if (!json_is_string(value))
        return err_set(err, ERR_INVALID, "\"%s\" must be a string; it is %s", key,
                       json_type_words(value));
    *ret = (struct text){json_string_value(value), json_string_length(value)};
    return 0;
}

/* What a template without roles would leave out. */
static int refuse_roles(const json_t *row, const char *source, enum row_fault *ret_fault,
                        struct err *err)
{
    static const char *const keys[] = {"system", "history", "tools", "chat_template_kwargs"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        const json_t *value = json_object_get(row, keys[i]);
        *ret_fault = FAULT_TEMPLATE;
        if (json_string_length(value) > 0 || json_array_size(value) > 0 ||
            json_object_size(value) > 0)
            return err_set(err, ERR_INVALID,
                           "the row has \"%s\", which the template %s cannot print: use a chat "
                           "template",
                           keys[i], source);
    }
    return 0;
}

static int get_texts(const struct row_encoder *e, const json_t *row, struct template_row *ret,
                     enum row_fault *ret_fault, struct err *err)
{
    bool instruction = e->format == FORMAT_INSTRUCTION, text = e->format == FORMAT_TEXT;
    int rc = 0;

    *ret = (struct template_row){.format = e->format, .prompt = {"", 0}, .input = {"", 0}};
    if (!text)
        rc = refuse_roles(row, row_encoder_source(e), ret_fault, err);
    if (rc == 0 && !text)
        rc = get_text(row, instruction ? "instruction" : "prompt", true, &ret->prompt, ret_fault,
                      err);
    if (rc == 0 && instruction)
        rc = get_text(row, "input", false, &ret->input, ret_fault, err);
    if (rc == 0)
        rc = get_text(row,
                      text          ? "text"
                      : instruction ? "output"
                                    : "completion",
                      true, &ret->completion, ret_fault, err);
    return rc;
}

static int encode_texts(struct row_encoder *e, const json_t *row, struct tokenised *out,
                        enum row_fault *ret_fault, struct err *err)
{
    struct template_row texts;
    int rc = get_texts(e, row, &texts, ret_fault, err);

    if (rc < 0)
        return rc;
    *ret_fault = FAULT_TEXT;
    rc = template_encode(e->t, e->kind, &texts, out, err);
    for (int i = 0; rc == 0 && e->data->train_on_prompt && i < out->labels.n; i++)
        out->labels.ids[i] = out->ids.ids[i];
    return rc;
}

static bool is_known_field(const char *key)
{
    static const char *const keys[] = {"role",         "content",  "name",     "tool_calls",
                                       "tool_call_id", "weight",   "train",    "value",
                                       "from",         "thinking", "reasoning"};

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        if (strcmp(keys[i], key) == 0)
            return true;
    return false;
}

static const char *const reasoning[] = {"reasoning_content", "thinking", "reasoning"};

/* Reasoning has several names; the template may read any of them. */
static bool is_printed(const struct row_encoder *e, const char *key)
{
    const json_t *tools = e->conversation.tools;
    bool printed = chat_template_names(e->chat, tools, key);

    for (int i = 0; i < 3; i++)
        if (strcmp(key, reasoning[i]) == 0)
            for (int k = 0; k < 2 && !printed; k++)
                printed = chat_template_names(e->chat, tools, reasoning[k]);
    return printed;
}

static void note_field(struct row_notes *notes, const char *key)
{
    for (int i = 0; i < notes->n_unused; i++)
        if (strcmp(notes->unused[i], key) == 0)
            return;
    if (notes->n_unused < UNUSED_FIELDS_MAX)
        notes->unused[notes->n_unused++] = key;
}

/* The name that reasoning has in the row, whose messages have got the others, too. */
static const char *reasoning_name(const json_t *row)
{
    static const char *const lists[] = {"messages", "conversations", "prompt", "completion"};
    const json_t *message;
    size_t i;

    for (int k = 0; k < 4; k++)
        json_array_foreach(json_object_get(row, lists[k]), i, message)
        {
            for (int name = 0; name < 3; name++)
                if (json_is_set(json_object_get(message, reasoning[name])))
                    return reasoning[name];
        }
    return reasoning[0];
}

static void note_unused(const struct row_encoder *e, const json_t *row, struct row_notes *notes)
{
    const json_t *message;
    const char *key;
    json_t *value;
    size_t i;

    json_array_foreach(e->conversation.messages, i, message)
    {
        json_object_foreach((json_t *)message, key, value)
        {
            if (!is_known_field(key) && !is_printed(e, key))
                note_field(notes, strcmp(key, reasoning[0]) == 0 ? reasoning_name(row) : key);
        }
    }
}

int row_encoder_row(struct row_encoder *e, const json_t *row, struct tokenised *out,
                    struct row_notes *ret_notes, enum row_fault *ret_fault, struct err *err)
{
    int rc;

    *ret_fault = FAULT_TYPE;
    *ret_notes = (struct row_notes){.stops = true};
    if (!is_chat(e->kind))
        return encode_texts(e, row, out, ret_fault, err);
    rc = encode_conversation(e, row, out, ret_fault, err);
    if (rc < 0)
        return rc;
    ret_notes->stops = e->scratch.ends || e->scratch.turns.n == 0;
    note_unused(e, row, ret_notes);
    return 0;
}

/* The conversation's text up to its last answer. */
static int render_asked(struct row_encoder *e, struct jinja_output *text, struct err *err)
{
    struct conversation *c = &e->conversation;
    json_t *messages;
    int rc = chat_check_tools(e->chat, c, err);

    if (rc == 0 && !chat_template_takes_parts(e->chat))
        rc = conversation_join_parts(c, err);
    if (rc < 0)
        return rc;
    messages = conversation_begin(c, conversation_asked(c));
    if (!messages)
        return err_nomem(err, sizeof(json_t));
    rc = chat_template_render(e->chat, messages, c->tools, c->variables, true, text, err);
    json_decref(messages);
    return rc;
}

int row_encoder_prompt(struct row_encoder *e, const json_t *row, struct token_list *out,
                       struct err *err)
{
    struct jinja_output text = {0};
    struct template_row texts;
    enum row_fault fault;
    int rc;

    if (!is_chat(e->kind)) {
        rc = get_texts(e, row, &texts, &fault, err);
        return rc < 0 ? rc : template_prompt(e->t, e->kind, &texts, out, err);
    }
    rc = conversation_read(&e->conversation, row, e->format, e->data->train_on, &fault, err);
    if (rc == 0)
        rc = render_asked(e, &text, err);
    if (rc == 0)
        rc = tokenizer_encode(e->t, text.text.data ? text.text.data : "", text.text.len, out, err);
    jinja_output_free(&text);
    return rc;
}
