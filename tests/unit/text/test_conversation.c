/* tests/unit/text/test_conversation.c - rows as the messages of a conversation, whose words are
 * trained, and empty thoughts. */
#include "tests/unit/support.h"
#include "core/json_parse.h"
#include "core/text/conversation.h"
#include "core/text/thought.h"

static json_t *row_of(const char *text)
{
    json_error_t why;
    json_t *row = json_parse(text, strlen(text), JSON_ALLOW_NUL, &why);

    assert_non_null(row);
    return row;
}

/* The messages and, for each, whether it is trained ('t') or not ('-'). */
static void reads_as(const char *row_text, enum data_format format, enum train_on train_on,
                     const char *messages, const char *trained)
{
    struct conversation c = {0};
    json_t *row = row_of(row_text);
    enum row_fault fault;
    struct err err;
    char *text;

    assert_ok(conversation_read(&c, row, format, train_on, &fault, &err), err);
    text = json_dumps(c.messages, JSON_COMPACT);
    assert_string_equal(text, messages);
    assert_int_equal(c.n, strlen(trained));
    for (int i = 0; i < c.n; i++)
        assert_int_equal(c.trained[i], trained[i] == 't');
    free(text);
    conversation_free(&c);
    json_decref(row);
}

#define USER "{\"role\":\"user\",\"content\":\"a\"}"
#define BOT  "{\"role\":\"assistant\",\"content\":\"b\"}"

static void messages_are_those_of_the_row(void **state)
{
    (void)state;
    reads_as("{\"messages\": [" USER "," BOT "," USER "," BOT "]}", FORMAT_MESSAGES,
             TRAIN_ON_ASSISTANT, "[" USER "," BOT "," USER "," BOT "]", "-t-t");
    reads_as("{\"messages\": [" USER "," BOT "," USER "," BOT "," USER "]}", FORMAT_MESSAGES,
             TRAIN_ON_LAST, "[" USER "," BOT "," USER "," BOT "," USER "]", "---t-");
    reads_as("{\"messages\": [" USER ", {\"role\": \"assistant\", \"content\": \"b\", \"weight\": "
             "0}, {\"role\": \"user\", \"content\": \"x\", \"train\": true}, {\"role\": "
             "\"assistant\", \"content\": \"c\", \"weight\": 1}]}",
             FORMAT_MESSAGES, TRAIN_ON_ASSISTANT,
             "[" USER ",{\"role\":\"assistant\",\"content\":\"b\",\"weight\":0},{\"role\":\"user\","
             "\"content\":\"x\",\"train\":true},{\"role\":\"assistant\",\"content\":\"c\","
             "\"weight\":1}]",
             "--tt");
}

static void fields_are_as_transformers_hands_them_over(void **state)
{
    (void)state;
    reads_as("{\"messages\": [{\"role\": \"assistant\", \"content\": null, \"name\": null, "
             "\"tool_calls\": [{\"function\": {\"name\": \"f\"}}]}]}",
             FORMAT_MESSAGES, TRAIN_ON_ASSISTANT,
             "[{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}]", "t");
    reads_as("{\"messages\": [{\"role\": \"assistant\", \"content\": \"b\", \"reasoning\": "
             "\"r\"}]}",
             FORMAT_MESSAGES, TRAIN_ON_ASSISTANT,
             "[{\"thinking\":\"r\",\"role\":\"assistant\",\"content\":\"b\",\"reasoning\":\"r\","
             "\"reasoning_content\":\"r\"}]",
             "t");
}

static void other_forms_become_messages(void **state)
{
    (void)state;
    reads_as("{\"conversations\": [{\"from\": \"human\", \"value\": \"a\"}, {\"from\": \"gpt\", "
             "\"value\": \"b\"}], \"system\": \"s\"}",
             FORMAT_MESSAGES, TRAIN_ON_ASSISTANT,
             "[{\"role\":\"system\",\"content\":\"s\"}," USER "," BOT "]", "--t");
    reads_as("{\"prompt\": [" USER "," BOT "," USER "], \"completion\": [" BOT "]}", FORMAT_PROMPT,
             TRAIN_ON_ASSISTANT, "[" USER "," BOT "," USER "," BOT "]", "---t");
    reads_as("{\"prompt\": \"a\", \"completion\": \"b\"}", FORMAT_PROMPT, TRAIN_ON_ASSISTANT,
             "[" USER "," BOT "]", "-t");
    reads_as("{\"instruction\": \"i\\u0000\", \"input\": \"x\", \"output\": \"b\", \"system\": "
             "\"s\", \"history\": [[\"a\", \"b\"]]}",
             FORMAT_INSTRUCTION, TRAIN_ON_ASSISTANT,
             "[{\"role\":\"system\",\"content\":\"s\"}," USER "," BOT
             ",{\"role\":\"user\",\"content\":\"i\\u0000\\n\\nx\"}," BOT "]",
             "--t-t");
    reads_as("{\"instruction\": \"a\", \"input\": \"\", \"output\": \"b\", \"system\": null, "
             "\"history\": []}",
             FORMAT_INSTRUCTION, TRAIN_ON_ASSISTANT, "[" USER "," BOT "]", "-t");
}

static void refused(const char *row_text, enum data_format format, const char *words)
{
    struct conversation c = {0};
    json_t *row = row_of(row_text);
    enum row_fault fault;
    struct err err;

    assert_int_equal(conversation_read(&c, row, format, TRAIN_ON_ASSISTANT, &fault, &err),
                     ERR_INVALID);
    assert_contains(err.text, words);
    conversation_free(&c);
    json_decref(row);
}

