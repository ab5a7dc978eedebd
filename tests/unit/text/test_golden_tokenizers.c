/* tests/unit/text/test_golden_tokenizers.c - small tokenizers of every kind give the ids of
 * transformers and sentencepiece (tests/bench/tokenizer_golden made them), and none of their files
 * is used when it is damaged. */
#include "tests/unit/golden_tokenizers.h"
#include <dirent.h>

static void decodes_to(const struct tokenizer *t, const struct token_list *ids,
                       const char *expected)
{
    struct buf b = {0};
    struct err err;

    assert_ok(tokenizer_decode(t, ids->ids, ids->n, false, &b, &err), err);
    assert_string_equal(b.data ? b.data : "", expected);
    buf_free(&b);
}

static void folder_agrees(const char *name)
{
    struct tokenizer *t = open_golden(name);
    json_t *cases = golden_cases(name), *one;
    size_t i;

    json_array_foreach(cases, i, one)
    {
        struct token_list list = ids_of_case(t, strncmp(name, "pieces", 6) == 0, one);
        const char *decoded = json_string_value(json_object_get(one, "decoded"));
        if (decoded)
            decodes_to(t, &list, decoded);
        token_list_free(&list);
    }
    json_decref(cases);
    tokenizer_free(t);
}

static void each_folder(void (*visit)(const char *name))
{
    DIR *d = opendir(GOLDEN("tokenizers"));
    struct dirent *entry;
    int n = 0;

    assert_non_null(d);
    while ((entry = readdir(d)))
        if (entry->d_name[0] != '.' && ++n)
            visit(entry->d_name);
    closedir(d);
    assert_int_equal(n, 16);
}

static void all_agree(void **state)
{
    (void)state;
    each_folder(folder_agrees);
}

static void the_end_is_what_the_files_name(void **state)
{
    struct tokenizer *t = open_golden("config");

    (void)state;
    assert_int_equal(tokenizer_eos(t), tokenizer_id(t, "<spec>"));
    assert_int_equal(tokenizer_id(t, "<spec>"), 420);
    assert_int_equal(tokenizer_id(t, "<late>"), 421);
    assert_int_equal(tokenizer_id(t, "[M]"), 422); /* named by pad_token alone: the next id */
    assert_int_equal(tokenizer_vocab(t), 423);
    tokenizer_free(t);
    t = open_golden("legacy"); /* where the map counts more than the configuration */
    assert_int_equal(tokenizer_eos(t), tokenizer_id(t, "<spec>"));
    assert_int_equal(tokenizer_id(t, "<left>"), 422);
    tokenizer_free(t);
    t = open_golden("pieces_bytes");
    assert_true(tokenizer_adds_bos(t));
    assert_int_equal(tokenizer_bos(t), 1);
    assert_int_equal(tokenizer_eos(t), 2);
    tokenizer_free(t);
}

/* A folder with the first len bytes of the file, and what must be beside it. */
static int open_cut(const char *name, const char *bytes, size_t len, struct err *err)
{
    char *copy = new_folder();
    struct tokenizer *t = NULL;
    int rc;

    write_file(copy, name, bytes, len);
    if (strcmp(name, "vocab.json") == 0)
        copy_file(GOLDEN("tokenizers/gpt2/merges.txt"), copy, "merges.txt");
    if (strcmp(name, "merges.txt") == 0)
        copy_file(GOLDEN("tokenizers/gpt2/vocab.json"), copy, "vocab.json");
    rc = tokenizer_from_path(copy, &t, err);
    tokenizer_free(t);
    remove_folder(copy);
    return rc;
}

static void cut_is_refused(const char *folder, const char *name, bool always)
{
    char *path = NULL, *bytes;
    struct err err;
    size_t len;

    assert_true(asprintf(&path, "%s/%s/%s", GOLDEN("tokenizers"), folder, name) > 0);
    assert_ok(file_read(path, 1 << 24, &bytes, &len, &err), err);
    for (size_t n = 0; n < len; n += 1 + len / 97) {
        int rc = open_cut(name, bytes, n, &err);
        if (rc == 0 && always && n > 0)
            fail_msg("%s of %zu bytes is accepted when it has %zu", name, len, n);
        if (rc < 0)
            assert_contains(err.text, name);
    }
    free(bytes);
    free(path);
}

static void cut_files_are_refused_by_name(void **state)
{
    (void)state;
    cut_is_refused("llama", "tokenizer.json", true);
    cut_is_refused("gpt2", "vocab.json", true);
    cut_is_refused("gpt2", "merges.txt", false); /* fewer merges are merges */
    cut_is_refused("pieces_bytes", "tokenizer.model", true);
    cut_is_refused("pieces_rules", "tokenizer.model", true);
}

static void damaged_once(const char *bytes, size_t len, const char *name, uint64_t *random)
{
    static const char text[] = "Hello  world <s> caf\xc3\xa9 the\n\xe6\x97\xa5 12 foo bar";
    char *copy = new_folder(), *damaged = damaged_copy(bytes, len, len, random);
    struct tokenizer *t = NULL;
    struct token_list list = {0};
    struct buf back = {0};
    struct err err;

    write_file(copy, name, damaged, len);
    if (tokenizer_from_path(copy, &t, &err) == 0 &&
        tokenizer_encode(t, text, strlen(text), &list, &err) == 0)
        tokenizer_decode(t, list.ids, list.n, false, &back, &err);
    buf_free(&back);
    free(list.ids);
    tokenizer_free(t);
    remove_folder(copy);
    free(damaged);
}

static void damaged_files_never_crash(void **state)
{
    static const char *const files[][2] = {{"llama", "tokenizer.json"},
                                           {"meta_first", "tokenizer.json"},
                                           {"behaviours", "tokenizer.json"},
                                           {"pieces_bytes", "tokenizer.model"},
                                           {"pieces_rules", "tokenizer.model"}};
    uint64_t random = 41;

    (void)state;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char *path = NULL, *bytes;
        struct err err;
        size_t len;
        assert_true(asprintf(&path, "%s/%s/%s", GOLDEN("tokenizers"), files[i][0], files[i][1]) >
                    0);
        assert_ok(file_read(path, 1 << 24, &bytes, &len, &err), err);
        for (int k = 0; k < 150; k++)
            damaged_once(bytes, len, files[i][1], &random);
        free(bytes);
        free(path);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_agree),
        cmocka_unit_test(the_end_is_what_the_files_name),
        cmocka_unit_test(cut_files_are_refused_by_name),
        cmocka_unit_test(damaged_files_never_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
