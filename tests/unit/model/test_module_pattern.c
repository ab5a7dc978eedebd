/* tests/unit/model/test_module_pattern.c - patterns of modules match as PEFT's do, and what Python
 * and PCRE2 could read differently is refused. */
#include "tests/unit/support.h"
#include "core/model/module_pattern.h"
#include "core/model/module_values.h"

static const char q1[] = "model.layers.1.self_attn.q_proj";
static const char gate_up[] = "model.layers.1.mlp.gate_up_proj";

static int matches(const char *text, enum module_pattern_form form, const char *name)
{
    struct module_pattern *p;
    struct err err;
    int rc;

    assert_ok(module_pattern_open(text, form, &p, &err), err);
    rc = module_pattern_matches(p, name, &err);
    module_pattern_free(p);
    return rc;
}

static void forms_are_whole_names_or_tails(void **state)
{
    (void)state;
    assert_int_equal(matches("q_proj", PATTERN_WHOLE, q1), 0);
    assert_int_equal(matches("q_proj", PATTERN_TAIL, q1), 1);
    assert_int_equal(matches(".*\\.q_proj", PATTERN_WHOLE, q1), 1);
    assert_int_equal(matches("up_proj", PATTERN_TAIL, gate_up), 0);
    assert_int_equal(matches("layers.1.mlp.gate_up_proj", PATTERN_TAIL, gate_up), 1);
    assert_int_equal(matches("q_pro", PATTERN_TAIL, q1), 0);
    assert_int_equal(matches("^model\\.layers\\.\\d\\..*", PATTERN_TAIL, q1), 1);
    assert_int_equal(matches("v_proj|q_proj", PATTERN_TAIL, q1), 1);
    assert_int_equal(matches("v_proj|model.*", PATTERN_WHOLE, q1), 1);
    assert_int_equal(matches("[^]x]*proj", PATTERN_WHOLE, q1), 1);
    assert_int_equal(matches("(?!model\\.layers\\.1).*", PATTERN_WHOLE, q1), 0);
    assert_int_equal(matches(".*(?<=attn)\\.[qk]_pro{1,2}j$", PATTERN_WHOLE, q1), 1);
    assert_int_equal(matches("", PATTERN_TAIL, q1), 0);
}

static void what_is_not_the_same_to_both_is_refused(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *words;
    } cases[] = {
        {"(?R)", ERR_UNSUPPORTED, "\"(?R\""},
        {"(?i)q", ERR_UNSUPPORTED, "\"(?i\""},
        {"(?P<a>q)", ERR_UNSUPPORTED, "\"(?P\""},
        {"(*FAIL)", ERR_UNSUPPORTED, "\"(*\""},
        {"\\K", ERR_UNSUPPORTED, "\"\\K\""},
        {"\\1", ERR_UNSUPPORTED, "\"\\1\""},
        {"[[:alpha:]]", ERR_UNSUPPORTED, "\"[[\""},
        {"[\\h]", ERR_UNSUPPORTED, "\"[\\\""},
        {"a{,3}", ERR_UNSUPPORTED, "\"{,\""},
        {"a{99999}", ERR_UNSUPPORTED, "\"{9\""},
        {"a\\", ERR_UNSUPPORTED, "has \"\\"},
        {"\xc3\xa4", ERR_UNSUPPORTED, "printable ASCII"},
        {"a\n", ERR_UNSUPPORTED, "printable ASCII"},
        {"(a", ERR_INVALID, "not a regular expression"},
        {"a)", ERR_INVALID, "not a regular expression"},
        {"*", ERR_INVALID, "expression"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct module_pattern *p;
        struct err err;
        assert_int_equal(module_pattern_open(cases[i].text, PATTERN_TAIL, &p, &err), cases[i].code);
        assert_contains(err.text, cases[i].words);
    }
}

static void matching_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(matches(".*((a*)*)*b|(.*.*.*)*x", PATTERN_WHOLE, q1), ERR_UNSUPPORTED);
}

static void values_are_one_and_exceptions(void **state)
{
    const struct module_value values[] = {
        {0, MODULE_Q, 8}, {0, MODULE_V, 4}, {0, MODULE_UP, 8},
        {1, MODULE_Q, 8}, {1, MODULE_V, 4}, {1, MODULE_UP, 2},
    };
    struct module_values v;
    struct err err;

    (void)state;
    assert_ok(module_values_split(values, 6, &v, &err), err);
    assert_true(v.common == 8);
    assert_int_equal(v.n, 2);
    assert_string_equal(v.exceptions[0].name, "v_proj");
    assert_true(v.exceptions[0].value == 4);
    assert_string_equal(v.exceptions[1].name, "model.layers.1.mlp.up_proj");
    assert_true(v.exceptions[1].value == 2);
    module_values_free(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_are_whole_names_or_tails),
        cmocka_unit_test(what_is_not_the_same_to_both_is_refused),
        cmocka_unit_test(matching_is_bounded),
        cmocka_unit_test(values_are_one_and_exceptions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
