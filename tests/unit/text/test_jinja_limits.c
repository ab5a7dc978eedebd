/* tests/unit/text/test_jinja_limits.c - what a chat template is refused for, and where; and that
 * none takes more time or memory than it may, whatever it asks for.
 */
#include "tests/unit/support.h"
#include "core/json_parse.h"
#include "core/text/jinja/jinja.h"

static int parse(const char *text, struct jinja **t, struct err *err)
{
    return jinja_parse("chat.jinja", text, strlen(text), t, err);
}

static void refused(const char *text, int code, const char *part)
{
    struct jinja *t = NULL;
    struct err err = {0};
    int rc = parse(text, &t, &err);

    jinja_free(rc == 0 ? t : NULL);
    if (rc != code)
        fail_msg("%.80s: %d instead of %d: %s", text, rc, code, err.text);
    assert_contains(err.text, part);
}

enum { ANY = 0 };

/* The error of a render with these limits; code ANY: whatever it is. */
static struct err failing(const char *text, const struct jinja_options *options, int code)
{
    struct jinja *t = NULL;
    struct jinja_output out = {{0}};
    struct err err = {0};
    int rc = parse(text, &t, &err);

    assert_ok(rc, err);
    rc = jinja_render(t, NULL, 0, options, &out, &err);
    if (rc >= 0 || (code != ANY && rc != code))
        fail_msg("%.80s: %d instead of %d: %s", text, rc, code, rc < 0 ? err.text : out.text.data);
    assert_int_equal(out.text.len, 0);
    assert_int_equal(out.n_spans, 0);
    assert_false(out.raised);
    jinja_output_free(&out);
    jinja_free(t);
    return err;
}

static void fails(const char *text, int code, const char *part)
{
    struct err err = failing(text, &jinja_defaults, code);

    assert_contains(err.text, part);
}

static void what_is_not_jinja_is_refused_with_its_place(void **state)
{
    (void)state;
    refused("a\n{% if x %}\n  {% endfor %}", ERR_UNSUPPORTED,
            "chat.jinja, line 3, column 6: the tag \"endfor\" is not supported here");
    refused("\xc3\xa9 {{ x y }}", ERR_INVALID,
            "line 1, column 8: expected the end of the tag, not \"y\"");
    refused("{{ 'abc }}", ERR_INVALID, "line 1, column 4: the string has no end");
    refused("a\n{# b", ERR_INVALID, "line 2, column 1: the comment has no end");
    refused("{% raw %}", ERR_INVALID, "the tag raw has no endraw");
    refused("{{ (1] }}", ERR_INVALID, "line 1, column 6: this bracket closes none that is open");
    refused("{{ $ }}", ERR_INVALID, "line 1, column 4");
    refused("{% for x in l %}", ERR_INVALID, "expected the tag \"endfor\"");
    refused("{% set 1 = 2 %}", ERR_INVALID, "only names can be assigned to");
    refused("{% break %}", ERR_INVALID, "must be in a loop");
    refused("{{ f(a=1, a=2) }}", ERR_INVALID, "\"a\" is given twice");
    refused("{% call x %}{% endcall %}", ERR_INVALID, "the tag call needs a call");
    refused("{{ '\\u12' }}", ERR_INVALID, "hexadecimal digits");
    refused("\xff", ERR_INVALID, "must be UTF-8: byte 0 is not");
}

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    refused("\n\n{{ x |   foo }}", ERR_UNSUPPORTED,
            "chat.jinja, line 3, column 10: the filter \"foo\" is not supported");
    refused("{{ x is bar }}", ERR_UNSUPPORTED, "column 9: the test \"bar\" is not supported");
    refused("{% include 'x' %}", ERR_UNSUPPORTED, "the tag \"include\" is not supported");
    refused("{{ 99999999999999999999 }}", ERR_UNSUPPORTED, "64 bits");
    refused("{{ \xc3\xa9 }}", ERR_UNSUPPORTED, "column 4");
    refused("{{ self }}", ERR_UNSUPPORTED, "\"self\" is not supported");
    fails("{% if true %}{{ 1|foo }}{% endif %}", ERR_UNSUPPORTED,
          "line 1, column 19: the filter \"foo\" is not supported");
    fails("{{ [1]|map('foo')|list }}", ERR_UNSUPPORTED, "the filter \"foo\" is not supported");
    fails("{{ 2**64 }}", ERR_UNSUPPORTED, "64 bits");
    fails("{{ [1]|map('string') }}", ERR_UNSUPPORTED, "the text of a generator");
    fails("{{ 'a'.upper }}", ERR_UNSUPPORTED, "the text of a method");
    fails("{{ strftime_now('%Y') }}", ERR_UNSUPPORTED, "needs a date");
    fails("{{ 'a'.encode() }}", ERR_UNSUPPORTED, "\"encode\" of a text");
}

