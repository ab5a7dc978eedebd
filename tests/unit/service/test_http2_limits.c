/* tests/unit/service/test_http2_limits.c - what an HTTP/2 client may send, frame by frame. */
#include "daemon/service/http2_limits.h"
#include "tests/unit/support.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING = 6, WINDOW_UPDATE = 8, CONTINUATION };

static size_t frame(unsigned char *at, int type, size_t len)
{
    memset(at, 0, 9 + len);
    at[0] = (unsigned char)(len >> 16);
    at[1] = (unsigned char)(len >> 8);
    at[2] = (unsigned char)len;
    at[3] = (unsigned char)type;
    return 9 + len;
}

/* How many frames of a kind pass, of at most `most`, a millisecond apart. */
static int passed(struct http2_limits *l, int type, size_t len, int most, uint64_t *now)
{
    unsigned char bytes[70000];
    size_t size = frame(bytes, type, len);
    int n = 0;

    while (n < most && http2_limits_allow(l, bytes, size, ++*now))
        n++;
    return n;
}

static struct http2_limits begun(void)
{
    struct http2_limits l = {0};

    assert_true(http2_limits_allow(&l, preface, 24, 1));
    return l;
}

static void strangers_may_send_few_frames_of_each_kind_and_little_in_all(void **state)
{
    static const struct {
        int type;
        size_t len;
        int least, most;
    } cases[] = {{HEADERS, 50, 1, 8},   {RST_STREAM, 4, 1, 8},      {PING, 8, 1, 8},
                 {SETTINGS, 6, 3, 100}, {WINDOW_UPDATE, 4, 3, 100}, {CONTINUATION, 10, 1, 100},
                 {DATA, 0, 1, 100},     {DATA, 1, 1, 100},          {DATA, 16000, 0, 1},
                 {PRIORITY, 5, 1, 100}};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct http2_limits l = begun();
        uint64_t now = 1;
        assert_in_range(passed(&l, cases[i].type, cases[i].len, 5000, &now), cases[i].least,
                        cases[i].most);
    }
}

static void whoever_is_known_may_report_for_as_long_as_it_likes(void **state)
{
    struct http2_limits l = begun();
    uint64_t now = 1;

    (void)state;
    http2_limits_prove(&l);
    assert_int_equal(passed(&l, DATA, 60, 100000, &now), 100000);
    assert_in_range(passed(&l, PING, 8, 1000, &now), 40, 60);
    now += 3600000;
    assert_in_range(passed(&l, PING, 8, 1000, &now), 40, 60); /* forgiven */
}

static void a_program_may_send_a_first_window_and_is_forgiven_with_time(void **state)
{
    struct http2_limits l = begun();
    uint64_t now = 1;

    (void)state;
    l.sender = HTTP2_PROGRAM;
    assert_int_equal(passed(&l, DATA, 16000, 4, &now), 4); /* before its token is looked at */
    assert_in_range(passed(&l, PING, 8, 1000, &now), 15, 25);
    now += 5000;
    assert_in_range(passed(&l, PING, 8, 1000, &now), 4, 7);
    assert_in_range(passed(&l, DATA, 16000, 1000, &now), 0, 4); /* in all */
}

static void frames_are_counted_however_the_bytes_come(void **state)
{
    unsigned char bytes[9 * 20];
    struct http2_limits l = {0};
    size_t i, size = 0;

    (void)state;
    for (i = 0; i < 24; i++)
        assert_true(http2_limits_allow(&l, preface + i, 1, 1));
    for (i = 0; i < 20; i++)
        size += frame(bytes + size, RST_STREAM, 0);
    for (i = 0; i < size && http2_limits_allow(&l, bytes + i, 1, 1); i++)
        ;
    assert_int_equal(i, 9 * 9 - 1); /* the ninth is one too many */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strangers_may_send_few_frames_of_each_kind_and_little_in_all),
        cmocka_unit_test(whoever_is_known_may_report_for_as_long_as_it_likes),
        cmocka_unit_test(a_program_may_send_a_first_window_and_is_forgiven_with_time),
        cmocka_unit_test(frames_are_counted_however_the_bytes_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
