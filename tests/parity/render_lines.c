/* tests/parity/render_lines.c - chat templates from JSON lines, for the comparison with Python.
 *
 *   {"template": TEXT, "variables": {NAME: VALUE, ...}, "now": SECONDS}
 *
 * A line of output for each: {"text": TEXT, "spans": [[BEGIN, END], ...]}, or {"error": SENTENCE,
 * "code": ERR_ code, "raised": whether the template called raise_exception()}.
 */
#include "core/json_parse.h"
#include "core/text/jinja/jinja.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { VARIABLES_MOST = 64 };

static json_t *failure(const struct err *err, bool raised)
{
    return json_pack("{s:s, s:i, s:b}", "error", err->text, "code", err->code, "raised", raised);
}

static json_t *rendered(const struct jinja_output *out)
{
    json_t *spans = json_array();

    for (int i = 0; i < out->n_spans; i++)
        json_array_append_new(spans, json_pack("[I, I]", (json_int_t)out->spans[i].begin,
                                               (json_int_t)out->spans[i].end));
    return json_pack("{s:o, s:o}", "text", json_stringn(out->text.data, out->text.len), "spans",
                     spans);
}

static json_t *answer(const json_t *line)
{
    const json_t *text = json_object_get(line, "template"), *now = json_object_get(line, "now");
    struct jinja_variable variables[VARIABLES_MOST] = {{0}};
    struct jinja_options options = jinja_defaults;
    struct jinja_output out = {{0}};
    struct jinja *t = NULL;
    struct err err = {0};
    json_t *value, *result;
    const char *name;
    int n = 0;

    json_object_foreach(json_object_get(line, "variables"), name, value)
    {
        if (n < VARIABLES_MOST)
            variables[n++] = (struct jinja_variable){.name = name, .json = value};
    }
    options.steps = UINT64_MAX / 2; /* Python has no such limits */
    options.memory_bytes = (size_t)8 << 30;
    if (now)
        options.now = json_integer_value(now);
    if (jinja_parse("template", json_string_value(text), json_string_length(text), &t, &err) < 0 ||
        jinja_render(t, variables, n, &options, &out, &err) < 0)
        result = failure(&err, out.raised);
    else
        result = rendered(&out);
    jinja_output_free(&out);
    jinja_free(t);
    return result;
}

int main(void)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t len;

    while ((len = getline(&line, &room, stdin)) > 0) {
        json_error_t why;
        json_t *in = json_parse(line, (size_t)len, JSON_ALLOW_NUL, &why), *out;
        if (!in) {
            fprintf(stderr, "render_lines: %s\n", why.text);
            return 2;
        }
        out = answer(in);
        json_dumpf(out, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(out);
        json_decref(in);
    }
    free(line);
    return 0;
}
