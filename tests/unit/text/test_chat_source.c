/* tests/unit/text/test_chat_source.c - what a model's folder has for chat templates. */
#include "tests/unit/small_tokenizer.h"
#include "core/text/chat_source.h"
#include "core/text/chat_template.h"

/* The text of a named template; NULL: tokenizer_config.json is refused. */
static void has_template(const char *config, const char *name, const char *expected)
{
    char *folder = new_folder(), *path = file_join(folder, "tokenizer.json");
    struct tokenizer *t;
    struct err err = {0};

    small_write(folder, small_json());
    write_text(folder, "tokenizer_config.json", config);
    if (expected) {
        t = small_open(folder, 1, 2);
        assert_string_equal(chat_source_find(tokenizer_chat(t), name)->text, expected);
        tokenizer_free(t);
    } else {
        assert_int_equal(tokenizer_from_json(path, 1, 2, &t, &err), ERR_INVALID);
        assert_contains(err.text, "must be a text, a list of");
    }
    remove_folder(folder);
    free(path);
}

static void chat_templates_have_all_the_forms_that_transformers_reads(void **state)
{
    static const char object[] = "{\"chat_template\": {\"default\": \"D\", \"tool_use\": \"T\"}}";

    (void)state;
    has_template("{\"chat_template\": \"x\"}", "default", "x");
    has_template(object, "default", "D");
    has_template(object, "tool_use", "T");
    has_template("{\"chat_template\": [{\"name\": \"default\", \"template\": \"1\"}, {\"name\": "
                 "\"default\", \"template\": \"2\"}]}",
                 "default", "2");
    has_template("{\"chat_template\": 5}", NULL, NULL);
    has_template("{\"chat_template\": {\"default\": [\"x\"]}}", NULL, NULL);
    has_template("{\"chat_template\": [\"x\"]}", NULL, NULL);
}

/* The text of transformers 5.24 on the same files. */
static void templates_read_the_special_tokens_of_the_model(void **state)
{
    const struct chat_template_options options = {0};
    char *folder = new_folder();
    struct chat_template *chat;
    struct jinja_output out = {0};
    struct err err = {0};
    struct tokenizer *t;

    (void)state;
    small_write(folder, small_json());
    write_text(
        folder, "tokenizer_config.json",
        "{\"eos_token\": \"<|im_end|>\", \"image_token\": {\"content\": \"<|im_start|>\", "
        "\"__type\": \"AddedToken\"}, \"add_bos_token\": true, \"extra_special_tokens\": "
        "{\"boi_token\": \"<|im_end|>x\", \"audio\": \"<|im_end|>\"}, \"chat_template\": "
        "\"{{ image_token }} {{ boi_token }} {{ audio }} {{ eos_token }} {{ add_bos_token }}.\"}");
    t = small_open(folder, 1, 2);
    assert_ok(chat_template_open(t, &options, &chat, &err), err);
    assert_ok(chat_template_render(chat, NULL, NULL, NULL, false, &out, &err), err);
    assert_string_equal(out.text.data, "<|im_start|> <|im_end|>x <|im_end|> <|im_end|> .");
    jinja_output_free(&out);
    chat_template_free(chat);
    tokenizer_free(t);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chat_templates_have_all_the_forms_that_transformers_reads),
        cmocka_unit_test(templates_read_the_special_tokens_of_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
