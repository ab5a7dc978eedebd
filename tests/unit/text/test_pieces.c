/* tests/unit/text/test_pieces.c - the pair of the highest score is merged first, whatever the signs
 * of the scores, and pieces of the user are never merged. */
#include "tests/unit/support.h"
#include "core/buf.h"
#include "core/text/pieces.h"

static const char *const texts[] = {"a",   "b",  "c",        "ab",    "bc",
                                    "abc", "cc", "\xc3\xa9", "<unk>", "b!"};
enum { TEXTS = sizeof(texts) / sizeof(texts[0]), UNKNOWN = 8, USER = 9 };

/* What "abc" becomes by these scores of ab and bc, "abc" not being a piece. */
static void encodes(float ab, float bc, const char *text, const char *expected)
{
    struct added_token user = {.len = 2, .id = USER};
    struct token_list ids = {0};
    struct merge_scratch s = {0};
    struct pieces p = {0};
    struct watch watch;
    struct buf shown = {0};
    struct vocab v;
    struct err err;

    assert_ok(vocab_init(&v, TEXTS, 0, &err), err);
    for (int i = 0; i < TEXTS; i++)
        assert_ok(vocab_put(&v, i, texts[i], strlen(texts[i]), &err), err);
    assert_ok(pieces_init(&p, &v, &err), err);
    pieces_set_score(&p, &v, 3, ab);
    pieces_set_score(&p, &v, 4, bc);
    pieces_set_score(&p, &v, 6, -0.0f);
    p.unknown = UNKNOWN;
    user.text = v.tokens[USER].text;
    assert_ok(added_tokens_put(&p.user, &user, &err), err);
    pieces_finish(&p, &v);
    watch_start(&watch, strlen(text));
    assert_ok(pieces_encode(&p, &v, &s, text, strlen(text), &ids, &watch, &err), err);
    for (int i = 0; i < ids.n; i++)
        buf_printf(&shown, "%s%s", i ? " " : "", texts[ids.ids[i]]);
    assert_string_equal(shown.data, expected);
    buf_free(&shown);
    free(ids.ids);
    merge_scratch_free(&s);
    pieces_free(&p);
    vocab_free(&v);
}

static void highest_score_is_merged_first(void **state)
{
    (void)state;
    encodes(1, 2, "abc", "a bc");
    encodes(2, 1, "abc", "ab c");
    encodes(-1, -2, "abc", "ab c");
    encodes(-2, -1, "abc", "a bc");
    encodes(0.5f, -1, "abc", "ab c");
    encodes(-1, 0.5f, "abc", "a bc");
    encodes(-1e30f, -2e30f, "abc", "ab c");
}

static void equal_scores_are_merged_from_the_left(void **state)
{
    (void)state;
    encodes(0, 0, "abc", "ab c");
    encodes(-3, -3, "abcabc", "ab c ab c");
    encodes(0, -0.0f, "abccc", "ab cc c"); /* 0 and -0 are equal */
    encodes(-0.0f, 0, "abc", "ab c");
    encodes(0, 0, "cccc", "cc cc");
}

static void unknown_characters_in_a_row_are_one(void **state)
{
    (void)state;
    encodes(0, 0, "axxb", "a <unk> b");
    encodes(0, 0, "x\xe6\x97\xa5xab", "<unk> ab");
    encodes(0, 0, "\xc3\xa9x", "\xc3\xa9 <unk>");
}

static void pieces_of_the_user_come_first_and_stay_alone(void **state)
{
    (void)state;
    encodes(1, 1, "ab!c", "a b! c");
    encodes(1, 1, "b!b!bc", "b! b! bc");
    encodes(1, 1, "xb!x", "<unk> b! <unk>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(highest_score_is_merged_first),
        cmocka_unit_test(equal_scores_are_merged_from_the_left),
        cmocka_unit_test(unknown_characters_in_a_row_are_one),
        cmocka_unit_test(pieces_of_the_user_come_first_and_stay_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
