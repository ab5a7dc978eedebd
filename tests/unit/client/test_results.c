/* tests/unit/client/test_results.c - report/results.h and settings.h: jobs as numbers and keys that
 * can be compared. */
#include "report/results.h"
#include "client/settings.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

static void results_are_of_the_last_steps(void **state)
{
    struct step_row rows[20] = {0};
    struct results r;
    int i;

    (void)state;
    for (i = 0; i < 20; i++)
        rows[i] = (struct step_row){
            .step = i + 1, .loss = 20 - i, .tokens = 100, .trained_tokens = 10, .seconds = 0.5};
    rows[4].eval_loss = 3;
    rows[9].eval_loss = 2;
    rows[14].eval_loss = 2;
    rows[19].eval_loss = 2.5;
    r = results_of(rows, 20);
    assert_int_equal(r.steps, 20);
    assert_true(r.loss == 1 && r.mean_loss == 5.5);
    assert_true(r.eval_loss == 2.5 && r.best_eval_loss == 2 && r.best_step == 10);
    assert_true(r.seconds == 10 && r.tokens_per_second == 200);
    assert_true(r.tokens == 2000 && r.trained_tokens == 200);
    r = results_of(rows, 3);
    assert_true(r.mean_loss == 19 && isnan(r.eval_loss) && r.best_step == 0);
    r = results_of(rows, 0);
    assert_true(r.steps == 0 && isnan(r.loss) && isnan(r.mean_loss) && isnan(r.tokens_per_second));
}

static const struct setting *find(const struct settings *s, const char *key)
{
    int i;

    for (i = 0; i < s->n; i++)
        if (strcmp(s->items[i].key, key) == 0)
            return &s->items[i];
    return NULL;
}

static void settings_are_found_by_their_keys(void **state)
{
    const char *const yamls[] = {
        "name: \"a: b\"\ndata:\n  train: \"/x: y\"\n  eval: null\nmethod: lora\nlora:\n  rank: 8\n",
        "name: \"c\"\ndata:\n  train: \"/x: y\"\n  eval: \"e\"\nmethod: lora\nlora:\n  rank: 8\n"
        "dash:\n  directions: 4\n"};
    struct settings s = {0};
    struct err err;

    (void)state;
    assert_int_equal(settings_read(yamls, 2, &s, &err), 0);
    assert_int_equal(s.n, 6);
    assert_string_equal(find(&s, "name")->values[0], "\"a: b\"");
    assert_string_equal(find(&s, "data.train")->values[1], "\"/x: y\"");
    assert_false(setting_differs(find(&s, "data.train")));
    assert_false(setting_differs(find(&s, "lora.rank")));
    assert_true(setting_differs(find(&s, "data.eval")));
    assert_true(setting_differs(find(&s, "dash.directions")));
    assert_string_equal(find(&s, "dash.directions")->values[0], "");
    settings_free(&s);
}

static void settings_of_anything_end(void **state)
{
    const char *const yamls[] = {"", "\n\n:\n: \na\na:\n  \n  b\n  c:\n  d: \n", "x: 1"};
    struct settings s = {0};
    struct err err;

    (void)state;
    assert_int_equal(settings_read(yamls, 3, &s, &err), 0);
    assert_string_equal(find(&s, "a.d")->values[1], "");
    assert_string_equal(find(&s, "x")->values[2], "1");
    settings_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_of_the_last_steps),
        cmocka_unit_test(settings_are_found_by_their_keys),
        cmocka_unit_test(settings_of_anything_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
