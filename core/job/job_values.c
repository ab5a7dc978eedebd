/* core/job/job_values.c - reads the value of one key of a job file, by the kind that the table of
 * keys gives it. See job_read.c. */
#include "core/job/job_read_impl.h"
#include "core/file.h"
#include "core/job/job_units.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int yaml_line(const yaml_node_t *node)
{
    return (int)node->start_mark.line + 1;
}

void *job_field(struct job *job, const struct job_key *key)
{
    return (char *)job + key->offset;
}

const char *yaml_text(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

char *job_copy_text(struct job_reader *r, const char *text)
{
    char *copy = strdup(text);

    r->no_memory |= !copy;
    return copy;
}

char *job_copy_path(struct job_reader *r, const char *text)
{
    char *path = file_join(r->directory, text);

    r->no_memory |= !path;
    return path;
}

void *job_list(struct job_reader *r, long n, size_t size)
{
    void *list = calloc((size_t)n + 1, size);

    r->no_memory |= !list;
    return list;
}

bool yaml_is_null(const yaml_node_t *node)
{
    const char *text = yaml_text(node);

    return text && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || !strcmp(text, "null") || !strcmp(text, "~"));
}

void job_refuse_value(struct job_reader *r, const yaml_node_t *node, const struct job_key *key,
                      const char *expected)
{
    const char *text = yaml_text(node);

    problems_add(r->problems, r->source, r->is_file ? yaml_line(node) : 0,
                 "%s must be %s, not %s%s%s", key->path, expected, text ? "\"" : "",
                 text ? text : "a list or mapping", text ? "\"" : "");
}

static void read_string(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    const char *text = yaml_text(node);
    char **field = job_field(r->job, key), *copy;

    if (!text || !*text) {
        job_refuse_value(r, node, key, key->kind == KEY_PATH ? "a path" : "a non-empty string");
        return;
    }
    copy = key->kind == KEY_PATH ? job_copy_path(r, text) : job_copy_text(r, text);
    free(*field);
    *field = copy;
}

static void read_bool(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    const char *text = yaml_text(node);
    bool *field = job_field(r->job, key);

    if (text && !strcmp(text, "true"))
        *field = true;
    else if (text && !strcmp(text, "false"))
        *field = false;
    else
        job_refuse_value(r, node, key, "true or false");
}

bool job_in_range(const struct job_key *key, double x)
{
    if (!isfinite(x) || x < key->lowest || x > key->highest)
        return false;
    if ((key->flags & KEY_OPEN) && x == key->lowest)
        return false;
    return !((key->flags & KEY_OPEN_TOP) && x == key->highest);
}

void job_describe_range(const struct job_key *key, char *text, size_t size)
{
    const char *noun = key->kind == KEY_INT ? "an integer" : "a number";
    const char *open = key->flags & KEY_OPEN ? ">" : ">=";
    const char *top = key->flags & KEY_OPEN_TOP ? "<" : "<=";
    const char *or_auto = key->flags & KEY_AUTO ? " (or auto)" : "";

    if (key->highest >= 2147483647.0)
        snprintf(text, size, "%s %s %g%s", noun, open, key->lowest, or_auto);
    else
        snprintf(text, size, "%s %s %.15g and %s %.15g%s", noun, open, key->lowest, top,
                 key->highest, or_auto);
}

static void read_number(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    const char *text = yaml_text(node);
    char expected[160], *end = NULL;
    double x = 0;

    if ((key->flags & KEY_AUTO) && text && !strcmp(text, "auto")) {
        *(int *)job_field(r->job, key) = 0;
        return;
    }
    job_describe_range(key, expected, sizeof(expected));
    if (text)
        x = strtod(text, &end);
    if (!text || end == text || *end || !job_in_range(key, x)) {
        job_refuse_value(r, node, key, expected);
        return;
    }
    if (key->kind == KEY_DOUBLE)
        *(double *)job_field(r->job, key) = x;
    else if (x == floor(x))
        *(int *)job_field(r->job, key) = (int)x;
    else
        job_refuse_value(r, node, key, expected);
}

/* Where neither auto nor null is written. */
static const char *or_absent(const struct job_key *key)
{
    return key->flags & KEY_AUTO ? ", or auto" : key->flags & KEY_NULLABLE ? ", or null" : "";
}

