/* tests/unit/worker/test_generate_prompts.c - a model is asked what it was trained to answer: the
 * ids of a prompt are those of the row in training, up to the answer. */
#include "tests/unit/small_tokenizer.h"
#include "core/text/dataset.h"
#include "worker/generate_prompts.h"

#define USER   "{\"role\": \"user\", \"content\": \"hi\"}"
#define ANSWER "{\"role\": \"assistant\", \"content\": \"hello\"}"
#define SYSTEM "{\"role\": \"system\", \"content\": \"be\"}"
#define PARTS                                                                                      \
    "{\"role\": \"user\", \"content\": [{\"type\": \"text\", \"text\": \"a\"}, "                   \
    "{\"type\": \"text\", \"text\": \"b\"}]}"

static const char texts[] =
    "{% for m in messages %}<{{ m.role }}>{{ m.content + '|' }}{{ style }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";
static const char parts[] =
    "{% for m in messages %}<{{ m.role }}>{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for p in m.content %}{{ p.text }}+{% endfor %}{% endif %}|{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";
static const char tools[] =
    "{{ tools | tojson }}{% for m in messages %}<{{ m.role }}>{{ m.content }}|{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}";

static struct err err;
static struct prompts prompts;

static int read_text(const char *text, int limit)
{
    char *folder = new_folder(), *path = file_join(folder, "p");
    int rc;

    write_text(folder, "p", text);
    prompts_free(&prompts);
    rc = prompts_read(&prompts, path, limit, &err);
    free(path);
    remove_folder(folder);
    return rc;
}

struct setting {
    struct tokenizer *t;
    struct data_options data;
    char *folder, *template;
};

static struct setting open_setting(const char *template, enum data_template kind)
{
    struct setting s = {.t = small_tokenizer(),
                        .folder = new_folder(),
                        .data = {.train_on = TRAIN_ON_LAST, .template_kind = kind}};

    if (template) {
        s.template = file_join(s.folder, "t.jinja");
        write_text(s.folder, "t.jinja", template);
        s.data.chat_template = s.template;
    }
    return s;
}

static void close_setting(struct setting *s)
{
    free(s->template);
    remove_folder(s->folder);
    tokenizer_free(s->t);
}

static int ask(const struct setting *s, struct token_list *ids)
{
    struct prompt_encoder *e = NULL;
    int rc = prompt_encoder_open(s->t, &s->data, &e, &err);

    if (rc == 0)
        rc = prompt_encode(e, &prompts.of[0], ids, &err);
    prompt_encoder_free(e);
    return rc;
}

static void train(const struct setting *s, const char *line, struct tokenised *out)
{
    json_t *row = json_loads(line, 0, NULL);
    struct row_encoder *e = NULL;
    struct row_notes notes;
    enum row_fault fault;

    assert_non_null(row);
    assert_ok(row_encoder_open(s->t, &s->data, dataset_find_format(row),
                               json_is_array(json_object_get(row, "prompt")), &e, &err),
              err);
    assert_ok(row_encoder_row(e, row, out, &notes, &fault, &err), err);
    row_encoder_free(e);
    json_decref(row);
}

static void asks_what_was_trained(const char *template, enum data_template kind, const char *line)
{
    struct setting s = open_setting(template, kind);
    struct tokenised trained = {0};
    struct token_list asked = {0};
    int n = 0;

    train(&s, line, &trained);
    while (n < trained.labels.n && trained.labels.ids[n] == LABEL_NONE)
        n++;
    assert_in_range(n, 1, trained.labels.n - 1);
    assert_ok(read_text(line, 0), err);
    assert_int_equal(prompts.n, 1);
    assert_string_equal(prompts.of[0].expected, "hello");
    assert_ok(ask(&s, &asked), err);
    assert_int_equal(asked.n, n);
    assert_memory_equal(asked.ids, trained.ids.ids, (size_t)n * sizeof(*asked.ids));
    token_list_free(&asked);
    token_list_free(&trained.ids);
    token_list_free(&trained.labels);
    close_setting(&s);
}