static void what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *row, *words;
    } cases[] = {
        {"{}", "no \"messages\""},
        {"{\"messages\": []}", "it is empty"},
        {"{\"messages\": 3}", "it is a number"},
        {"{\"messages\": [3]}", "one is a number"},
        {"{\"messages\": [{\"content\": \"a\"}]}", "no \"role\""},
        {"{\"messages\": [{\"role\": 1, \"content\": \"a\"}]}", "\"role\" must be a string"},
        {"{\"messages\": [{\"role\": \"robot\", \"content\": \"a\"}]}", "role \"robot\""},
        {"{\"messages\": [{\"role\": \"user\"}]}", "no \"content\""},
        {"{\"messages\": [{\"role\": \"user\", \"content\": null}]}", "no \"content\""},
        {"{\"messages\": [{\"role\": \"user\", \"content\": 1}]}", "it is a number"},
        {"{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"image\"}]}]}",
         "type \"image\""},
        {"{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\"}]}]}",
         "\"text\" that is a string"},
        {"{\"messages\": [{\"role\": \"assistant\", \"content\": null, \"function_call\": {}}]}",
         "use \"tool_calls\""},
        {"{\"messages\": [{\"role\": \"assistant\", \"content\": \"\", \"function_call\": {}}]}",
         "use \"tool_calls\""},
        {"{\"messages\": [{\"role\": \"assistant\", \"content\": \"\", \"weight\": 0.5}]}",
         "must be 0 or 1"},
        {"{\"messages\": [{\"role\": \"assistant\", \"content\": \"\", \"train\": 1}]}",
         "true or false"},
        {"{\"messages\": [{\"role\": \"assistant\", \"content\": \"\", \"train\": true, "
         "\"weight\": 0}]}",
         "disagree"},
        {"{\"messages\": [" USER "], \"tools\": {}}", "\"tools\" must be a list"},
        {"{\"messages\": [" USER "], \"functions\": []}", "use \"tools\""},
        {"{\"conversations\": [{\"from\": \"human\"}]}", "{\"from\", \"value\"}"},
        {"{\"conversations\": [{\"from\": \"function_call\", \"value\": \"\"}]}", "tool_calls"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        refused(cases[i].row, FORMAT_MESSAGES, cases[i].words);
    refused("{\"instruction\": \"a\", \"output\": \"b\", \"history\": [[\"a\"]]}",
            FORMAT_INSTRUCTION, "pairs");
    refused("{\"instruction\": \"a\"}", FORMAT_INSTRUCTION, "no \"output\"");
    reads_as("{\"messages\": [" USER "," BOT "]}", FORMAT_MESSAGES, TRAIN_ON_ALL,
             "[" USER "," BOT "]", "-t");
    refused("{\"prompt\": [" USER "], \"completion\": \"b\"}", FORMAT_PROMPT, "a list of messages");
}

static void parts_are_joined(void **state)
{
    json_t *row = row_of("{\"messages\": [{\"role\": \"user\", \"content\": [{\"type\": \"text\", "
                         "\"text\": \"a\\u0000\"}, {\"type\": \"text\", \"text\": \"b\"}]}]}");
    struct conversation c = {0};
    enum row_fault fault;
    struct err err;
    char *text;

    (void)state;
    assert_ok(conversation_read(&c, row, FORMAT_MESSAGES, TRAIN_ON_ASSISTANT, &fault, &err), err);
    assert_ok(conversation_join_parts(&c, &err), err);
    text = json_dumps(c.messages, JSON_COMPACT);
    assert_string_equal(text, "[{\"role\":\"user\",\"content\":\"a\\u0000b\"}]");
    free(text);
    conversation_free(&c);
    json_decref(row);
}

static void rows_of_other_training_are_known(void **state)
{
    static const char *const rows[] = {
        "{\"chosen\": 1, \"rejected\": 2}",
        "{\"prompt\": 1, \"rejected_response\": 2}",
        "{\"prompt\": 1, \"completion\": 2, \"label\": true}",
        "{\"prompt\": 1, \"completions\": [], \"labels\": []}",
        "{\"input\": {}, \"preferred_output\": 1, \"non_preferred_output\": 2}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *row = row_of(rows[i]);
        assert_non_null(row_of_other_training(row));
        json_decref(row);
    }
}

static size_t thought(const char *text)
{
    return thought_empty(text, strlen(text));
}

static void empty_thoughts_end_where_text_begins(void **state)
{
    (void)state;
    assert_int_equal(thought(""), 0);
    assert_int_equal(thought("\n text"), 0);
    assert_int_equal(thought("<think>\n\n</think>\n\nyes"), 19);
    assert_int_equal(thought("<think></think>"), 15);
    assert_int_equal(thought("<think>\nno</think>"), 0);
    assert_int_equal(thought_tags("<think>\nno</think>", 18), 8);
    assert_int_equal(thought("<|channel|>final"), 0);
    assert_int_equal(thought("<|channel>thought\n<channel|>x"), 28);
    assert_int_equal(thought("</think>\n\nx"), 10);
    assert_int_equal(thought("<think></think><think>x"), 15);
    assert_int_equal(thought("[THINK][/THINK]x"), 15);
    assert_int_equal(thought("<|START_THINKING|><|END_THINKING|>x"), 34);
    assert_int_equal(thought("<b>think</b>"), 0);
    assert_int_equal(thought("<think 3>"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_are_those_of_the_row),
        cmocka_unit_test(fields_are_as_transformers_hands_them_over),
        cmocka_unit_test(other_forms_become_messages),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(parts_are_joined),
        cmocka_unit_test(rows_of_other_training_are_known),
        cmocka_unit_test(empty_thoughts_end_where_text_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
