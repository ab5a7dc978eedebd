/* tests/unit/client/test_progress.c - client/progress.h and words.h: what the line says, and that
 * it fits.
 */
#include "client/progress.h"
#include "client/words.h"
#include "core/duration.h"
#include <locale.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

struct world {
    Dash__V1__Job job;
    Dash__V1__Step step;
};

static void make_world(struct world *w)
{
    dash__v1__job__init(&w->job);
    dash__v1__step__init(&w->step);
    w->job.name = (char *)"arc-easy";
    w->job.state = DASH__V1__JOB_STATE__RUNNING;
    w->job.phase = DASH__V1__PHASE__DASH;
    w->job.steps_done = 120;
    w->job.steps_total = 300;
    w->job.last_step = &w->step;
    w->step.loss = 1.23456;
    w->job.tokens_per_second = 466.4;
    w->job.eta_seconds = 200;
}

static void a_wide_line_says_everything(void **state)
{
    struct world w;
    char line[1024];

    (void)state;
    make_world(&w);
    progress_line(&w.job, 80, false, 0, line, sizeof(line));
    assert_string_equal(
        line, "arc-easy [########.............] 120/300 dash loss 1.2346 466 tokens/s ETA 3m20s");
    progress_line(&w.job, 80, false, 80.4, line, sizeof(line));
    assert_non_null(strstr(line, "ETA 2m00s"));
}

static void the_line_fits_every_width(void **state)
{
    static const char *const names[] = {"a", "a-name-that-is-longer-than-any-name-should-be",
                                        "日本語の名前はとても長い", "naïve"};
    struct world w;
    char line[1024];
    size_t i;
    int columns, utf8;

    (void)state;
    make_world(&w);
    for (i = 0; i < 4; i++)
        for (columns = 1; columns < 300; columns++)
            for (utf8 = 0; utf8 < 2; utf8++) {
                w.job.name = (char *)names[i];
                progress_line(&w.job, columns, utf8, 0, line, sizeof(line));
                assert_true(words_columns(line) <= columns);
            }
}

static void what_matters_least_goes_first(void **state)
{
    struct world w;
    char line[1024];

    (void)state;
    make_world(&w);
    progress_line(&w.job, 36, false, 0, line, sizeof(line));
    assert_string_equal(line, "120/300 loss 1.2346 ETA 3m20s");
    progress_line(&w.job, 12, false, 0, line, sizeof(line));
    assert_string_equal(line, "120/300");
}

static void a_job_that_waits_says_where(void **state)
{
    struct world w;
    char line[1024];

    (void)state;
    make_world(&w);
    w.job.state = DASH__V1__JOB_STATE__QUEUED;
    w.job.queue_position = 3;
    w.job.last_step = NULL;
    w.job.tokens_per_second = w.job.eta_seconds = 0;
    w.job.steps_done = 0;
    progress_line(&w.job, 60, false, 0, line, sizeof(line));
    assert_non_null(strstr(line, "QUEUED (number 3)"));
    assert_null(strstr(line, "loss"));
}

static void durations_read_well(void **state)
{
    static const struct {
        double seconds;
        const char *words;
    } cases[] = {{0, "0s"},         {59.4, "59s"},     {59.6, "1m00s"},
                 {200, "3m20s"},    {3599.7, "1h00m"}, {7500, "2h05m"},
                 {356400, "4d03h"}, {-5, "0s"},        {1e300, "0s"}};
    char out[32];
    size_t i;

    (void)state;
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        duration_words(cases[i].seconds, out, sizeof(out));
        assert_string_equal(out, cases[i].words);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wide_line_says_everything),
        cmocka_unit_test(the_line_fits_every_width),
        cmocka_unit_test(what_matters_least_goes_first),
        cmocka_unit_test(a_job_that_waits_says_where),
        cmocka_unit_test(durations_read_well),
    };

    setlocale(LC_CTYPE, "C.UTF-8");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
