/* tests/unit/test_pretokenizer.c - where text is cut before BPE. The expected cuts are those of
 * HF's tokenizers. */
#include "tests/unit/support.h"
#include "core/buf.h"
#include "core/pretokenizer.h"

static int collect(void *context, const char *piece, size_t len, struct err *err)
{
    struct buf *b = context;

    (void)err;
    assert_true(len > 0);
    buf_puts(b, b->len ? "|" : "");
    buf_append(b, piece, len);
    return 0;
}

static void cut_as(const struct pretokenizer *p, const char *text, const char *expected)
{
    struct pretokenizer_scratch *s;
    struct buf b = {0};
    struct err err;

    assert_ok(pretokenizer_scratch_new(p, &s, &err), err);
    assert_ok(pretokenizer_split(p, s, text, strlen(text), collect, &b, &err), err);
    assert_string_equal(b.data ? b.data : "", expected);
    buf_free(&b);
    pretokenizer_scratch_free(s);
}

static void add(struct pretokenizer *p, const char *pattern, enum split_behaviour behaviour)
{
    struct err err;

    assert_ok(pretokenizer_add(p, pattern, false, behaviour, false, &err), err);
}

static void gpt2_pattern_cuts_words_numbers_and_blanks(void **state)
{
    struct pretokenizer p = {0};

    (void)state;
    add(&p, pretokenizer_gpt2, SPLIT_ISOLATED);
    cut_as(&p, "Hello world", "Hello| world");
    cut_as(&p, "a  b", "a| | b");
    cut_as(&p, "we've I'll 'tis", "we|'ve| I|'ll| '|tis");
    cut_as(&p, "x=12345!", "x|=|12345|!");
    cut_as(&p, "end  \n", "end|  \n");
    cut_as(&p, "na\xc3\xafve", "na\xc3\xafve");
    cut_as(&p, "\xe2\x85\xa7\xc2\xb2", "\xe2\x85\xa7\xc2\xb2");
    cut_as(&p, "", "");
    pretokenizer_free(&p);
}

static void digits_alone_come_before_words(void **state)
{
    struct pretokenizer p = {0};

    (void)state;
    add(&p, "\\p{N}", SPLIT_ISOLATED);
    add(&p, pretokenizer_gpt2, SPLIT_ISOLATED);
    cut_as(&p, "in 1984, 3.5", "in| |1|9|8|4|,| |3|.|5");
    pretokenizer_free(&p);
}

static void white_space_is_unicodes_not_pcres(void **state)
{
    struct pretokenizer p = {0};

    (void)state;
    add(&p, pretokenizer_gpt2, SPLIT_ISOLATED);
    /* U+0085 and U+00A0 are white space, U+180E and U+200B are not */
    cut_as(&p,
           "a\xc2\x85\xc2\xa0"
           "b",
           "a|\xc2\x85|\xc2\xa0|b");
    cut_as(&p, "a\xe1\xa0\x8e!", "a|\xe1\xa0\x8e!");
    cut_as(&p, "a\xe2\x80\x8b!", "a|\xe2\x80\x8b!");
    pretokenizer_free(&p);
}

static void removed_literal_and_inverted_patterns_work(void **state)
{
    struct pretokenizer removed = {0}, literal = {0}, inverted = {0};
    struct err err;

    (void)state;
    add(&removed, " ", SPLIT_REMOVED);
    cut_as(&removed, " a b  c", "a|b|c");
    assert_ok(pretokenizer_add(&literal, "a.", true, SPLIT_ISOLATED, false, &err), err);
    cut_as(&literal, "aba.ab", "ab|a.|ab");
    assert_ok(pretokenizer_add(&inverted, "[a-c]+", false, SPLIT_REMOVED, true, &err), err);
    cut_as(&inverted, "abxxcay", "ab|ca");
    pretokenizer_free(&removed);
    pretokenizer_free(&literal);
    pretokenizer_free(&inverted);
}

static void blank_is_put_before_pieces_that_lack_one(void **state)
{
    struct pretokenizer p = {0};
    struct err err;

    (void)state;
    assert_ok(pretokenizer_add_blank(&p, &err), err);
    add(&p, pretokenizer_gpt2, SPLIT_ISOLATED);
    cut_as(&p, "ab cd", " ab| cd");
    cut_as(&p, " ab", " ab");
    pretokenizer_free(&p);
}

static void patterns_that_pcre_reads_otherwise_are_refused(void **state)
{
    static const char *const patterns[] = {
        "[a-z&&[^b]]", "[a[bc]]", "\\h", "[\\S]", "a{1,2}+", "(", "a\\", "\\C",
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        struct pretokenizer p = {0};
        assert_int_equal(pretokenizer_add(&p, patterns[i], false, SPLIT_ISOLATED, false, &err),
                         ERR_UNSUPPORTED);
        assert_contains(err.text, patterns[i]);
        pretokenizer_free(&p);
    }
}

static int refuse_second(void *context, const char *piece, size_t len, struct err *err)
{
    int *n = context;

    (void)piece;
    (void)len;
    return ++*n == 2 ? err_set(err, ERR_STATE, "no more") : 0;
}

static void refusal_by_the_caller_stops_the_cutting(void **state)
{
    struct pretokenizer p = {0};
    struct pretokenizer_scratch *s;
    struct err err;
    int n = 0;

    (void)state;
    add(&p, pretokenizer_gpt2, SPLIT_ISOLATED);
    assert_ok(pretokenizer_scratch_new(&p, &s, &err), err);
    assert_int_equal(pretokenizer_split(&p, s, "a b c d", 7, refuse_second, &n, &err), ERR_STATE);
    assert_int_equal(n, 2);
    pretokenizer_scratch_free(s);
    pretokenizer_free(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt2_pattern_cuts_words_numbers_and_blanks),
        cmocka_unit_test(digits_alone_come_before_words),
        cmocka_unit_test(white_space_is_unicodes_not_pcres),
        cmocka_unit_test(removed_literal_and_inverted_patterns_work),
        cmocka_unit_test(blank_is_put_before_pieces_that_lack_one),
        cmocka_unit_test(patterns_that_pcre_reads_otherwise_are_refused),
        cmocka_unit_test(refusal_by_the_caller_stops_the_cutting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
