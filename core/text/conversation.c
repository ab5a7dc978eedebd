/* core/text/conversation.c - see conversation.h. A message that needs no change is the row's own
 * object; one that does is copied, field by field. */
#include "core/text/conversation_impl.h"
#include "core/buf.h"
#include "core/json_file.h"
#include "core/json_parse.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *json_type_words(const json_t *value)
{
    if (json_parse_not_finite(value))
        return "a number that is not finite";
    if (json_parse_large_integer(value))
        return "an integer beyond 64 bits";
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_NULL:
        return "null";
    default:
        return "true or false";
    }
}

int conversation_wrong(struct reading *r, enum row_fault fault, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    *r->fault = fault;
    return err_set(r->err, ERR_INVALID, "%s", text);
}

/* ---- one message ---- */

/* The role that a name means, or NULL. Names of ShareGPT are others for the same. */
static const char *known_role(const json_t *name, bool sharegpt)
{
    static const char *const roles[] = {"system", "developer", "user",   "assistant",
                                        "tool",   "function",  "ipython"};
    static const char *const others[][2] = {
        {"human", "user"},      {"gpt", "assistant"},    {"chatgpt", "assistant"},
        {"model", "assistant"}, {"observation", "tool"}, {"function_response", "tool"}};
    const char *text = json_string_value(name);

    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        if (strcmp(text, roles[i]) == 0)
            return roles[i];
    for (size_t i = 0; sharegpt && i < sizeof(others) / sizeof(others[0]); i++)
        if (strcmp(text, others[i][0]) == 0)
            return others[i][1];
    return NULL;
}

static int check_parts(struct reading *r, const json_t *parts)
{
    const json_t *part;
    size_t i;

    json_array_foreach(parts, i, part)
    {
        const char *type = json_string_value(json_object_get(part, "type"));
        if (!json_is_object(part) || !type)
            return conversation_wrong(
                r, FAULT_TYPE,
                "\"content\" must be a text or a list of parts {\"type\": \"text\", "
                "\"text\"}; one part is %s",
                json_is_object(part) ? "without \"type\"" : json_type_words(part));
        if (strcmp(type, "text") != 0)
            return conversation_wrong(
                r, FAULT_TYPE, "a message has a part of type \"%.40s\": only text can be trained",
                type);
        if (!json_is_string(json_object_get(part, "text")))
            return conversation_wrong(r, FAULT_TYPE,
                                      "a part of a message must have a \"text\" that is a string");
    }
    return 0;
}

/* The value of the newest name that reasoning has had and that is set. */
static json_t *reasoning_of(const json_t *message)
{
    static const char *const names[] = {"reasoning_content", "thinking", "reasoning"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        json_t *value = json_object_get(message, names[i]);
        if (json_is_set(value))
            return value;
    }
    return NULL;
}

static int check_content(struct reading *r, const json_t *message)
{
    const json_t *content = json_object_get(message, "content");

    if (json_is_array(content))
        return check_parts(r, content);
    if (json_is_string(content))
        return 0;
    if (json_is_set(content))
        return conversation_wrong(r, FAULT_TYPE, "\"content\" must be a string; it is %s",
                                  json_type_words(content));
    if (json_is_set(json_object_get(message, "tool_calls")) || reasoning_of(message))
        return 0;
    return conversation_wrong(r, FAULT_MISSING, "a message has no \"content\"");
}

static int check_fields(struct reading *r, const json_t *message)
{
    static const char *const refused[] = {"function_call", "audio", "images", "videos"};
    const json_t *calls = json_object_get(message, "tool_calls");

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (json_is_set(json_object_get(message, refused[i])))
            return conversation_wrong(r, FAULT_TYPE,
                                      "a message has \"%s\", which is not supported%s", refused[i],
                                      i == 0 ? ": use \"tool_calls\"" : "");
    if (json_is_set(calls) && !json_is_array(calls))
        return conversation_wrong(r, FAULT_TYPE, "\"tool_calls\" must be a list; it is %s",
                                  json_type_words(calls));
    return 0;
}

