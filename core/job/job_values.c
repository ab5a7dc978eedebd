/* core/job/job_values.c - reads the value of one key of a job file, by the kind that the table of
 * keys gives it. See job_read.c. */
#include "core/job/job_read_impl.h"
#include "core/file.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int yaml_line(const yaml_node_t *node)
{
    return (int)node->start_mark.line + 1;
}

static void *field_of(struct job *job, const struct job_key *key)
{
    return (char *)job + key->offset;
}

const char *yaml_text(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

static bool is_null(const yaml_node_t *node)
{
    const char *text = yaml_text(node);

    return text && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || !strcmp(text, "null") || !strcmp(text, "~"));
}

static void refuse_value(struct job_reader *r, const yaml_node_t *node, const struct job_key *key,
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
    char **field = field_of(r->job, key), *copy;

    if (!text || !*text) {
        refuse_value(r, node, key, key->kind == KEY_PATH ? "a path" : "a non-empty string");
        return;
    }
    copy = key->kind == KEY_PATH ? file_join(r->directory, text) : strdup(text);
    free(*field);
    *field = copy;
}

static void read_bool(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    const char *text = yaml_text(node);
    bool *field = field_of(r->job, key);

    if (text && !strcmp(text, "true"))
        *field = true;
    else if (text && !strcmp(text, "false"))
        *field = false;
    else
        refuse_value(r, node, key, "true or false");
}

static bool in_range(const struct job_key *key, double x)
{
    if (!isfinite(x) || x < key->lowest || x > key->highest)
        return false;
    if ((key->flags & KEY_OPEN) && x == key->lowest)
        return false;
    return !((key->flags & KEY_OPEN_TOP) && x == key->highest);
}

static void describe_range(const struct job_key *key, char *text, size_t size)
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
        *(int *)field_of(r->job, key) = 0;
        return;
    }
    describe_range(key, expected, sizeof(expected));
    if (text)
        x = strtod(text, &end);
    if (!text || end == text || *end || !in_range(key, x)) {
        refuse_value(r, node, key, expected);
        return;
    }
    if (key->kind == KEY_DOUBLE)
        *(double *)field_of(r->job, key) = x;
    else if (x == floor(x))
        *(int *)field_of(r->job, key) = (int)x;
    else
        refuse_value(r, node, key, expected);
}

static void read_seed(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    const char *text = yaml_text(node);
    unsigned long long x;
    char *end = NULL;

    errno = 0;
    x = text ? strtoull(text, &end, 10) : 0;
    if (!text || end == text || *end || errno || strchr(text, '-'))
        refuse_value(r, node, key, "an integer from 0 to 18446744073709551615");
    else
        *(uint64_t *)field_of(r->job, key) = x;
}

static void read_enum(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    const char *text = yaml_text(node);
    struct buf expected = {0};
    int i;

    for (i = 0; text && key->names[i]; i++) {
        if (!strcmp(text, key->names[i])) {
            *(int *)field_of(r->job, key) = i;
            return;
        }
    }
    if (text && !strcmp(key->path, "training.precision") && !strcmp(text, "bf16")) {
        problems_add(r->problems, r->source, r->is_file ? yaml_line(node) : 0,
                     "training.precision bf16 is not supported yet: use f32");
        return;
    }
    buf_puts(&expected, "one of ");
    for (i = 0; key->names[i]; i++)
        buf_printf(&expected, "%s%s", i ? ", " : "", key->names[i]);
    refuse_value(r, node, key, expected.data ? expected.data : "another value");
    buf_free(&expected);
}

static int kind_by_name(const char *name)
{
    int i;

    for (i = 0; i < MODULE_KINDS; i++)
        if (!strcmp(name, module_kind_name(i)))
            return i;
    return -1;
}

/* Names of kinds stand in the order of the kinds, each once, so that equal jobs have equal texts;
 * longer names are behind them as they are given. */
static char **order_targets(char **names, int n)
{
    char **ordered = calloc((size_t)n + 1, sizeof(*ordered));
    int to = 0, kind, i;

    for (kind = 0; ordered && kind <= MODULE_KINDS; kind++) {
        for (i = 0; i < n; i++) {
            if (!names[i] || (kind < MODULE_KINDS && kind_by_name(names[i]) != kind))
                continue;
            if (to > 0 && !strcmp(ordered[to - 1], names[i]))
                free(names[i]);
            else
                ordered[to++] = names[i];
            names[i] = NULL;
        }
    }
    job_free_strings(names);
    return ordered;
}

static void read_target_names(struct job_reader *r, const yaml_node_t *node,
                              const struct job_key *key)
{
    yaml_node_item_t *item = node->data.sequence.items.start;
    char **names = calloc((size_t)(node->data.sequence.items.top - item) + 1, sizeof(*names));
    struct job_lora *lora = field_of(r->job, key);
    int n = 0;

    for (; names && item < node->data.sequence.items.top; item++) {
        yaml_node_t *entry = yaml_document_get_node(r->doc, *item);
        const char *name = yaml_text(entry), *dot = name ? strrchr(name, '.') : NULL;
        if (name && kind_by_name(dot ? dot + 1 : name) >= 0)
            names[n++] = strdup(name);
        else
            problems_add(r->problems, r->source, r->is_file ? yaml_line(entry) : 0,
                         "%s: \"%s\" matches no module of any model; there are q_proj, k_proj, "
                         "v_proj, o_proj, gate_proj, up_proj and down_proj, and fused qkv_proj and "
                         "gate_up_proj",
                         key->path, name ? name : "(not a name)");
    }
    lora->target_modules = names ? order_targets(names, n) : NULL;
}

