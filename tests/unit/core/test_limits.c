/* tests/unit/core/test_limits.c - sizes that no machine has, which files and callers may ask for:
 * they are refused, and nothing is reserved for them. */
#include "tests/unit/small_tokenizer.h"
#include "core/text/bpe.h"
#include "core/pool.h"
#include <sys/resource.h>

static void buffers_refuse_more_than_there_can_be(void **state)
{
    static const size_t sizes[] = {SIZE_MAX,     SIZE_MAX - 1,     SIZE_MAX - 3,     SIZE_MAX - 64,
                                   SIZE_MAX / 2, SIZE_MAX / 2 + 1, SIZE_MAX / 2 - 3, SIZE_MAX / 4};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct buf b = {0}, fresh = {0};
        buf_puts(&b, "abc");
        assert_null(buf_grow(&b, sizes[i]));
        assert_true(b.failed);
        assert_string_equal(b.data, "abc");
        assert_null(buf_take(&b));
        assert_null(buf_grow(&fresh, sizes[i]));
        assert_true(fresh.failed);
        buf_free(&fresh);
    }
}

static void pools_refuse_more_than_there_can_be(void **state)
{
    struct pool p = {0};

    (void)state;
    assert_non_null(pool_text(&p, "abc", 3));
    assert_null(pool_alloc(&p, SIZE_MAX));
    assert_null(pool_alloc(&p, SIZE_MAX / 2 + 1));
    assert_null(pool_text(&p, "abc", SIZE_MAX));
    assert_null(pool_text(&p, "abc", SIZE_MAX - 1));
    assert_non_null(pool_alloc(&p, 0));
    pool_free(&p);
}

static void vocabularies_have_a_largest_size(void **state)
{
    struct vocab v;
    struct err err;

    (void)state;
    assert_int_equal(vocab_init(&v, -1, 0, &err), ERR_INVALID);
    vocab_free(&v);
    assert_int_equal(vocab_init(&v, VOCAB_MAX + 1, 0, &err), ERR_INVALID);
    vocab_free(&v);
    assert_int_equal(vocab_init(&v, INT32_MAX, 0, &err), ERR_INVALID);
    vocab_free(&v);
    assert_int_equal(vocab_init(&v, 1, SIZE_MAX / 2 + 1, &err), ERR_INVALID);
    assert_contains(err.text, "merges");
    vocab_free(&v);
    assert_int_equal(vocab_init(&v, 1, SIZE_MAX, &err), ERR_INVALID);
    vocab_free(&v);
}

static void ids_and_tokens_are_checked_when_they_are_put(void **state)
{
    const char unterminated[3] = {'a', 'b', 'c'};
    char *large = calloc(VOCAB_TOKEN_MAX + 1, 1);
    struct vocab v;
    struct err err;

    (void)state;
    assert_non_null(large);
    assert_ok(vocab_init(&v, 2, 1, &err), err);
    assert_int_equal(vocab_put(&v, -1, "a", 1, &err), ERR_INVALID);
    assert_int_equal(vocab_put(&v, 2, unterminated, 3, &err), ERR_INVALID);
    assert_contains(err.text, "the token 'abc' has the id 2");
    assert_int_equal(vocab_put(&v, 0, large, VOCAB_TOKEN_MAX + 1, &err), ERR_INVALID);
    assert_contains(err.text, "1048577 bytes");
    assert_ok(vocab_put(&v, 0, large, VOCAB_TOKEN_MAX, &err), err);
    assert_ok(vocab_put(&v, 1, "", 0, &err), err);
    assert_int_equal(vocab_put(&v, 1, unterminated, 3, &err), ERR_INVALID);
    assert_contains(err.text, "'' and 'abc' both have the id 1");
    assert_int_equal(vocab_find(&v, "", 0), 1);
    vocab_free(&v);
    free(large);
}

static void pieces_have_a_largest_size(void **state)
{
    struct token_list list = {0};
    struct merge_scratch s = {0};
    struct vocab v;
    struct err err;

    (void)state;
    assert_ok(vocab_init(&v, 1, 0, &err), err);
    vocab_find_bytes(&v);
    assert_int_equal(bpe_encode_bytes(&v, &s, "a", SIZE_MAX, &list, &err), ERR_INVALID);
    assert_int_equal(bpe_encode_bytes(&v, &s, "a", INT32_MAX, &list, &err), ERR_INVALID);
    assert_contains(err.text, "too long");
    merge_scratch_free(&s);
    vocab_free(&v);
}

static long most_kib(void)
{
    struct rusage use;

    assert_int_equal(getrusage(RUSAGE_SELF, &use), 0);
    return use.ru_maxrss;
}

static int open_changed(json_t *root, struct tokenizer **ret, struct err *err)
{
    char *folder = new_folder(), *path = file_join(folder, "tokenizer.json");
    int rc;

    small_write(folder, root);
    rc = tokenizer_from_json(path, -1, -1, ret, err);
    free(path);
    remove_folder(folder);
    return rc;
}

