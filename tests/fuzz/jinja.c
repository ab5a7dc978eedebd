/* tests/fuzz/jinja.c - libFuzzer's target of the Jinja engine: a template, and behind the first NUL
 * the variables as JSON. Limits are small, so that what exceeds them is soon found.
 */
#include "core/json_parse.h"
#include "core/text/jinja/jinja.h"
#include <stdlib.h>
#include <string.h>

enum { VARIABLES_MOST = 8 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char plain[] =
    "{\"messages\": [{\"role\": \"user\", \"content\": \"h\\u00e9llo \"}, {\"role\": \"assistant\","
    " \"content\": [1, -2.5, null, true, {\"k\": \"v\"}]}], \"tools\": null, \"s\": \"a b,c\","
    " \"l\": [3, 1, 2], \"d\": {\"b\": 1, \"items\": 2}, \"i\": 7}";

static void render(const struct jinja *t, const json_t *values)
{
    struct jinja_variable variables[VARIABLES_MOST];
    struct jinja_options options = jinja_defaults;
    struct jinja_output out = {{0}};
    json_t *value;
    const char *name;
    int n = 0;

    options.steps = 200000;
    options.output_bytes = 1 << 20;
    options.memory_bytes = 8 << 20;
    options.depth = 500; /* the frames of a build with sanitizers are large */
    options.now = 1753900000;
    json_object_foreach((json_t *)values, name, value)
    {
        if (n < VARIABLES_MOST)
            variables[n++] = (struct jinja_variable){.name = name, .json = value};
    }
    if (jinja_render(t, variables, n, &options, &out, NULL) == 0) {
        for (int i = 0; i < out.n_spans; i++)
            if (out.spans[i].begin > out.spans[i].end || out.spans[i].end > out.text.len)
                abort();
        if (strnlen(out.text.data, out.text.len + 1) > out.text.len)
            abort();
    }
    jinja_output_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t len = end ? (size_t)(end - data) : size;
    const char *json = end ? (const char *)end + 1 : plain;
    size_t json_len = end ? size - len - 1 : sizeof(plain) - 1;
    struct jinja *t = NULL;
    json_error_t why;
    json_t *values;

    if (jinja_parse("the template", (const char *)data, len, &t, NULL) < 0)
        return 0;
    values = json_parse(json, json_len, JSON_ALLOW_NUL, &why);
    if (!values)
        values = json_parse(plain, sizeof(plain) - 1, 0, &why);
    render(t, values);
    json_decref(values);
    jinja_free(t);
    return 0;
}
