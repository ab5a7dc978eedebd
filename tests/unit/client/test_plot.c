/* tests/unit/client/test_plot.c - client/plot.h: what is drawn, and that it fits. */
#include "client/plot.h"
#include <locale.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "client/words.h"

static void draw(const struct plot *p, struct buf *out)
{
    plot_draw(p, out);
    assert_false(out->failed);
}

static void a_falling_line_falls(void **state)
{
    const double y[] = {4, 3, 2, 1};
    const struct plot p = {.y = y, .n = 4, .columns = 31, .rows = 4};
    struct buf out = {0};

    (void)state;
    draw(&p, &out);
    assert_string_equal(out.data, "        4 +*****               \n"
                                  "          |     *****          \n"
                                  "          |          *****     \n"
                                  "        1 +               *****\n");
    buf_free(&out);
}

/* A peak of one value among thousands is drawn, and a jump has no gap. */
static void no_peak_is_lost(void **state)
{
    double y[5000];
    struct plot p = {.y = y, .n = 5000, .mark = 4000, .columns = 50, .rows = 8};
    struct buf out = {0};
    const char *line;
    int i;

    (void)state;
    for (i = 0; i < 5000; i++)
        y[i] = i == 1234 ? 9 : 1;
    draw(&p, &out);
    for (line = out.data, i = 0; i < 8; i++, line = strchr(line, '\n') + 1)
        assert_non_null(memchr(line + 11, '*', 39));
    assert_ptr_equal(memchr(out.data, ':', 60), out.data + 11 + 4000 * 39 / 5000);
    buf_free(&out);
}

static void lines_fit_in_both_alphabets(void **state)
{
    double y[300];
    struct plot p = {.y = y, .mark = 100};
    int i, lines;

    (void)state;
    for (i = 0; i < 300; i++)
        y[i] = i % 7 == 3 ? NAN : sin(i * 0.1) * exp(-i * 0.01) * 1e-5;
    for (p.n = 1; p.n < 300; p.n += 13)
        for (p.columns = PLOT_COLUMNS_LEAST; p.columns < 200; p.columns += 17)
            for (p.rows = 2; p.rows < 20; p.rows += 5)
                for (i = 0; i < 2; i++) {
                    struct buf out = {0};
                    char *line, *end;
                    p.utf8 = i;
                    draw(&p, &out);
                    lines = 0;
                    for (line = out.data; (end = strchr(line, '\n')); line = end + 1, lines++) {
                        *end = '\0';
                        assert_int_equal(words_columns(line), p.columns);
                    }
                    assert_int_equal(lines, p.rows);
                    buf_free(&out);
                }
}

static void nothing_is_drawn_of_nothing(void **state)
{
    const double none[] = {NAN, INFINITY};
    struct plot p = {.y = none, .n = 2, .columns = 80, .rows = 8};
    struct buf out = {0};

    (void)state;
    draw(&p, &out);
    p.n = 0;
    draw(&p, &out);
    p.columns = PLOT_COLUMNS_LEAST - 1;
    draw(&p, &out);
    assert_int_equal(out.len, 0);
}

static void braille_has_eight_dots_a_character(void **state)
{
    const double y[] = {1, 1, 0, 0};
    const struct plot p = {.y = y, .n = 4, .columns = 31, .rows = 2, .utf8 = true};
    struct buf out = {0};

    (void)state;
    draw(&p, &out);
    assert_memory_equal(out.data, "        1 ┤⠉⠉⠉⠉⠉", 10 + 3 + 5 * 3);
    assert_non_null(strstr(out.data, "⣀⣀⣀⣀⣀\n"));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_falling_line_falls),
        cmocka_unit_test(no_peak_is_lost),
        cmocka_unit_test(lines_fit_in_both_alphabets),
        cmocka_unit_test(nothing_is_drawn_of_nothing),
        cmocka_unit_test(braille_has_eight_dots_a_character),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
