/* tests/unit/core/test_json_parse.c - numbers that jansson cannot hold do not spoil what is around
 * them, and are never taken for another value. */
#include "tests/unit/support.h"
#include "core/json_file.h"
#include "core/json_parse.h"
#include <math.h>

static json_t *parse(const char *text)
{
    json_error_t why;
    json_t *root = json_parse(text, strlen(text), 0, &why);

    if (!root)
        fail_msg("%s: line %d: %s", text, why.line, why.text);
    return root;
}

static void integers_of_64_bits_stay_exact(void **state)
{
    json_t *root = parse("[9223372036854775807, -9223372036854775808, 9007199254740993, -1]");

    (void)state;
    assert_true(json_integer_value(json_array_get(root, 0)) == INT64_MAX);
    assert_true(json_integer_value(json_array_get(root, 1)) == INT64_MIN);
    assert_true(json_integer_value(json_array_get(root, 2)) == 9007199254740993);
    assert_int_equal(json_integer_value(json_array_get(root, 3)), -1);
    json_decref(root);
}

static void is_large(const json_t *value, const char *digits)
{
    assert_false(json_is_number(value) || json_is_string(value) || json_is_object(value));
    assert_string_equal(json_parse_large_integer(value), digits);
    assert_null(json_parse_not_finite(value));
}

static void larger_integers_keep_their_digits(void **state)
{
    json_t *root =
        parse("{\"a\": 1000000000000000019884624838656, \"b\": -9223372036854775809,"
              "\"c\":[9223372036854775808], \"d\": \"1000000000000000019884624838656\"}");

    (void)state;
    is_large(json_object_get(root, "a"), "1000000000000000019884624838656");
    is_large(json_object_get(root, "b"), "-9223372036854775809");
    is_large(json_array_get(json_object_get(root, "c"), 0), "9223372036854775808");
    assert_string_equal(json_string_value(json_object_get(root, "d")),
                        "1000000000000000019884624838656");
    json_decref(root);
}

static void numbers_that_are_not_finite_are_no_numbers(void **state)
{
    static const char *const written[] = {"NaN", "Infinity", "-Infinity", "1e999", "-1.5E+400"};
    char text[200];

    (void)state;
    for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++) {
        json_t *root, *value;
        snprintf(text, sizeof(text), "{\"x\":%s,\"y\":[1.5 ,\n%s],\"z\": 7}", written[i],
                 written[i]);
        root = parse(text);
        value = json_object_get(root, "x");
        assert_string_equal(json_parse_not_finite(value), written[i]);
        assert_false(json_is_number(value) || json_is_string(value) || json_is_object(value));
        value = json_array_get(json_object_get(root, "y"), 1);
        assert_string_equal(json_parse_not_finite(value), written[i]);
        assert_int_equal(json_integer_value(json_object_get(root, "z")), 7);
        assert_null(json_parse_not_finite(json_object_get(root, "z")));
        assert_null(json_parse_not_finite(root));
        json_decref(root);
    }
}

static void whole_numbers_of_any_length_are_read(void **state)
{
    char text[5000];
    json_t *root;

    (void)state;
    memset(text, '7', sizeof(text));
    text[0] = '[';
    memcpy(text + 300, ",1]", 4);
    root = parse(text);
    assert_int_equal(strlen(json_parse_large_integer(json_array_get(root, 0))), 299);
    json_decref(root);
    memset(text + 300, '7', 4000);
    memcpy(text + 4300, ",1]", 4);
    root = parse(text);
    assert_int_equal(strlen(json_parse_large_integer(json_array_get(root, 0))), 4299);
    assert_int_equal(json_integer_value(json_array_get(root, 1)), 1);
    json_decref(root);
}

static void texts_are_left_as_they_are(void **state)
{
    json_t *root =
        parse("{\"NaN\": \"\\\\\\\" NaN, 1e999, \\\"\", \"x\": NaN, \"y\": \"-Infinity\"}");

    (void)state;
    assert_string_equal(json_string_value(json_object_get(root, "NaN")), "\\\" NaN, 1e999, \"");
    assert_string_equal(json_string_value(json_object_get(root, "y")), "-Infinity");
    json_decref(root);
}