static void an_error_names_the_line(void **state)
{
    (void)state;
    fails("a\n\n  {{ x.y }}", ERR_INVALID, "chat.jinja, line 3, column 7: \"x\" is undefined");
    fails("{{ {}.a.b }}", ERR_INVALID, "a dict has no attribute \"a\"");
    fails("{{ 1 + 'a' }}", ERR_INVALID, "\"+\" does not work on a int and a text");
    fails("{{ [].append(1) }}", ERR_INVALID, "\"append\" of a list may not be used");
    fails("{{ 1 // 0 }}", ERR_INVALID, "division by zero");
    fails("{% set a, b = 1, 2, 3 %}", ERR_INVALID, "more than 2 values");
    fails("{% set x = 1 %}{% set x.y = 1 %}", ERR_INVALID, "\"x\" is not a namespace");
}

static void raise_exception_is_told_apart(void **state)
{
    static const char text[] = "{{ 'x' }}{{ raise_exception('Roles must alternate\n!') }}";
    struct jinja *t = NULL;
    struct jinja_output out = {{0}};
    struct err err = {0};

    (void)state;
    assert_ok(parse(text, &t, &err), err);
    assert_int_equal(jinja_render(t, NULL, 0, &jinja_defaults, &out, &err), ERR_INVALID);
    assert_true(out.raised);
    assert_string_equal(err.text, "Roles must alternate\n!");
    assert_int_equal(jinja_render(t, NULL, 0, &jinja_defaults, &out, NULL), ERR_INVALID);
    jinja_output_free(&out);
    jinja_free(t);
}

static char *repeated(const char *before, const char *what, int times, const char *after)
{
    struct buf b = {0};

    buf_puts(&b, before);
    for (int i = 0; i < times; i++)
        buf_puts(&b, what);
    buf_puts(&b, after);
    return buf_take(&b);
}