static void read_bytes(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    const char *text = yaml_text(node);
    double x = text ? bytes_read(text) : -1;
    char expected[160];

    if ((key->flags & KEY_AUTO) && text && !strcmp(text, "auto")) {
        *(double *)job_field(r->job, key) = 0;
        return;
    }
    snprintf(expected, sizeof(expected), "a size%s such as 20GiB, 500MB, or a number of bytes%s",
             key->lowest > 1 ? " of more than 1 MiB" : "", or_absent(key));
    if (x < 0 || !job_in_range(key, x))
        job_refuse_value(r, node, key, expected);
    else
        *(double *)job_field(r->job, key) = x;
}

static void read_seconds(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    const char *text = yaml_text(node);
    double x = text ? duration_read(text) : -1;
    char expected[160];

    snprintf(expected, sizeof(expected), "a duration such as 90s, 30m, 12h or 2d%s",
             or_absent(key));
    if (x < 0 || !job_in_range(key, x))
        job_refuse_value(r, node, key, expected);
    else
        *(double *)job_field(r->job, key) = x;
}

static void read_seed(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    const char *text = yaml_text(node);
    unsigned long long x;
    char *end = NULL;

    errno = 0;
    x = text ? strtoull(text, &end, 10) : 0;
    if (!text || end == text || *end || errno || strchr(text, '-'))
        job_refuse_value(r, node, key, "an integer from 0 to 18446744073709551615");
    else
        *(uint64_t *)job_field(r->job, key) = x;
}

static void read_enum(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    const char *text = yaml_text(node);
    struct buf expected = {0};
    int i;

    for (i = 0; text && key->names[i]; i++) {
        if (!strcmp(text, key->names[i])) {
            *(int *)job_field(r->job, key) = i;
            return;
        }
    }
    buf_puts(&expected, "one of ");
    for (i = 0; key->names[i]; i++)
        buf_printf(&expected, "%s%s", i ? ", " : "", key->names[i]);
    job_refuse_value(r, node, key, expected.data ? expected.data : "another value");
    buf_free(&expected);
}

static void read_absent(struct job_reader *r, const struct job_key *key)
{
    void *field = job_field(r->job, key);

    if (key->kind == KEY_STRING || key->kind == KEY_PATH) {
        free(*(char **)field);
        *(char **)field = NULL;
    } else if (key->kind == KEY_STRINGS) {
        job_free_strings(*(char ***)field);
        *(char ***)field = NULL;
    } else if (key->kind == KEY_NUMBERS) {
        free(((struct job_numbers *)field)->of);
        *(struct job_numbers *)field = (struct job_numbers){0};
    } else if (key->kind == KEY_PATTERNS) {
        job_free_patterns(field);
    } else if (key->kind == KEY_FILES) {
        job_free_names(field);
    } else if (key->kind == KEY_OBJECT) {
        json_decref(*(json_t **)field);
        *(json_t **)field = NULL;
    } else if (key->kind == KEY_BOOL) {
        *(bool *)field = false;
        r->job->given[key - job_keys] = false; /* the choice is open */
    } else if (key->kind == KEY_DOUBLE || key->kind == KEY_BYTES || key->kind == KEY_SECONDS) {
        *(double *)field = 0;
    } else {
        *(int *)field = 0;
    }
}

void job_value_read(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    if ((key->flags & KEY_NULLABLE) && yaml_is_null(node)) {
        read_absent(r, key);
        return;
    }
    switch (key->kind) {
    case KEY_STRING:
    case KEY_PATH:
        read_string(r, node, key);
        break;
    case KEY_BOOL:
        read_bool(r, node, key);
        break;
    case KEY_INT:
    case KEY_DOUBLE:
        read_number(r, node, key);
        break;
    case KEY_BYTES:
        read_bytes(r, node, key);
        break;
    case KEY_SECONDS:
        read_seconds(r, node, key);
        break;
    case KEY_SEED:
        read_seed(r, node, key);
        break;
    case KEY_ENUM:
        read_enum(r, node, key);
        break;
    case KEY_TARGETS:
        job_read_targets(r, node, key);
        break;
    case KEY_STRINGS:
        job_read_strings(r, node, key);
        break;
    case KEY_NUMBERS:
        job_read_numbers(r, node, key);
        break;
    case KEY_PATTERNS:
        job_read_patterns(r, node, key);
        break;
    case KEY_OBJECT:
        job_read_object(r, node, key);
        break;
    case KEY_FILES:
        job_read_names(r, node, key);
        break;
    }
}
