/* tests/unit/model/test_gguf_keys.c - a key of a GGUF that is there but of another type than its
 * meaning has is refused, never taken for absent. */
#include "tests/unit/support.h"
#include "core/buf.h"
#include "core/model/model.h"

enum { U32 = 4, BOOL = 7, STRING = 8, ARRAY = 9 };

/* The tiny GGUF with one key more, whose value has `len` bytes. Caller frees, and removes
 * *ret_folder. */
static char *gguf_with(const char *key, int type, const void *value, size_t len, char **ret_folder)
{
    char *bytes, *last;
    struct buf b = {0};
    struct err err;
    size_t size, infos_end;

    assert_ok(file_read(GOLDEN("tiny/model.gguf"), 1 << 30, &bytes, &size, &err), err);
    last = memmem(bytes, size, "output_norm.weight", 18);
    assert_non_null(last);
    infos_end = (size_t)(last + 18 + 4 + 8 + 4 + 8 - bytes); /* a vector's info is the last */
    buf_append(&b, bytes, 24);
    b.data[16]++;
    buf_put(&b, strlen(key), 8);
    buf_puts(&b, key);
    buf_put(&b, (uint64_t)type, 4);
    buf_append(&b, value, len);
    buf_append(&b, bytes + 24, infos_end - 24);
    buf_pad(&b);
    infos_end = (infos_end + 31) / 32 * 32;
    buf_append(&b, bytes + infos_end, size - infos_end);
    *ret_folder = new_folder();
    write_file(*ret_folder, "model.gguf", b.data, b.len);
    buf_free(&b);
    free(bytes);
    return file_join(*ret_folder, "model.gguf");
}

/* words: part of the problem; NULL: the model is good. */
static void check(const char *key, int type, const void *value, size_t len, const char *words)
{
    struct problems problems = {0};
    struct model *m = NULL;
    char *folder, *text, *path = gguf_with(key, type, value, len, &folder);
    struct err err;
    int rc = model_open(path, &m, &problems, &err);

    text = problems_text(&problems);
    if (words) {
        assert_int_equal(rc, ERR_INVALID);
        assert_contains(text, words);
    } else if (rc < 0) {
        fail_msg("%s", text);
    }
    model_close(m);
    problems_free(&problems);
    free(text);
    free(path);
    remove_folder(folder);
}

#define CHECK(key, type, value, words) check(key, type, value, sizeof(value) - 1, words)

static void a_key_of_another_type_is_refused(void **state)
{
    (void)state;
    CHECK("llama.attention.causal", U32, "\0\0\0\0", "llama.attention.causal is a number");
    CHECK("llama.rope.scaling.type", U32, "\2\0\0\0", "it must be a string");
    CHECK("llama.rope.scaling.factor", STRING, "\1\0\0\0\0\0\0\0004",
          "llama.rope.scaling.factor is a string; it must be a number");
    CHECK("llama.attention.key_length", BOOL, "\1", "is a truth value; it must be a number");
    CHECK("llama.attention.sliding_window", ARRAY, "\4\0\0\0\2\0\0\0\0\0\0\0\5\0\0\0\5\0\0\0",
          "llama.attention.sliding_window is a list");
}

static void keys_of_the_right_type_count(void **state)
{
    (void)state;
    CHECK("llama.attention.causal", BOOL, "\1", NULL);
    CHECK("llama.attention.causal", BOOL, "\0", "llama.attention.causal: false is not supported");
    CHECK("llama.expert_count", U32, "\0\0\0\0", NULL);
    CHECK("llama.expert_count", U32, "\4\0\0\0", "mixture of experts");
    CHECK("llama.rope.scaling.factor", U32, "\0\0\0\0", "must be a number above 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_of_another_type_is_refused),
        cmocka_unit_test(keys_of_the_right_type_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
