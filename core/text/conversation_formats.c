/* core/text/conversation_formats.c - the messages of a row by its format: lists of messages,
 * ShareGPT, prompt and completion, instructions. See conversation.h. */
#include "core/buf.h"
#include "core/json_file.h"
#include "core/text/conversation_impl.h"
#include <string.h>

enum { MESSAGES_MAX = 1 << 16 }; /* in a row */

static int read_list(struct reading *r, const json_t *list, const char *key, enum choice choice)
{
    const json_t *message;
    size_t i;
    int rc = 0;

    if (!list)
        return conversation_wrong(r, FAULT_MISSING, "the row has no \"%s\"", key);
    if (!json_is_array(list) || json_array_size(list) == 0)
        return conversation_wrong(r, FAULT_TYPE, "\"%s\" must be a list of messages; it is %s", key,
                                  json_is_array(list) ? "empty" : json_type_words(list));
    if (json_array_size(list) > MESSAGES_MAX)
        return conversation_wrong(r, FAULT_TYPE, "\"%s\" has %zu messages; at most %d are possible",
                                  key, json_array_size(list), MESSAGES_MAX);
    json_array_foreach(list, i, message)
    {
        rc = conversation_read_message(r, message, choice);
        if (rc < 0)
            break;
    }
    return rc;
}

static json_t *new_message(const char *role, const json_t *content)
{
    return json_pack("{s:s, s:O}", "role", role, "content", content);
}

static int add_text(struct reading *r, const char *role, const json_t *text)
{
    return conversation_add(r, new_message(role, text), BY_ROLE);
}

/* A text of the row; absent, null or (unless it is needed) empty gives *ret NULL. */
static int get_text(struct reading *r, const json_t *row, const char *key, bool needed,
                    const json_t **ret)
{
    const json_t *value = json_object_get(row, key);

    *ret = NULL;
    if (!json_is_set(value))
        return needed ? conversation_wrong(r, FAULT_MISSING, "the row has no \"%s\"", key) : 0;
    if (!json_is_string(value))
        return conversation_wrong(r, FAULT_TYPE, "\"%s\" must be a string; it is %s", key,
                                  json_type_words(value));
    if (needed || json_string_length(value) > 0)
        *ret = value;
    return 0;
}

/* {"from": "human", "value": "..."} as {"role", "content"}, with what else the turn has. */
static int read_sharegpt_turn(struct reading *r, const json_t *turn)
{
    const json_t *from = json_object_get(turn, "from"), *value = json_object_get(turn, "value");
    json_t *message;
    int rc;

    if (!json_is_object(turn) || !json_is_string(from) || !json_is_string(value))
        return conversation_wrong(
            r, FAULT_TYPE,
            "every turn of \"conversations\" must be an object {\"from\", \"value\"} of "
            "strings");
    if (strcmp(json_string_value(from), "function_call") == 0)
        return conversation_wrong(
            r, FAULT_ROLE,
            "a turn is from \"function_call\", which is not supported: use \"messages\" "
            "with \"tool_calls\"");
    message = json_copy((json_t *)turn);
    if (!message || json_object_set(message, "role", (json_t *)from) < 0 ||
        json_object_set(message, "content", (json_t *)value) < 0) {
        json_decref(message);
        return err_nomem(r->err, sizeof(json_t));
    }
    json_object_del(message, "from");
    json_object_del(message, "value");
    rc = conversation_read_message(r, message, BY_ROLE);
    json_decref(message);
    return rc;
}

static int read_sharegpt(struct reading *r, const json_t *row)
{
    const json_t *list = json_object_get(row, "conversations"), *turn, *system;
    int rc = get_text(r, row, "system", false, &system);
    size_t i;

    r->sharegpt = true;
    if (rc == 0 && (!json_is_array(list) || json_array_size(list) == 0 ||
                    json_array_size(list) > MESSAGES_MAX))
        return conversation_wrong(r, FAULT_TYPE,
                                  "\"conversations\" must be a list of 1 to %d turns; it is %s",
                                  MESSAGES_MAX,
                                  !json_is_array(list)         ? json_type_words(list)
                                  : json_array_size(list) == 0 ? "empty"
                                                               : "longer");
    if (rc == 0 && system)
        rc = add_text(r, "system", system);
    json_array_foreach(list, i, turn)
    {
        if (rc == 0)
            rc = json_object_get(turn, "role") ? conversation_read_message(r, turn, BY_ROLE)
                                               : read_sharegpt_turn(r, turn);
    }
    return rc;
}