static void what_is_no_json_is_refused_with_its_line(void **state)
{
    static const char *const texts[] = {"[\n1e999,\nNaNa]",
                                        "[\nNaN,\n-Infinit]",
                                        "{\n\"a\": NaN,\nInfinity: 1}",
                                        "[\n1e999\n 1e]",
                                        "[\nNaN,\n1e999.5]",
                                        "[\nNaN,\n00000000000000000000000000000000000000001]"};
    json_error_t why;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (json_parse(texts[i], strlen(texts[i]), 0, &why))
            fail_msg("%s: is accepted", texts[i]);
        assert_int_equal(why.line, 3);
        assert_false(json_file_out_of_memory(&why));
    }
    for (size_t n = 0; n < strlen(texts[0]); n++)
        assert_null(json_parse(texts[0], n, 0, &why));
}

/* jansson's own words on the same bytes: a text that it accepts must have the same value, and one
 * that it refuses no value but where a number is too large for it. */
static void agrees_with_jansson(const char *text, size_t len, size_t flags)
{
    json_error_t why;
    json_t *expected = json_loadb(text, len, flags, NULL),
           *got = json_parse(text, len, flags, &why);
    char *a, *b;

    if (expected) {
        assert_non_null(got);
        a = json_dumps(expected, JSON_ENCODE_ANY);
        b = json_dumps(got, JSON_ENCODE_ANY);
        assert_string_equal(a, b);
        assert_true(json_equal(expected, got));
        free(a);
        free(b);
    } else if (got && !strpbrk(text, "NIe0123456789")) {
        fail_msg("'%s' is accepted", text);
    }
    json_decref(expected);
    json_decref(got);
}

static const char *const documents[] = {
    "{}",
    "[]",
    " [ ] ",
    "{\"a\":\"b\"}",
    "{\"a\" : [1, -2, 0, -0, 1.5, -0.25, 123456789012345678, 1e3, 1E-2, 12345678901234567890]}\n",
    "[\"\", \"abcdefghijklmnop\", \"abcdefg\\\"\", \"abcdefgh\\\\\", \"\\/\\b\\f\\n\\r\\t\"]",
    "[\"\\u0041\\u00e9\\u20ac\\ud83d\\ude42\\uD83D\\uDE42\"]",
    "[\"caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x99\x82\"]",
    "[true, false, null, [[[{\"x\": []}]]], {\"k\": {\"k\": 1, \"k\": 2}}]",
    "[\"\\u0000\", \"a\\u0000b\"]",
    "{\"\\u0000\": 1}",
    "[\"\\ud83d\"]",
    "[\"\\ude42\"]",
    "[\"\\ud83d\\u0041\"]",
    "[01]",
    "[1.]",
    "[.5]",
    "[+1]",
    "[1,]",
    "[1 2]",
    "{\"a\":1,}",
    "{\"a\" 1}",
    "[\"a\nb\"]",
    "[\"\x80\"]",
    "[\"\xed\xa0\x80\"]",
    "[\"\xc0\x80\"]",
    "[1] x",
    "[1]]",
    "\"text\"",
    "17",
    "nul",
    "[nul]",
    "[truefalse]",
    "[\"abc",
    "{\"abc\": \"\\",
    "[1234567890123456789012345678901234567890123, 0.1234567890123456789012345, 1234567890.5]",
};

static void plain_texts_are_what_jansson_reads(void **state)
{
    uint64_t random = 5;

    (void)state;
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        size_t len = strlen(documents[i]);
        for (size_t cut = 0; cut <= len; cut++) {
            char *exact = strndup(documents[i], cut); /* so that a sanitizer sees the end */
            agrees_with_jansson(exact, cut, JSON_ALLOW_NUL);
            agrees_with_jansson(exact, cut, 0);
            free(exact);
        }
        for (int k = 0; k < 3000; k++) {
            char *damaged = damaged_copy(documents[i], len + 1, len, &random);
            if (strlen(damaged) == len)
                agrees_with_jansson(damaged, len, k % 2 ? JSON_ALLOW_NUL : 0);
            free(damaged);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_texts_are_what_jansson_reads),
        cmocka_unit_test(integers_of_64_bits_stay_exact),
        cmocka_unit_test(larger_integers_keep_their_digits),
        cmocka_unit_test(numbers_that_are_not_finite_are_no_numbers),
        cmocka_unit_test(whole_numbers_of_any_length_are_read),
        cmocka_unit_test(texts_are_left_as_they_are),
        cmocka_unit_test(what_is_no_json_is_refused_with_its_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