static void deep_nesting_is_refused(void **state)
{
    static const char *const parts[][3] = {
        {"{{ ", "(", " }}"},
        {"{{ ", "[", " }}"},
        {"{{ ", "-", "1 }}"},
        {"{{ ", "not ", "1 }}"},
        {"{{ x", ".a", " }}"},
        {"{{ x", "|e", " }}"},
        {"{{ x", " + 1", " }}"},
        {"{{ x", "[0]", " }}"},
        {"{{ x", "()", " }}"},
        {"{{ x", " if x", " }}"},
        {"{{ x", " if x else x", " }}"},
        {"", "{% if x %}", ""},
        {"", "{% for x in y %}", ""},
        {"", "{% macro m() %}", ""},
        {"{{ x", " is none", " }}"},
        {"{{ x", "(x", " }}"},
        {"{{ ", "{1:", " }}"},
        {"{{ x", " ** 1", " }}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        char *text = repeated(parts[i][0], parts[i][1], 100000, parts[i][2]);
        struct jinja *t = NULL;
        struct err err = {0};
        if (parse(text, &t, &err) == 0)
            fail_msg("%.40s... is not refused", text);
        free(text);
    }
}

static void limits_hold(void **state)
{
    static const char *const greedy[] = {
        "{{ 'a' * 10**9 }}",
        "{{ 'a' * 10**18 }}",
        "{{ [1] * 10**9 }}",
        "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% "
        "endfor %}",
        "{% set ns = namespace(x='ab') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% "
        "endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% "
        "endfor %}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% "
        "endfor %}{{ ns.x }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% "
        "endfor %}"
        "{{ ns.x == ns.x|list }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = [ns.x, ns.x] %}{% "
        "endfor %}{{ ns.x|tojson }}",
        "{% set ns = namespace(x=[]) %}{% for i in range(90000) %}{% set ns.x = [ns.x] %}{% endfor "
        "%}{{ ns.x }}",
        "{% set ns = namespace(x=[]) %}{% for i in range(90000) %}{% set ns.x = [ns.x] %}{% endfor "
        "%}{{ ns.x|tojson }}",
        "{% set ns = namespace(x=()) %}{% for i in range(90000) %}{% set ns.x = (ns.x,) %}{% "
        "endfor %}{{ {ns.x: 1} }}",
        "{% set ns = namespace(x=[1]) %}{% for i in range(90000) %}{% set ns.x = "
        "ns.x|map('string') %}{% endfor %}"
        "{{ ns.x|list }}",
        "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}",
        "{% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) "
        "}}",
        "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
        "{% for a in range(1000) %}{% for b in range(1000) %}{% for c in range(1000) %}{% endfor "
        "%}{% endfor %}{% endfor %}",
        "{% for a in range(99999) %}{% for b in range(99999) %}xxxxxxxxxx{% endfor %}{% endfor %}",
        "{{ 'a'|indent(10**9) }}{{ 'a\nb'|indent(10**9) }}",
        "{{ [1]|tojson(indent=10**9) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%.1000000000f' % 1 }}",
        "{{ '%99999999999999999999d' % 1 }}",
        "{{ '{:1000000000}'.format('a') }}",
        "{{ 'a'.center(10**9) }}{{ 'a'.zfill(10**9) }}{{ 'a'.ljust(10**9) }}",
        "{{ '\t'.expandtabs(10**9) }}",
        "{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}",
        "{{ ('b' * 1000000).join('a' * 1000000) }}",
        "{{ ('a' * 1000000)|map('upper')|list|join('b' * 100000) }}",
        "{{ [1]|batch(10**9, 'x')|list }}",
        "{{ [1]|slice(10**9)|list }}",
        "{% set ns = namespace(x=(1,)) %}{% for i in range(60) %}{% set ns.x = (ns.x, ns.x) %}{% "
        "endfor %}{{ {ns.x: 1} }}",
        "{% set x = '\xc3\xa9' * 1000000 %}{% for i in range(90000) %}{% set y = x|lower %}{% "
        "endfor %}",
        "{% set x = '<' * 1000000 %}{% for i in range(90000) %}{% set y = x|e %}{% endfor %}",
        "{% set x = '\xc3\xa9' * 1000000 %}{% for i in range(90000) %}{{ x.isalpha() }}{{ x is "
        "lower }}{% endfor %}",
        "{% set x = '5' * 1000000 %}{% for i in range(90000) %}{{ (x ~ '$')|int }}{% endfor %}",
        "{% set x = range(90000)|list %}{% for i in range(90000) %}{{ x == x }}{{ x < x }}{% "
        "endfor %}",
        "{% set x = 'a' * 1000000 %}{% set d = {x: 1} %}{% for i in range(90000) %}{{ d[x] }}{{ "
        "x.startswith(x) }}{% endfor %}",
        "{{ range(10**12) }}",
        "{{ range(100000)|map('string')|unique|list|length }}",
        "{% for i in range(90000) %}{% set x = ('ab' * 100000).split('a') %}{% endfor %}",
        "{% for i in range(90000) %}{{ ('a' * 1000000).count('b') }}{% endfor %}",
        "{% for i in range(90000) %}{{ ('a' * 1000000).rfind('ab' * 1000) }}{% endfor %}",
        "{% for i in range(90000) %}{{ ('\xc3\xa9' * 1000000)[999999] }}{% endfor %}",
        "{% for i in range(90000) %}{{ ('\xc3\xa9' * 1000000)[::-1] }}{% endfor %}",
        "{{ ('\xce\xa3' * 1000000)|lower }}",
    };
    struct jinja_options small = jinja_defaults;

    (void)state;
    small.steps = 2000000;
    small.memory_bytes = 32 << 20;
    small.output_bytes = 4 << 20;
    for (size_t i = 0; i < sizeof(greedy) / sizeof(greedy[0]); i++)
        failing(greedy[i], &small, ANY);
}

static void limits_are_named(void **state)
{
    struct jinja_options o = jinja_defaults;
    struct err err;

    (void)state;
    o.output_bytes = 10;
    err = failing("12345678901", &o, ERR_INVALID);
    assert_contains(err.text, "the text has more than 10 bytes");
    o = jinja_defaults;
    o.memory_bytes = 100000;
    err = failing("{{ 'a' * 200000 }}", &o, ERR_INVALID);
    assert_contains(err.text, "needs more than 100000 bytes of memory");
    o = jinja_defaults;
    o.steps = 1000;
    err = failing("{% for i in range(1000) %}{% endfor %}", &o, ERR_INVALID);
    assert_contains(err.text, "takes too many steps");
    o = jinja_defaults;
    o.depth = 20;
    err = failing("{{ [[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]] }}", &o, ERR_INVALID);
    assert_contains(err.text, "nested too deep");
}

static void numbers_that_are_not_finite_are_themselves(void **state)
{
    static const char text[] = "[NaN, Infinity, -1e999, 1.5]";
    json_error_t why;
    json_t *root = json_parse(text, strlen(text), 0, &why);
    struct jinja_variable v = {.name = "x", .json = root};
    struct jinja_output out = {{0}};
    struct jinja *t = NULL;
    struct err err = {0};

    (void)state;
    assert_ok(parse("{{ x }}{{ x|tojson }}", &t, &err), err);
    assert_ok(jinja_render(t, &v, 1, &jinja_defaults, &out, &err), err);
    assert_string_equal(out.text.data, "[nan, inf, -inf, 1.5][NaN, Infinity, -Infinity, 1.5]");
    jinja_output_free(&out);
    jinja_free(t);
    json_decref(root);
}

static void large_integers_are_refused_where_they_are_read(void **state)
{
    static const char text[] = "{\"x\": {\"big\": -18446744073709551616, \"small\": 5}}";
    json_error_t why;
    json_t *root = json_parse(text, strlen(text), 0, &why);
    struct jinja_variable v = {.name = "x", .json = json_object_get(root, "x")};
    struct jinja_output out = {{0}};
    struct jinja *t = NULL;
    struct err err = {0};

    (void)state;
    assert_ok(parse("{{ x.small }}", &t, &err), err);
    assert_ok(jinja_render(t, &v, 1, &jinja_defaults, &out, &err), err);
    assert_string_equal(out.text.data, "5");
    jinja_free(t);
    assert_ok(parse("{{ x | tojson }}", &t, &err), err);
    assert_int_equal(jinja_render(t, &v, 1, &jinja_defaults, &out, &err), ERR_UNSUPPORTED);
    assert_contains(err.text, "the integer -18446744073709551616 is beyond 64 bits");
    jinja_output_free(&out);
    jinja_free(t);
    json_decref(root);
}

/* The texts are Python's. */
static void floats_of_any_size_are_printed(void **state)
{
    static const char text[] =
        "{\"x\": [9.3e18, -1e19, 1e22, 1.7976931348623157e308, 9223372036854775808.0]}";
    json_error_t why;
    json_t *root = json_parse(text, strlen(text), 0, &why);
    struct jinja_variable v = {.name = "x", .json = json_object_get(root, "x")};
    struct jinja_output out = {{0}};
    struct jinja *t = NULL;
    struct err err = {0};

    (void)state;
    assert_ok(parse("{{ x }} {{ x | tojson }} {{ x[2] + 1 }} {{ x[0] // 2 }} {{ x[1] | round(1, "
                    "'floor') }} {{ x[1] | abs }} {{ x | max }} {{ x[4] == x[4] | float }}",
                    &t, &err),
              err);
    assert_ok(jinja_render(t, &v, 1, &jinja_defaults, &out, &err), err);
    assert_string_equal(
        out.text.data,
        "[9.3e+18, -1e+19, 1e+22, 1.7976931348623157e+308, 9.223372036854776e+18] [9.3e+18, "
        "-1e+19, 1e+22, 1.7976931348623157e+308, 9.223372036854776e+18] 1e+22 4.65e+18 -1e+19 "
        "1e+19 1.7976931348623157e+308 True");
    jinja_output_free(&out);
    jinja_free(t);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_jinja_is_refused_with_its_place),
        cmocka_unit_test(what_is_not_supported_is_named),
        cmocka_unit_test(an_error_names_the_line),
        cmocka_unit_test(raise_exception_is_told_apart),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(limits_are_named),
        cmocka_unit_test(numbers_that_are_not_finite_are_themselves),
        cmocka_unit_test(large_integers_are_refused_where_they_are_read),
        cmocka_unit_test(floats_of_any_size_are_printed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
