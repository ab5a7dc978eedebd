/* tests/unit/text/test_chat_encode.c - nothing that a conversation says is left out in silence. */
#include "tests/unit/small_tokenizer.h"
#include "core/text/chat_encode.h"

static const char some_roles[] =
    "{% for m in messages %}{% if m.role in ['user', 'assistant'] %}<{{ m.role }}>"
    "{% if m.tool_calls %}{{ m.tool_calls | tojson }}{% else %}{{ m.content.split('</think>')[-1] "
    "| trim }}{% endif %}</s>{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

static struct err err;

/* Encodes conversations by one template, one behind the other; the code of the last one. */
static int encode(const char *template, const char *const *rows, int n)
{
    char *folder = new_folder(), *path = file_join(folder, "template.jinja");
    struct chat_template_options options = {.file = path};
    struct tokenizer *t = small_tokenizer();
    const struct chat_rules rules = {0};
    struct chat_scratch scratch = {0};
    struct conversation c = {0};
    struct chat_template *chat;
    enum row_fault fault;
    int rc = 0;

    write_text(folder, "template.jinja", template);
    assert_ok(chat_template_open(t, &options, &chat, &err), err);
    for (int i = 0; i < n; i++) {
        json_t *row = json_pack("{s:o}", "messages", json_loads(rows[i], 0, NULL));
        struct tokenised out = {0};
        assert_ok(conversation_read(&c, row, FORMAT_MESSAGES, TRAIN_ON_ASSISTANT, &fault, &err),
                  err);
        rc = chat_encode(chat, t, &c, &rules, &scratch, &out, &fault, &err);
        token_list_free(&out.ids);
        token_list_free(&out.labels);
        json_decref(row);
    }
    chat_scratch_free(&scratch);
    conversation_free(&c);
    chat_template_free(chat);
    tokenizer_free(t);
    remove_folder(folder);
    free(path);
    return rc;
}

static void messages_that_are_not_printed_are_refused(void **state)
{
    static const char *const rows[] = {
        "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}]",
        "[{\"role\":\"user\",\"content\":\"42\"},{\"role\":\"tool\",\"content\":\"42\"},"
        "{\"role\":\"assistant\",\"content\":\"42\"}]",
    };
    static const char *const developer =
        "[{\"role\":\"developer\",\"content\":\"a\"},{\"role\":\"user\",\"content\":\"a\"},"
        "{\"role\":\"assistant\",\"content\":\"b\"}]";

    (void)state;
    assert_int_equal(encode(some_roles, rows, 2), ERR_INVALID);
    assert_contains(err.text, "prints nothing of message 2, of the role \"tool\"");
    assert_int_equal(encode(some_roles, &developer, 1), ERR_INVALID);
    assert_contains(err.text, "prints nothing of message 1, of the role \"developer\"");
}

static void earlier_messages_that_are_not_printed_are_refused(void **state)
{
    static const char last[] = "{% for m in messages[-2:] %}<{{ m.role }}>{{ m.content }}</s>"
                               "{% endfor %}";
    static const char *const row =
        "[{\"role\":\"user\",\"content\":\"one\"},{\"role\":\"user\",\"content\":\"two\"},"
        "{\"role\":\"user\",\"content\":\"three\"},{\"role\":\"assistant\",\"content\":\"b\","
        "\"weight\":0}]";

    (void)state;
    assert_int_equal(encode(last, &row, 1), ERR_INVALID);
    assert_contains(err.text, "prints nothing of message 1, of the role \"user\"");
}

static void what_a_template_changes_is_printed(void **state)
{
    static const char *const rows[] = {
        "[{\"role\":\"user\",\"content\":\"  a \"},{\"role\":\"assistant\",\"content\":"
        "\"<think>hm</think>b\"}]",
        "[{\"role\":\"user\",\"content\":\"\"},{\"role\":\"assistant\",\"content\":\"b\"}]",
        "[{\"role\":\"user\",\"content\":\"q\"},{\"role\":\"assistant\",\"content\":\"I look\","
        "\"tool_calls\":[{\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":{}}}]}]",
    };
    static const char escaping[] = "{% for m in messages %}{{ m | tojson }}{% endfor %}";
    static const char *const quoted =
        "[{\"role\":\"user\",\"content\":\"say \\\"hi\\\"\"},{\"role\":\"assistant\","
        "\"content\":\"\\\"\"}]";

    (void)state;
    assert_ok(encode(some_roles, rows, 3), err);
    assert_ok(encode(escaping, &quoted, 1), err);
}

static void a_template_that_never_ends_is_given_up(void **state)
{
    static const char counting[] =
        "{% for m in messages %}{{ m.content }}{% if m.content == 'a' %}{% for i in range(90000) "
        "%}{% for k in range(90000) %}{% endfor %}{% endfor %}{% endif %}{% endfor %}";
    static const char *const slow =
        "[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"}]";
    static const char *const fast =
        "[{\"role\":\"user\",\"content\":\"x\"},{\"role\":\"assistant\",\"content\":\"y\"}]";
    const char *const rows[] = {slow, fast, slow, slow, slow, fast};

    (void)state;
    assert_ok(encode(counting, rows, 2), err);
    assert_int_equal(encode(counting, rows + 2, 4), ERR_INVALID);
    assert_contains(err.text, "is not rendered: rendering the 3 rows before took too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_that_are_not_printed_are_refused),
        cmocka_unit_test(earlier_messages_that_are_not_printed_are_refused),
        cmocka_unit_test(what_a_template_changes_is_printed),
        cmocka_unit_test(a_template_that_never_ends_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
