/* tests/unit/text/test_hostile_tokenizers.c - what a tokenizer's file may ask for without end is
 * refused in words, in time and in little memory. */
#include "tests/unit/small_tokenizer.h"
#include "core/text/charsmap.h"
#include "core/text/gguf_pre.h"
#include "core/text/normalizer.h"
#include "core/text/unicode_form.h"

static int open_root(json_t *root, struct tokenizer **ret, struct err *err)
{
    char *folder = new_folder(), *path = file_join(folder, "tokenizer.json");
    int rc;

    small_write(folder, root);
    rc = tokenizer_from_json(path, -1, -1, ret, err);
    free(path);
    remove_folder(folder);
    return rc;
}

static json_t *with(const char *key, json_t *value)
{
    json_t *root = small_json();

    assert_non_null(value);
    json_object_set_new(root, key, value);
    return root;
}

static json_t *replace_step(const char *what, const char *by)
{
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "String", what, "content",
                     by);
}

/* Each step makes the text ten times as long. */
static void normalizers_that_grow_a_text_are_refused(void **state)
{
    json_t *list = json_array();
    struct token_list ids = {0};
    struct tokenizer *t = NULL;
    char text[2000];
    struct err err;

    (void)state;
    memset(text, 'a', sizeof(text));
    for (int i = 0; i < 20; i++)
        json_array_append_new(list, replace_step("a", "aaaaaaaaaa"));
    assert_ok(open_root(with("normalizer",
                             json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", list)),
                        &t, &err),
              err);
    assert_int_equal(tokenizer_encode(t, text, sizeof(text), &ids, &err), ERR_UNSUPPORTED);
    assert_contains(err.text, "makes a text of 2000 bytes longer than");
    free(ids.ids);
    tokenizer_free(t);
}

static json_t *replace_pattern_step(const char *pattern, const char *by)
{
    return json_pack("{s:s, s:{s:s}, s:s}", "type", "Replace", "pattern", "Regex", pattern,
                     "content", by);
}

static void encoding_is_refused(json_t *normalizer, char letter, const char *words)
{
    struct token_list ids = {0};
    struct tokenizer *t = NULL;
    char text[3000];
    struct err err;

    memset(text, letter, sizeof(text));
    assert_ok(open_root(with("normalizer", normalizer), &t, &err), err);
    assert_int_equal(tokenizer_encode(t, text, sizeof(text), &ids, &err), ERR_UNSUPPORTED);
    assert_contains(err.text, words);
    free(ids.ids);
    tokenizer_free(t);
}

static void replacing_patterns_is_bounded(void **state)
{
    char by[1001];

    (void)state;
    memset(by, 'b', sizeof(by) - 1);
    by[sizeof(by) - 1] = '\0';
    encoding_is_refused(replace_pattern_step("", by), 'a', "makes a text of 3000 bytes longer");
    encoding_is_refused(replace_pattern_step("(?:a+a+)+[bd]", "x"), 'a', "(?:a+a+)+[bd]");
}

static json_t *nested(const char *list, int depth, json_t *inner)
{
    while (depth-- > 0)
        inner = json_pack("{s:s, s:[o]}", "type", "Sequence", list, inner);
    return inner;
}

static void refused(json_t *root, const char *words)
{
    struct tokenizer *t = NULL;
    struct err err;

    assert_true(open_root(root, &t, &err) < 0);
    assert_null(t);
    assert_contains(err.text, words);
}

static void deep_and_long_sequences_are_refused(void **state)
{
    json_t *steps = json_array();

    (void)state;
    refused(with("normalizer", nested("normalizers", 20, replace_step("a", "b"))),
            "the normalizer has sequences in sequences");
    refused(
        with("pre_tokenizer", nested("pretokenizers", 20, json_pack("{s:s}", "type", "ByteLevel"))),
        "the pre-tokenizer has sequences in sequences");
    refused(with("normalizer", nested("normalizers", 500, replace_step("a", "b"))),
            "values are nested too deeply");
    for (int i = 0; i < 70; i++)
        json_array_append_new(steps, replace_step("a", "b"));
    refused(with("normalizer", json_pack("{s:s, s:o}", "type", "Sequence", "normalizers", steps)),
            "more than 64 steps");
    refused(with("normalizer", replace_step("", "b")), "replaces the empty text");
}

static void a_pattern_that_backtracks_is_named(void **state)
{
    json_t *split = json_pack("{s:s, s:{s:s}, s:s}", "type", "Split", "pattern", "Regex",
                              "(?:a+a+)+[bd]", "behavior", "Isolated");
    json_t *pre = json_pack("{s:s, s:[o, {s:s}]}", "type", "Sequence", "pretokenizers", split,
                            "type", "ByteLevel");
    struct token_list ids = {0};
    struct tokenizer *t = NULL;
    char text[3000];
    struct err err;

    (void)state;
    memset(text, 'a', sizeof(text));
    assert_ok(open_root(with("pre_tokenizer", pre), &t, &err), err);
    assert_int_equal(tokenizer_encode(t, text, sizeof(text), &ids, &err), ERR_UNSUPPORTED);
    assert_contains(err.text, "(?:a+a+)+[bd]");
    free(ids.ids);
    tokenizer_free(t);
}

/* Rules whose walk never leaves the trie: every unit leads to where it came from. */
static void rules_that_lead_in_circles_end(void **state)
{
    enum { UNITS = 512, TEXT = 200000 };
    uint32_t image[1 + UNITS];
    struct added_tokens none = {0};
    struct charsmap m = {0};
    struct watch watch;
    struct buf out = {0};
    char *text = malloc(TEXT);
    struct err err;

    (void)state;
    assert_non_null(text);
    memset(text, 'a', TEXT);
    image[0] = UNITS * 4;
    for (uint32_t i = 0; i < UNITS; i++)
        image[1 + i] = 'a'; /* label a, offset 0 */
    assert_ok(charsmap_init(&m, image, sizeof(image), &err), err);
    watch_start(&watch, TEXT);
    assert_true(charsmap_append(&m, &none, text, TEXT, &out, SIZE_MAX / 2, &watch));
    assert_int_equal(out.len, TEXT);
    charsmap_free(&m);
    buf_free(&out);
    assert_int_equal(charsmap_init(&m, image, 7, &err), ERR_INVALID);
    charsmap_free(&m);
    image[0] = UNITS * 4 + 4;
    assert_int_equal(charsmap_init(&m, image, sizeof(image), &err), ERR_INVALID);
    assert_contains(err.text, "damaged");
    charsmap_free(&m);
    free(text);
}

static void many_marks_are_ordered_in_time(void **state)
{
    enum { MARKS = 600000 };
    struct buf text = {0}, out = {0};

    (void)state;
    buf_puts(&text, "e");
    for (int i = 0; i < MARKS; i++)
        buf_puts(&text, i % 2 ? "\xcc\xa7" : "\xcc\x81"); /* U+0327 of class 202, U+0301 of 230 */
    unicode_form_append(UNICODE_NFC, text.data, text.len, &out);
    assert_false(out.failed);
    assert_int_equal(out.len,
                     text.len - 1); /* U+0229 for "e" and a cedilla; the acutes come last */
    assert_memory_equal(out.data, "\xc8\xa9\xcc\xa7\xcc\xa7", 6);
    assert_memory_equal(out.data + out.len - 4, "\xcc\x81\xcc\x81", 4);
    buf_free(&text);
    buf_free(&out);
}

/* The names under which a GGUF of the families that are trained has its pre-tokenizer. */
static void names_of_pre_tokenizers_are_known(void **state)
{
    static const char *const names[] = {"default",
                                        "llama-bpe",
                                        "llama3",
                                        "llama-v3",
                                        "smaug-bpe",
                                        "qwen2",
                                        "qwen35",
                                        "gpt-2",
                                        "smollm",
                                        "starcoder",
                                        "refact",
                                        "command-r",
                                        "olmo",
                                        "dbrx",
                                        "tekken",
                                        "gpt-4o",
                                        "llama4",
                                        "deepseek-llm",
                                        "deepseek-coder",
                                        "deepseek-v3",
                                        "granite-docling",
                                        "stablelm2",
                                        "falcon3",
                                        "pixtral",
                                        "mpt",
                                        "codeshell",
                                        "deepseek-r1-qwen",
                                        "bailingmoe",
                                        "seed-coder",
                                        "exaone4",
                                        "phi-2"};
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const struct gguf_pre *pre = gguf_pre_find(names[i]);
        struct normalizer normalizer = {0};
        struct pretokenizer pretokenizer = {0};
        if (!pre)
            fail_msg("%s is not known", names[i]);
        assert_ok(gguf_pre_add(pre, &normalizer, &pretokenizer, &err), err);
        assert_true(pretokenizer.n > 0);
        normalizer_free(&normalizer);
        pretokenizer_free(&pretokenizer);
    }
    assert_ptr_equal(gguf_pre_find(NULL), gguf_pre_find("default"));
    assert_null(gguf_pre_find("kimi-k2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(normalizers_that_grow_a_text_are_refused),
        cmocka_unit_test(replacing_patterns_is_bounded),
        cmocka_unit_test(deep_and_long_sequences_are_refused),
        cmocka_unit_test(a_pattern_that_backtracks_is_named),
        cmocka_unit_test(rules_that_lead_in_circles_end),
        cmocka_unit_test(many_marks_are_ordered_in_time),
        cmocka_unit_test(names_of_pre_tokenizers_are_known),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