static int read_choice(struct reading *r, const json_t *message, enum choice *ret)
{
    const json_t *weight = json_object_get(message, "weight");
    const json_t *train = json_object_get(message, "train");
    double w = json_number_value(weight);

    if (json_is_set(weight) && (!json_is_number(weight) || (w != 0 && w != 1)))
        return conversation_wrong(r, FAULT_TYPE, "the \"weight\" of a message must be 0 or 1");
    if (json_is_set(train) && !json_is_boolean(train))
        return conversation_wrong(r, FAULT_TYPE, "\"train\" of a message must be true or false");
    if (json_is_set(weight) && json_is_set(train) && (w != 0) != json_is_true(train))
        return conversation_wrong(r, FAULT_TYPE, "\"weight\" and \"train\" of a message disagree");
    r->says_no |= (json_is_set(weight) && w == 0) || json_is_false(train);
    if (json_is_set(weight))
        *ret = w != 0 ? TRAINED : NOT_TRAINED;
    else if (json_is_set(train))
        *ret = json_is_true(train) ? TRAINED : NOT_TRAINED;
    return 0;
}

static bool needs_copy(const json_t *message, const char *role)
{
    const char *key;
    json_t *value;

    if (strcmp(json_string_value(json_object_get(message, "role")), role) != 0 ||
        reasoning_of(message))
        return true;
    json_object_foreach((json_t *)message, key, value)
    {
        if (json_is_null(value))
            return true;
    }
    return false;
}

/* As transformers hands it to the template: nothing that is null, reasoning under both names. */
static json_t *copy_message(const json_t *message, const char *role)
{
    json_t *copy = json_object(), *value, *reasoning = reasoning_of(message);
    int failed = copy ? 0 : -1;
    const char *key;

    if (reasoning)
        failed |= json_object_set(copy, "thinking", reasoning);
    json_object_foreach((json_t *)message, key, value)
    {
        if (!json_is_null(value))
            failed |= json_object_set(copy, key, value);
    }
    failed |= json_object_set_new(copy, "role", json_string(role));
    if (reasoning)
        failed |= json_object_set(copy, "reasoning_content", reasoning);
    if (!failed)
        return copy;
    json_decref(copy);
    return NULL;
}

int conversation_add(struct reading *r, json_t *message, enum choice choice)
{
    struct conversation *c = r->c;

    if (!message)
        return err_nomem(r->err, sizeof(json_t));
    if (c->n == r->cap) {
        int cap = 2 * r->cap + 8;
        enum choice *choices = realloc(r->choices, (size_t)cap * sizeof(*choices));
        if (!choices) {
            json_decref(message);
            return err_nomem(r->err, (size_t)cap * sizeof(*choices));
        }
        r->choices = choices;
        r->cap = cap;
    }
    r->choices[c->n++] = choice;
    return json_array_append_new(c->messages, message) < 0 ? err_nomem(r->err, sizeof(json_t)) : 0;
}

/* default_choice: where the message says nothing itself. */
int conversation_read_message(struct reading *r, const json_t *message, enum choice default_choice)
{
    const json_t *role = json_object_get(message, "role");
    enum choice choice = default_choice;
    const char *meant;
    int rc;

    if (!json_is_object(message))
        return conversation_wrong(
            r, FAULT_TYPE, "every message must be an object {\"role\", \"content\"}; one is %s",
            json_type_words(message));
    if (!json_is_string(role))
        return conversation_wrong(r, role ? FAULT_TYPE : FAULT_MISSING,
                                  role ? "\"role\" must be a string" : "a message has no \"role\"");
    meant = known_role(role, r->sharegpt);
    if (!meant)
        return conversation_wrong(
            r, FAULT_ROLE,
            "the role \"%.40s\" is not known: system, developer, user, assistant and tool "
            "are",
            json_string_value(role));
    rc = check_fields(r, message); /* which may say why there is no content */
    if (rc == 0)
        rc = check_content(r, message);
    if (rc == 0)
        rc = read_choice(r, message, &choice);
    if (rc < 0)
        return rc;
    return conversation_add(r,
                            needs_copy(message, meant) ? copy_message(message, meant)
                                                       : json_incref((json_t *)message),
                            choice);
}

void json_text_append(struct buf *b, const json_t *text)
{
    buf_append(b, json_string_value(text), json_string_length(text));
}

/* NULL for lack of memory. */
json_t *json_text_take(struct buf *b)
{
    json_t *text = b->failed ? NULL : json_stringn(b->data ? b->data : "", b->len);

    buf_free(b);
    return text;
}

/* ---- the whole ---- */

bool role_is_assistant(const json_t *message)
{
    const char *role = json_string_value(json_object_get(message, "role"));

    return role && strcmp(role, "assistant") == 0;
}