/* Room is made for every id up to the largest. */
static void one_large_id_takes_no_memory(void **state)
{
    static const json_int_t ids[] = {VOCAB_MAX - 1, VOCAB_MAX, INT32_MAX, 1ll << 32, INT64_MAX};
    struct tokenizer *t = NULL;
    long before = most_kib();
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
        json_t *root = small_json();
        json_object_set_new(json_object_get(json_object_get(root, "model"), "vocab"), "far",
                            json_integer(ids[i]));
        assert_int_equal(open_changed(root, &t, &err), ERR_INVALID);
        assert_contains(err.text, i == 0 ? "the id 16777215, but there are only" : "'far'");
        root = small_json();
        json_array_append_new(json_object_get(root, "added_tokens"),
                              json_pack("{s:I, s:s}", "id", ids[i], "content", "far"));
        assert_int_equal(open_changed(root, &t, &err), ERR_INVALID);
        assert_contains(err.text, i == 0 ? "the id 16777215, but there are only" : "added token 3");
    }
    assert_true(most_kib() - before < 32 << 10);
}

static void added_tokens_may_be_empty(void **state)
{
    static const char text[] = "he\0<|im_end|>\0";
    struct token_list list = {0};
    json_t *root = small_json();
    struct tokenizer *t = NULL;
    struct err err;

    (void)state;
    json_array_append_new(json_object_get(root, "added_tokens"),
                          json_pack("{s:i, s:s}", "id", SMALL_VOCAB, "content", ""));
    assert_ok(open_changed(root, &t, &err), err);
    assert_ok(tokenizer_encode(t, text, sizeof(text), &list, &err), err);
    assert_int_equal(list.n, 5);
    assert_int_equal(list.ids[0], 256);
    assert_int_equal(list.ids[1], 0);
    assert_int_equal(list.ids[2], SMALL_END);
    assert_int_equal(list.ids[3], 0);
    free(list.ids);
    tokenizer_free(t);
}

static void put_long_token(json_t *added, int id, size_t len)
{
    char *content = malloc(len + 1);

    assert_non_null(content);
    memset(content, 'a', len);
    memcpy(content + len - 1, "b", 2);
    json_array_append_new(added, json_pack("{s:i, s:s}", "id", id, "content", content));
    free(content);
}

/* Added tokens that agree with each place of the text for thousands of letters. */
static void added_tokens_take_no_more_than_their_time(void **state)
{
    enum { TOKENS = 64, LEN = 100000, TEXT = 4000000 };
    json_t *root = small_json(), *added = json_object_get(root, "added_tokens");
    struct token_list list = {0};
    struct tokenizer *t = NULL;
    char *text = malloc(TEXT);
    struct err err;

    (void)state;
    assert_non_null(text);
    memset(text, 'a', TEXT);
    for (int i = 0; i < TOKENS; i++)
        put_long_token(added, SMALL_VOCAB + i, LEN + (size_t)i);
    assert_ok(open_changed(root, &t, &err), err);
    assert_int_equal(tokenizer_encode(t, text, TEXT, &list, &err), ERR_UNSUPPORTED);
    assert_contains(err.text, "67 added tokens take too long");
    assert_int_equal(list.n, 0);
    tokenizer_free(t);
    free(list.ids);
    free(text);
}

/* All of them begin with the same letters: a text is not compared with each. */
static void a_hundred_thousand_added_tokens_are_found(void **state)
{
    enum { TOKENS = 100000, TEXT = 1000000 };
    json_t *root = small_json(), *added = json_object_get(root, "added_tokens");
    struct token_list list = {0};
    struct tokenizer *t = NULL;
    char *text = malloc(TEXT);
    struct err err;

    (void)state;
    assert_non_null(text);
    memset(text, 'a', TEXT);
    memcpy(text + TEXT - 8, "aa99999x", 8);
    for (int i = 0; i < TOKENS; i++)
        json_array_append_new(added, json_pack("{s:i, s:o}", "id", SMALL_VOCAB + i, "content",
                                               json_sprintf("aa%05d", i)));
    assert_ok(open_changed(root, &t, &err), err);
    assert_ok(tokenizer_encode(t, text, TEXT, &list, &err), err);
    assert_int_equal(list.ids[list.n - 1], 'x');
    assert_int_equal(list.ids[list.n - 2], SMALL_VOCAB + 99999);
    tokenizer_free(t);
    free(list.ids);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buffers_refuse_more_than_there_can_be),
        cmocka_unit_test(pools_refuse_more_than_there_can_be),
        cmocka_unit_test(vocabularies_have_a_largest_size),
        cmocka_unit_test(ids_and_tokens_are_checked_when_they_are_put),
        cmocka_unit_test(pieces_have_a_largest_size),
        cmocka_unit_test(one_large_id_takes_no_memory),
        cmocka_unit_test(added_tokens_may_be_empty),
        cmocka_unit_test(added_tokens_take_no_more_than_their_time),
        cmocka_unit_test(a_hundred_thousand_added_tokens_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