/* The user's words of an instruction: instruction and input, an empty line between them. */
static int add_instruction(struct reading *r, const json_t *instruction, const json_t *input)
{
    struct buf b = {0};
    json_t *both;
    int rc;

    if (!input)
        return add_text(r, "user", instruction);
    json_text_append(&b, instruction);
    buf_puts(&b, "\n\n");
    json_text_append(&b, input);
    both = json_text_take(&b);
    if (!both)
        return err_nomem(r->err, json_string_length(instruction) + json_string_length(input));
    rc = add_text(r, "user", both);
    json_decref(both);
    return rc;
}

static int read_history(struct reading *r, const json_t *history)
{
    const json_t *pair;
    size_t i;
    int rc = 0;

    if (!json_is_set(history))
        return 0;
    json_array_foreach(history, i, pair)
    {
        const json_t *asked = json_array_get(pair, 0), *answered = json_array_get(pair, 1);
        if (json_array_size(pair) != 2 || !json_is_string(asked) || !json_is_string(answered))
            return conversation_wrong(
                r, FAULT_TYPE, "\"history\" must be a list of pairs [\"asked\", \"answered\"]");
        rc = add_text(r, "user", asked);
        if (rc == 0)
            rc = add_text(r, "assistant", answered);
        if (rc < 0)
            return rc;
    }
    if (json_is_array(history))
        return 0;
    return conversation_wrong(r, FAULT_TYPE, "\"history\" must be a list of pairs; it is %s",
                              json_type_words(history));
}

int conversation_read_instruction(struct reading *r, const json_t *row)
{
    const json_t *instruction = NULL, *input = NULL, *output = NULL, *system = NULL;
    int rc = get_text(r, row, "instruction", true, &instruction);

    if (rc == 0)
        rc = get_text(r, row, "input", false, &input);
    if (rc == 0)
        rc = get_text(r, row, "output", true, &output);
    if (rc == 0)
        rc = get_text(r, row, "system", false, &system);
    if (rc == 0 && system)
        rc = add_text(r, "system", system);
    if (rc == 0)
        rc = read_history(r, json_object_get(row, "history"));
    if (rc == 0)
        rc = add_instruction(r, instruction, input);
    return rc < 0 ? rc : add_text(r, "assistant", output);
}

/* What the template is given beside the messages. */
static int read_beside(struct reading *r, const json_t *row)
{
    const json_t *tools = json_object_get(row, "tools");
    const json_t *variables = json_object_get(row, "chat_template_kwargs");

    if (json_is_set(tools) && !json_is_array(tools))
        return conversation_wrong(r, FAULT_TYPE, "\"tools\" must be a list; it is %s",
                                  json_type_words(tools));
    if (json_is_set(variables) && !json_is_object(variables))
        return conversation_wrong(r, FAULT_TYPE,
                                  "\"chat_template_kwargs\" must be an object; it is %s",
                                  json_type_words(variables));
    if (json_is_set(json_object_get(row, "functions")))
        return conversation_wrong(r, FAULT_TYPE, "\"functions\" is not supported: use \"tools\"");
    r->c->tools = json_is_set(tools) ? json_incref((json_t *)tools) : NULL;
    r->c->variables = json_is_set(variables) ? json_incref((json_t *)variables) : NULL;
    return 0;
}

/* Two texts are a user's words and the answer. */
int conversation_read_prompt(struct reading *r, const json_t *row)
{
    const json_t *prompt = json_object_get(row, "prompt"), *completion;
    int rc = read_beside(r, row);

    if (rc < 0)
        return rc;
    if (json_is_string(prompt)) {
        rc = get_text(r, row, "completion", true, &completion);
        if (rc == 0)
            rc = add_text(r, "user", prompt);
        return rc < 0 ? rc : add_text(r, "assistant", completion);
    }
    rc = read_list(r, json_object_get(row, "prompt"), "prompt", NOT_TRAINED);

    return rc < 0 ? rc : read_list(r, json_object_get(row, "completion"), "completion", BY_ROLE);
}

int conversation_read_messages(struct reading *r, const json_t *row)
{
    const json_t *messages = json_object_get(row, "messages");
    int rc = read_beside(r, row);

    if (rc < 0)
        return rc;
    if (!messages && json_object_get(row, "conversations"))
        return read_sharegpt(r, row);
    if (json_string_length(json_object_get(row, "system")) > 0)
        return conversation_wrong(r, FAULT_TYPE,
                                  "the row has \"system\" beside \"messages\": make it the first "
                                  "message, of role system");
    return read_list(r, messages, "messages", BY_ROLE);
}
