/* tests/unit/worker/test_stream.c - an answer token by token: nothing is given that a later token
 * could take back. */
#include "tests/unit/small_tokenizer.h"
#include "worker/stream.h"

static struct err err;

/* Gives the text byte by byte, as tokens of one byte, and joins what is taken with bars between. */
static void stream_text(const char *text, const char *const *stops, int n, const char *expected)
{
    struct tokenizer *t = small_tokenizer();
    struct stream s = {.tokenizer = t, .stops = {stops, n}};
    struct buf taken = {0};
    size_t len;

    for (; *text && !s.ended; text++) {
        assert_int_equal(stream_add(&s, (unsigned char)*text, &err), 0); /* the id of a byte */
        const char *piece = stream_take(&s, false, &len);
        buf_append(&taken, piece, len);
        buf_puts(&taken, len ? "|" : "");
    }
    const char *rest = stream_take(&s, true, &len);
    buf_append(&taken, rest, len);
    buf_puts(&taken, "");
    assert_string_equal(taken.data, expected);
    buf_free(&taken);
    stream_free(&s);
    tokenizer_free(t);
}

static void characters_are_given_whole(void **state)
{
    (void)state;
    stream_text("a\xc3\xa9\xe2\x82\xac!", NULL, 0, "a|\xc3\xa9|\xe2\x82\xac|!|");
    stream_text("a\xe2\x82", NULL, 0, "a|\xe2\x82");
    stream_text("", NULL, 0, "");
}

static void stop_text_ends_the_answer(void **state)
{
    static const char *const stops[] = {"abc", "\n\n"};

    (void)state;
    stream_text("xabcy", stops, 2, "x|");
    stream_text("xababcy", stops, 2, "x|ab|");
    stream_text("xabdab", stops, 2, "x|abd|ab");
    stream_text("x\ny\n\nz", stops, 2, "x|\ny|");
    stream_text("abc", stops, 2, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_are_given_whole),
        cmocka_unit_test(stop_text_ends_the_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
