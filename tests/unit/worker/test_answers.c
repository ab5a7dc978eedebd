/* tests/unit/worker/test_answers.c - what re.findall() of Python finds first in generated texts. */
#include "tests/unit/support.h"
#include "worker/answers.h"

static const struct {
    const char *text, *label, *found;
} texts[] = {
    {"the correct answer is true", "true", "true"},
    {"false, not true", "true", "false"},
    {"True", "true", ""},
    {"untrue", "false", "true"},
    {"", "false", ""},
    {"the correct answer is solution2", "solution1", "solution2"},
    {"solution3 or solution1", "solution1", "solution1"},
    {"answer5 answer1", "answer2", "answer5"},
    {"answer12", "answer1", "answer1"},
    {"ending5ending4", "ending4", "ending4"},
    {"option2 option1", "option1", "option2"},
};

static void first_word_of_the_kind_is_found(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        assert_string_equal(answer_extract(texts[i].text, texts[i].label), texts[i].found);
    assert_null(answer_extract("true", "yes"));
    assert_null(answer_extract("true", "answer6"));
}

static void blanks_at_the_ends_do_not_count(void **state)
{
    (void)state;
    assert_true(answer_matches(" a b\n", "a b"));
    assert_true(answer_matches("", "\n"));
    assert_false(answer_matches("a  b", "a b"));
    assert_false(answer_matches("a", "ab"));
    assert_false(answer_matches("A", "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_word_of_the_kind_is_found),
        cmocka_unit_test(blanks_at_the_ends_do_not_count),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
