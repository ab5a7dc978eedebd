/* tests/unit/tensor/test_safetensors.c - headers of safetensors files: strict JSON, read in
 * proportion. */
#include "tests/unit/image.h"
#include <sys/resource.h>

#define ENTRY "{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}"

static void headers_are_read_as_json_strictly(void **state)
{
    static const struct {
        const char *header, *words;
    } cases[] = {
        {"{} x", "something follows"},
        {"{}}", "something follows"},
        {"{\"a\" " ENTRY "}", "a colon is missing"},
        {"{\"a\":" ENTRY ",}", "nothing follows a comma"},
        {"{\"a\":" ENTRY " \"b\":" ENTRY "}", "a comma"},
        {"{a:" ENTRY "}", "a string is missing"},
        {"{\"a\\x\":" ENTRY "}", "an unknown escape"},
        {"{\"a\\u12g4\":" ENTRY "}", "impossible \\u escape"},
        {"{\"a\\u0000\":" ENTRY "}", "impossible \\u escape"},
        {"{\"a\\ud800\":" ENTRY "}", "impossible \\u escape"},
        {"{\"a\\ud800\\u0041\":" ENTRY "}", "impossible \\u escape"},
        {"{\"a\\udc00\":" ENTRY "}", "impossible \\u escape"},
        {"{\"a\\", "has no end"},
        {"{\"a", "has no end"},
        {"{\"\xff\":" ENTRY "}", "not UTF-8"},
        {"{\"\xed\xa0\x80\":" ENTRY "}", "not UTF-8"},
        {"{\"\xc3\":" ENTRY "}", "not UTF-8"},
        {"{\"a\nb\":" ENTRY "}", "a control character"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[01],\"data_offsets\":[0,4]}}", "not JSON"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.],\"data_offsets\":[0,4]}}", "behind its point"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1e],\"data_offsets\":[0,4]}}", "its exponent"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-],\"data_offsets\":[0,4]}}", "a value is missing"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", "a dimension"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[9223372036854775808],\"data_offsets\":[0,4]}}",
         "a dimension"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1],\"data_offsets\":[0,4]}}",
         "5 dimensions"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":\"1\",\"data_offsets\":[0,4]}}", "no shape"},
        {"{\"a\":{\"dtype\":4,\"shape\":[],\"data_offsets\":[0,4]}}", "no dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4,4]}}", "no data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4.0]}}", "no data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,18446744073709551620]}}",
         "no data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"shape\":[],\"data_offsets\":[0,4]}}",
         "a duplicate key, or too many: 'shape'"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"shap\\u0065\":[],\"data_offsets\":[0,4]}}",
         "a duplicate key, or too many: 'shap\\u0065'"},
        {"{\"a\":{\"x\":1,\"x\":2,\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}",
         "a duplicate key, or too many: 'x'"},
        {"{\"a\":{\"1\":1,\"2\":1,\"3\":1,\"4\":1,\"5\":1,\"6\":1,\"7\":1,\"8\":1,\"9\":1}}",
         "too many: '9'"},
        {"{\"a\":" ENTRY ",\"\\u0061\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[4,4]}}",
         "a duplicate"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", "__metadata__ is a duplicate"},
        {"{\"__metadata__\":{\"a\":\"1\",\"\\u0061\":\"2\"},\"w\":" ENTRY "}",
         "the key 'a' appears twice"},
        {"{\"__metadata__\":[]}", "not an object"},
        {"{\"__metadata__\":{\"a\":\"1}", "not JSON"},
    };
    struct buf b = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        header_only(&b, cases[i].header, 4);
        refused(&b, strstr(cases[i].words, "5 dim") ? ERR_UNSUPPORTED : ERR_INVALID,
                cases[i].words);
    }
    buf_free(&b);
}