/* A list of names, all-linear, or a pattern of whole names, which is checked with the model. */
static void read_targets(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    struct job_lora *lora = field_of(r->job, key);
    const char *text = yaml_text(node);
    bool is_list = node->type == YAML_SEQUENCE_NODE &&
                   node->data.sequence.items.start < node->data.sequence.items.top;

    if ((!text || !*text || is_null(node)) && !is_list) {
        refuse_value(r, node, key,
                     "a list of module names such as [q_proj, v_proj], a pattern of their names, "
                     "or all-linear");
        return;
    }
    job_free_strings(lora->target_modules);
    free(lora->target_pattern);
    lora->target_modules = NULL;
    lora->target_pattern = NULL;
    lora->all_linear = text && !strcmp(text, "all-linear");
    if (is_list)
        read_target_names(r, node, key);
    else if (!lora->all_linear)
        lora->target_pattern = strdup(text);
}

/* One number of a list or a mapping; false where it is none within the key's range. */
static bool read_element(struct job_reader *r, const yaml_node_t *node, const struct job_key *key,
                         double *ret)
{
    const char *text = yaml_text(node);
    bool whole = key->kind == KEY_NUMBERS || (key->flags & KEY_WHOLE);
    struct job_key one = *key;
    char expected[160], *end = NULL;

    *ret = text ? strtod(text, &end) : 0;
    if (text && end > text && !*end && in_range(key, *ret) && (!whole || *ret == floor(*ret)))
        return true;
    one.kind = whole ? KEY_INT : KEY_DOUBLE;
    describe_range(&one, expected, sizeof(expected));
    refuse_value(r, node, key, expected);
    return false;
}

static void read_numbers(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    struct job_numbers *numbers = field_of(r->job, key), list = {0};
    bool is_list = node->type == YAML_SEQUENCE_NODE;
    long n = is_list ? node->data.sequence.items.top - node->data.sequence.items.start : 1;
    double x;

    list.of = calloc((size_t)n + 1, sizeof(*list.of));
    for (long i = 0; list.of && i < n; i++)
        if (read_element(
                r,
                is_list ? yaml_document_get_node(r->doc, node->data.sequence.items.start[i]) : node,
                key, &x))
            list.of[list.n++] = (int)x;
    free(numbers->of);
    *numbers = list;
}

static void read_patterns(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    struct job_patterns *patterns = field_of(r->job, key), list = {0};
    yaml_node_pair_t *pair;
    double x;

    if (node->type != YAML_MAPPING_NODE) {
        refuse_value(r, node, key, "a mapping of patterns to numbers such as {v_proj: 8}");
        return;
    }
    pair = node->data.mapping.pairs.start;
    list.of = calloc((size_t)(node->data.mapping.pairs.top - pair) + 1, sizeof(*list.of));
    for (; list.of && pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = yaml_document_get_node(r->doc, pair->key);
        if (!yaml_text(name))
            refuse_value(r, name, key, "a mapping of patterns to numbers");
        else if (read_element(r, yaml_document_get_node(r->doc, pair->value), key, &x))
            list.of[list.n++] = (struct job_pattern){strdup(yaml_text(name)), x};
    }
    job_free_patterns(patterns);
    *patterns = list;
}

static void read_strings(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    char ***field = field_of(r->job, key), **strings;
    yaml_node_item_t *item;
    int n = 0;

    if (node->type != YAML_SEQUENCE_NODE) {
        refuse_value(r, node, key, "a list of strings");
        return;
    }
    item = node->data.sequence.items.start;
    strings = calloc((size_t)(node->data.sequence.items.top - item) + 1, sizeof(*strings));
    for (; strings && item < node->data.sequence.items.top; item++) {
        yaml_node_t *entry = yaml_document_get_node(r->doc, *item);
        const char *text = yaml_text(entry);
        if (text && *text)
            strings[n++] = strdup(text);
        else
            refuse_value(r, entry, key, "a list of strings");
    }
    job_free_strings(*field);
    *field = strings;
}

static void read_absent(struct job_reader *r, const struct job_key *key)
{
    void *field = field_of(r->job, key);

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
    } else if (key->kind == KEY_BOOL) {
        *(bool *)field = false;
        r->job->given[key - job_keys] = false; /* the choice is open */
    } else if (key->kind == KEY_DOUBLE) {
        *(double *)field = 0;
    } else {
        *(int *)field = 0;
    }
}

void job_value_read(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    if ((key->flags & KEY_NULLABLE) && is_null(node)) {
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
    case KEY_SEED:
        read_seed(r, node, key);
        break;
    case KEY_ENUM:
        read_enum(r, node, key);
        break;
    case KEY_TARGETS:
        read_targets(r, node, key);
        break;
    case KEY_STRINGS:
        read_strings(r, node, key);
        break;
    case KEY_NUMBERS:
        read_numbers(r, node, key);
        break;
    case KEY_PATTERNS:
        read_patterns(r, node, key);
        break;
    }
}