static int choose_trained(struct reading *r, enum train_on train_on)
{
    struct conversation *c = r->c;
    int last = c->n - 1;

    c->trained = calloc((size_t)c->n + 1, sizeof(*c->trained));
    if (!c->trained)
        return err_nomem(r->err, (size_t)c->n);
    while (last >= 0 && !role_is_assistant(json_array_get(c->messages, (size_t)last)))
        last--;
    for (int i = 0; i < c->n; i++) {
        bool by_role = role_is_assistant(json_array_get(c->messages, (size_t)i)) &&
                       (train_on != TRAIN_ON_LAST || i == last);
        if (train_on == TRAIN_ON_ALL && r->says_no && r->choices[i] == NOT_TRAINED)
            return conversation_wrong(
                r, FAULT_TYPE,
                "a message is not to be trained, but data.train_on: all, or data.train_on_prompt, "
                "trains it");
        c->trained[i] = r->choices[i] == TRAINED || (r->choices[i] == BY_ROLE && by_role);
    }
    return 0;
}

int conversation_read(struct conversation *c, const json_t *row, enum data_format format,
                      enum train_on train_on, enum row_fault *ret_fault, struct err *err)
{
    struct reading r = {.c = c, .fault = ret_fault, .err = err};
    int rc;

    conversation_free(c);
    c->messages = json_array();
    if (!c->messages)
        return err_nomem(err, sizeof(json_t));
    rc = format == FORMAT_PROMPT        ? conversation_read_prompt(&r, row)
         : format == FORMAT_INSTRUCTION ? conversation_read_instruction(&r, row)
                                        : conversation_read_messages(&r, row);
    if (rc == 0)
        rc = choose_trained(&r, train_on);
    free(r.choices);
    return rc;
}

void conversation_free(struct conversation *c)
{
    json_decref(c->messages);
    json_decref(c->tools);
    json_decref(c->variables);
    free(c->trained);
    *c = (struct conversation){0};
}

json_t *conversation_begin(const struct conversation *c, int n)
{
    json_t *list = json_array();

    for (int i = 0; list && i < n; i++) {
        if (json_array_append(list, json_array_get(c->messages, (size_t)i)) < 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

int conversation_asked(const struct conversation *c)
{
    bool answered = c->n > 1 && role_is_assistant(json_array_get(c->messages, (size_t)c->n - 1));

    return answered ? c->n - 1 : c->n;
}

static json_t *joined(const json_t *parts)
{
    struct buf text = {0};
    const json_t *part;
    size_t i;

    json_array_foreach(parts, i, part)
    {
        json_text_append(&text, json_object_get(part, "text"));
    }
    return json_text_take(&text);
}

int conversation_join_parts(struct conversation *c, struct err *err)
{
    for (int i = 0; i < c->n; i++) {
        json_t *message = json_array_get(c->messages, (size_t)i), *copy;
        const json_t *parts = json_object_get(message, "content");
        if (!json_is_array(parts))
            continue;
        copy = json_copy(message);
        if (!copy || json_object_set_new(copy, "content", joined(parts)) < 0) {
            json_decref(copy);
            return err_nomem(err, sizeof(json_t));
        }
        json_array_set_new(c->messages, (size_t)i, copy);
    }
    return 0;
}

/* true or false, also as a text, as CSV has them. */
static bool is_judgement(const json_t *value)
{
    const char *text = json_string_value(value);

    return json_is_boolean(value) ||
           (text && (strcasecmp(text, "true") == 0 || strcasecmp(text, "false") == 0));
}

/* Fields of which each alone says that a row is for another training. */
static const char *telling_field(const json_t *row)
{
    static const char *const fields[][2] = {
        {"rejected", "\"rejected\": preferences, for training such as DPO"},
        {"rejected_response", "\"rejected_response\": preferences, for training such as DPO"},
        {"rejected_messages", "\"rejected_messages\": preferences, for training such as DPO"},
        {"rejected_output", "\"rejected_output\": preferences, for training such as DPO"},
        {"non_preferred_output", "\"non_preferred_output\": preferences, for training such as DPO"},
        {"kto_tag", "\"kto_tag\": judgements of answers, for training such as KTO"},
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        if (json_is_set(json_object_get(row, fields[i][0])))
            return fields[i][1];
    return NULL;
}

const char *row_of_other_training(const json_t *row)
{
    const json_t *label = json_object_get(row, "label");
    bool completion = json_object_get(row, "prompt") && json_object_get(row, "completion");
    bool number =
        json_is_integer(label) && json_integer_value(label) >= 0 && json_integer_value(label) <= 1;

    if (!json_object_get(row, "text") && (is_judgement(label) || (completion && number)))
        return "\"label\": judgements of answers, for training such as KTO";
    if (json_object_get(row, "prompt") && json_object_get(row, "completions") &&
        json_object_get(row, "labels"))
        return "\"completions\" and \"labels\": judgements of steps, for a reward model";
    return telling_field(row);
}