static void headers_may_say_more_than_is_needed(void **state)
{
    static const char header[] =
        " {\"__metadata__\" : {\"\\u00e9\\/\":\"\\ud83d\\ude00\\n\"},\r\n\t\"\\\"q\\\\\" : "
        "{\"more\":"
        "[1, -2.5e+3, {\"a\":[true,false,null]}, []], \"shape\" :[ 1 , 1 ],\"dtype\":\"F32\" ,"
        "\"\":{},\"data_offsets\":[0 ,4 ]} }  ";
    struct tensorfile *f;
    struct buf b = {0};
    struct err err;

    (void)state;
    header_only(&b, header + 1, 4);
    assert_ok(tensorfile_from_memory(b.data, b.len, "made", &f, &err), err);
    assert_int_equal(tensorfile_count(f), 1);
    assert_string_equal(tensorfile_at(f, 0)->name, "\"q\\");
    assert_int_equal(tensorfile_at(f, 0)->n_dims, 2);
    assert_string_equal(tensorfile_metadata(f, "\xc3\xa9/"), "\xf0\x9f\x98\x80\n");
    tensorfile_close(f);
    buf_free(&b);
}

/* The end of a sentence says what is wrong, and must not be pushed out by a name. */
static void long_names_leave_room_for_the_rest(void **state)
{
    struct buf b = {0}, header = {0};
    struct tensorfile *f = NULL;
    float out[1];
    struct err err;

    (void)state;
    buf_printf(&header, "{\"%05000d\":{\"dtype\":\"%05000d\",\"shape\":[],\"data_offsets\":[0,4]}}",
               0, 0);
    header_only(&b, header.data, 4);
    assert_ok(tensorfile_from_memory(b.data, b.len, "made", &f, &err), err);
    assert_int_equal(tensor_read_f32(tensorfile_at(f, 0), 0, 1, out, &err), ERR_UNSUPPORTED);
    assert_contains(err.text, "which this program does not read");
    tensorfile_close(f);
    buf_free(&header);
    buf_free(&b);
}

static void deep_headers_are_refused(void **state)
{
    enum { DEPTH = 1000000 };
    struct buf b = {0}, header = {0};

    (void)state;
    buf_puts(&header, "{\"a\":{\"x\":");
    memset(buf_grow(&header, DEPTH), '[', DEPTH);
    header_only(&b, header.data, 4);
    refused(&b, ERR_INVALID, "nested too deeply");
    buf_free(&header);
    buf_free(&b);
}

/* The most entries that a header of its size can have, and one that only looks like many. */
static void large_headers_take_memory_in_proportion(void **state)
{
    enum { ENTRIES = 400000 };
    struct buf b = {0}, header = {0};
    struct rusage before, after;
    struct tensorfile *f = NULL;
    struct err err;

    (void)state;
    buf_puts(&header, "{");
    for (int i = 0; i < ENTRIES; i++)
        buf_printf(&header, "%s\"%x\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                   i ? "," : "", i);
    buf_puts(&header, "}");
    header_only(&b, header.data, 0);
    getrusage(RUSAGE_SELF, &before);
    assert_ok(tensorfile_from_memory(b.data, b.len, "made", &f, &err), err);
    getrusage(RUSAGE_SELF, &after);
    assert_int_equal(tensorfile_count(f), ENTRIES);
    assert_true((size_t)(after.ru_maxrss - before.ru_maxrss) * 1024 < 3 * header.len);
    assert_true(after.ru_utime.tv_sec - before.ru_utime.tv_sec < 10);
    tensorfile_close(f);
    header.len = 0;
    buf_puts(&header, "{\"");
    memset(buf_grow(&header, 20 << 20), '{', 20 << 20);
    buf_puts(&header, "\":7}");
    header_only(&b, header.data, 0);
    refused(&b, ERR_INVALID, "no dtype");
    getrusage(RUSAGE_SELF, &after);
    assert_true((size_t)(after.ru_maxrss - before.ru_maxrss) * 1024 < 5 * header.len);
    buf_free(&header);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_are_read_as_json_strictly),
        cmocka_unit_test(headers_may_say_more_than_is_needed),
        cmocka_unit_test(long_names_leave_room_for_the_rest),
        cmocka_unit_test(deep_headers_are_refused),
        cmocka_unit_test(large_headers_take_memory_in_proportion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