static void a_prompt_is_what_training_has_before_the_answer(void **state)
{
    static const char *const chats[] = {
        "{\"messages\": [" USER ", " ANSWER "]}",
        "{\"prompt\": [" USER "], \"completion\": [" ANSWER "]}",
        "{\"prompt\": [" SYSTEM ", " USER "], \"completion\": [" ANSWER "]}",
        "{\"messages\": [" USER ", " ANSWER "], \"chat_template_kwargs\": {\"style\": \"x\"}}",
        "{\"prompt\": \"other\", \"messages\": [" USER ", " ANSWER "]}",
        "{\"prompt\": \"other\", \"completion\": \"o\", \"messages\": [" USER ", " ANSWER "]}",
        "{\"prompt\": \"other\", \"instruction\": \"hi\", \"output\": \"hello\"}",
        "{\"messages\": [" PARTS ", " ANSWER ", " USER ", " ANSWER "]}",
        "{\"conversations\": [{\"from\": \"human\", \"value\": \"hi\"}, "
        "{\"from\": \"gpt\", \"value\": \"hello\"}]}",
        "{\"instruction\": \"say\", \"input\": \"it\", \"output\": \"hello\", \"system\": \"be\", "
        "\"history\": [[\"a\", \"b\"]]}",
        "{\"prompt\": \"hi\", \"completion\": \"hello\"}",
    };
    static const char instruction[] =
        "{\"instruction\": \"say\", \"input\": \"it\", \"output\": \"hello\"}";

    (void)state;
    for (size_t i = 0; i < sizeof(chats) / sizeof(chats[0]); i++) {
        asks_what_was_trained(texts, TEMPLATE_AUTO, chats[i]);
        asks_what_was_trained(parts, TEMPLATE_MODEL, chats[i]);
    }
    asks_what_was_trained(tools, TEMPLATE_AUTO,
                          "{\"messages\": [" USER ", " ANSWER "], \"tools\": [{\"name\": \"f\"}]}");
    asks_what_was_trained(NULL, TEMPLATE_PLAIN, instruction);
    asks_what_was_trained(NULL, TEMPLATE_ALPACA, instruction);
    asks_what_was_trained(NULL, TEMPLATE_AUTO, chats[10]);
    asks_what_was_trained(NULL, TEMPLATE_ALPACA, chats[10]);
}

static void cannot_ask(const char *template, enum data_template kind, const char *line,
                       const char *words)
{
    struct setting s = open_setting(template, kind);
    struct token_list ids = {0};

    assert_ok(read_text(line, 0), err);
    assert_int_equal(ask(&s, &ids), ERR_INVALID);
    assert_non_null(strstr(err.text, words));
    token_list_free(&ids);
    close_setting(&s);
}

static void what_a_template_would_leave_out_is_refused(void **state)
{
    (void)state;
    cannot_ask(NULL, TEMPLATE_ALPACA, "{\"instruction\": \"a\", \"system\": \"b\"}", "\"system\"");
    cannot_ask(NULL, TEMPLATE_PLAIN, "{\"instruction\": \"a\", \"history\": [[\"a\", \"b\"]]}",
               "\"history\"");
    cannot_ask(texts, TEMPLATE_AUTO, "{\"messages\": [" USER "], \"tools\": [{\"name\": \"f\"}]}",
               "\"tools\"");
    cannot_ask(NULL, TEMPLATE_PLAIN, "{\"prompt\": [" USER "]}", "roles");
}

static void rows_may_come_without_an_answer(void **state)
{
    static const char *const lines[] = {"{\"messages\": [" USER "]}",
                                        "{\"prompt\": [" USER "]}",
                                        "{\"prompt\": \"hi\", \"completion\": null}",
                                        "{\"instruction\": \"hi\"}",
                                        " {\"instruction\": \"hi\"}",
                                        "\xef\xbb\xbf{\"prompt\": \"hi\"}\r\n",
                                        "hi\r\n",
                                        "\n hi",
                                        "[\n{\"prompt\": \"hi\"}\n]\n"};

    (void)state;
    for (int i = 0; i < 9; i++) {
        assert_ok(read_text(lines[i], 0), err);
        assert_int_equal(prompts.n, 1);
        assert_string_equal(prompts.of[0].text, i == 7 ? " hi" : "hi");
        assert_null(prompts.of[0].expected);
    }
    assert_ok(read_text("{\"prompt\": \"a\"}\nb\n\nc\n{", 3), err);
    assert_int_equal(prompts.n, 3);
    assert_string_equal(prompts.of[2].text, "c");
}

static void is_refused(const char *text, const char *words)
{
    assert_true(read_text(text, 0) < 0);
    assert_non_null(strstr(err.text, words));
}

static void what_is_no_row_is_refused_with_its_line(void **state)
{
    (void)state;
    is_refused("a\n{\"messages\": [" USER "]\n", "/p:2: begins with { but is not JSON");
    is_refused("\xef\xbb\xbf{\"prompt\": 'a'}\n", "/p:1: begins with { but is not JSON");
    is_refused("{\"prompt\": \"a\"}\n{\"output\": \"a\"}\n", "/p:2: the row has none of");
    is_refused("{\"input_ids\": [1], \"prompt\": \"a\"}\n", "/p:1: the row is of token ids");
    is_refused("[{\"prompt\": \"a\"}, {\"x\": 1}]", "/p: row 2: the row has none of");
    is_refused("[{\"prompt\": \"a\"},", "/p:1: is not JSON");
    is_refused("PAR1", "Parquet");
    is_refused("\n", "holds no prompt");
}

static int free_prompts(void **state)
{
    (void)state;
    prompts_free(&prompts);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_prompt_is_what_training_has_before_the_answer),
        cmocka_unit_test(what_a_template_would_leave_out_is_refused),
        cmocka_unit_test(rows_may_come_without_an_answer),
        cmocka_unit_test(what_is_no_row_is_refused_with_its_line),
    };

    return cmocka_run_group_tests(tests, NULL, free_prompts);
}
