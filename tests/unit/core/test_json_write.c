/* tests/unit/core/test_json_write.c - what is written is what jansson reads, and numbers have no
 * more digits than they need. */
#include "tests/unit/support.h"
#include "core/json_write.h"
#include <jansson.h>

static json_t *parsed(struct json_writer *w)
{
    json_error_t why;
    json_t *root = json_loadb(w->out->data, w->out->len, JSON_ALLOW_NUL, &why);

    if (!root)
        fail_msg("%s: %s", why.text, w->out->data);
    return root;
}

static void values_come_back(void **state)
{
    static const char odd[] = "a\"\\\n\t\x1f\x7f\0\xc3\xa9/";
    struct buf out = {0};
    struct json_writer w = {.out = &out};
    const json_t *list, *text;
    json_t *root;

    (void)state;
    json_write_begin(&w, '{');
    json_put_int(&w, "n", -5);
    json_put_bool(&w, "yes", true);
    json_put_null(&w, "none");
    json_put_begin(&w, "list", '[');
    json_write_text(&w, odd, sizeof(odd) - 1);
    json_write_begin(&w, '[');
    json_write_end(&w, ']');
    json_write_int(&w, 7);
    json_write_end(&w, ']');
    json_write_key(&w, odd, 5);
    json_write_begin(&w, '{');
    json_write_end(&w, '}');
    json_write_end(&w, '}');
    root = parsed(&w);
    list = json_object_get(root, "list");
    text = json_array_get(list, 0);
    assert_int_equal(json_integer_value(json_object_get(root, "n")), -5);
    assert_true(json_is_true(json_object_get(root, "yes")));
    assert_true(json_is_null(json_object_get(root, "none")));
    assert_int_equal(json_string_length(text), sizeof(odd) - 1);
    assert_memory_equal(json_string_value(text), odd, sizeof(odd));
    assert_int_equal(json_array_size(list), 3);
    assert_true(json_is_object(json_object_get(root, "a\"\\\n\t")));
    json_decref(root);
    buf_free(&out);
}

static void is_written(double value, bool f32, const char *text)
{
    struct buf out = {0};
    struct json_writer w = {.out = &out};

    if (f32)
        json_write_f32(&w, value);
    else
        json_write_number(&w, value);
    assert_string_equal(out.data, text);
    buf_free(&out);
}

static void numbers_have_the_digits_that_they_need(void **state)
{
    (void)state;
    is_written(0.1, false, "0.1");
    is_written((double)0.1f, false, "0.10000000149011612");
    is_written((double)0.1f, true, "0.1");
    is_written((double)9.99999975e-06f, true, "1e-05");
    is_written((double)(1.0f / 3), true, "0.33333334");
    is_written(500000, false, "500000.0");
    is_written(0, false, "0.0");
    is_written(-2, true, "-2.0");
    is_written(1e300, false, "1e+300");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_come_back),
        cmocka_unit_test(numbers_have_the_digits_that_they_need),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
