/* core/job/job_value_lists.c - reads the keys of a job file whose value is a list or a mapping. See
 * job_values.c. */
#include "core/job/job_read_impl.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WEIGHT_MAX = 1000 };
enum { DEPTH_MAX = 32 }; /* of a mapping in a job file */

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
static char **order_targets(struct job_reader *r, char **names, int n)
{
    char **ordered = job_list(r, n, sizeof(*ordered));
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
    char **names = job_list(r, node->data.sequence.items.top - item, sizeof(*names));
    struct job_lora *lora = job_field(r->job, key);
    int n = 0;

    for (; names && item < node->data.sequence.items.top; item++) {
        yaml_node_t *entry = yaml_document_get_node(r->doc, *item);
        const char *name = yaml_text(entry), *dot = name ? strrchr(name, '.') : NULL;
        if (name && kind_by_name(dot ? dot + 1 : name) >= 0)
            n += (names[n] = job_copy_text(r, name)) != NULL;
        else
            problems_add(r->problems, r->source, r->is_file ? yaml_line(entry) : 0,
                         "%s: \"%s\" matches no module of any model; there are q_proj, k_proj, "
                         "v_proj, o_proj, gate_proj, up_proj and down_proj, and fused qkv_proj and "
                         "gate_up_proj",
                         key->path, name ? name : "(not a name)");
    }
    lora->target_modules = names ? order_targets(r, names, n) : NULL;
}

/* A list of names, all-linear, or a pattern of whole names, which is checked with the model. */
void job_read_targets(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    struct job_lora *lora = job_field(r->job, key);
    const char *text = yaml_text(node);
    bool is_list = node->type == YAML_SEQUENCE_NODE &&
                   node->data.sequence.items.start < node->data.sequence.items.top;

    if ((!text || !*text || yaml_is_null(node)) && !is_list) {
        job_refuse_value(
            r, node, key,
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
        lora->target_pattern = job_copy_text(r, text);
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
    if (text && end > text && !*end && job_in_range(key, *ret) && (!whole || *ret == floor(*ret)))
        return true;
    one.kind = whole ? KEY_INT : KEY_DOUBLE;
    job_describe_range(&one, expected, sizeof(expected));
    job_refuse_value(r, node, key, expected);
    return false;
}

void job_read_numbers(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    struct job_numbers *numbers = job_field(r->job, key), list = {0};
    bool is_list = node->type == YAML_SEQUENCE_NODE;
    long n = is_list ? node->data.sequence.items.top - node->data.sequence.items.start : 1;
    double x;

    list.of = job_list(r, n, sizeof(*list.of));
    for (long i = 0; list.of && i < n; i++)
        if (read_element(
                r,
                is_list ? yaml_document_get_node(r->doc, node->data.sequence.items.start[i]) : node,
                key, &x))
            list.of[list.n++] = (int)x;
    free(numbers->of);
    *numbers = list;
}

void job_read_patterns(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    struct job_patterns *patterns = job_field(r->job, key), list = {0};
    yaml_node_pair_t *pair;
    double x;

    if (node->type != YAML_MAPPING_NODE) {
        job_refuse_value(r, node, key, "a mapping of patterns to numbers such as {v_proj: 8}");
        return;
    }
    pair = node->data.mapping.pairs.start;
    list.of = job_list(r, node->data.mapping.pairs.top - pair, sizeof(*list.of));
    for (; list.of && pair < node->data.mapping.pairs.top; pair++) {
        const yaml_node_t *name = yaml_document_get_node(r->doc, pair->key);
        if (!yaml_text(name))
            job_refuse_value(r, name, key, "a mapping of patterns to numbers");
        else if (read_element(r, yaml_document_get_node(r->doc, pair->value), key, &x)) {
            list.of[list.n] = (struct job_pattern){job_copy_text(r, yaml_text(name)), x};
            list.n += list.of[list.n].pattern != NULL;
        }
    }
    job_free_patterns(patterns);
    *patterns = list;
}

void job_read_strings(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    char ***field = job_field(r->job, key), **strings;
    yaml_node_item_t *item;
    int n = 0;

    if (node->type != YAML_SEQUENCE_NODE) {
        job_refuse_value(r, node, key, "a list of strings");
        return;
    }
    item = node->data.sequence.items.start;
    strings = job_list(r, node->data.sequence.items.top - item, sizeof(*strings));
    for (; strings && item < node->data.sequence.items.top; item++) {
        yaml_node_t *entry = yaml_document_get_node(r->doc, *item);
        const char *text = yaml_text(entry);
        if (text && *text)
            n += (strings[n] = job_copy_text(r, text)) != NULL;
        else
            job_refuse_value(r, entry, key, "a list of strings");
    }
    job_free_strings(*field);
    *field = strings;
}

/* A path, or {file: path, weight: number}. False after reporting what else it is. */
static bool read_name(struct job_reader *r, const yaml_node_t *node, const struct job_key *key,
                      struct data_name *ret)
{
    const yaml_node_t *file = node, *weight = NULL;
    char path[120];
    const struct job_key number = {path, KEY_DOUBLE, 0, KEY_OPEN, 0, WEIGHT_MAX, NULL};
    bool right = true;

    if (node->type == YAML_MAPPING_NODE) {
        const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
        for (file = NULL; pair < node->data.mapping.pairs.top; pair++) {
            const char *name = yaml_text(yaml_document_get_node(r->doc, pair->key));
            const yaml_node_t *value = yaml_document_get_node(r->doc, pair->value);
            if (name && !strcmp(name, "file"))
                file = value;
            else if (name && !strcmp(name, "weight"))
                weight = value;
            else
                right = false;
        }
    }
    snprintf(path, sizeof(path), "the weight of a file in %s", key->path);
    ret->weight = 1;
    if (!right || !file || !yaml_text(file) || !*yaml_text(file)) {
        job_refuse_value(r, node, key,
                         "a path, or a list of paths and of {file: PATH, weight: NUMBER}");
        return false;
    }
    if (weight && !read_element(r, weight, &number, &ret->weight))
        return false;
    ret->path = job_copy_path(r, yaml_text(file));
    return ret->path != NULL;
}

void job_read_names(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    bool is_list = node->type == YAML_SEQUENCE_NODE;
    long n = is_list ? node->data.sequence.items.top - node->data.sequence.items.start : 1;
    struct data_names *names = job_field(r->job, key), list = {0};

    list.of = job_list(r, n, sizeof(*list.of));
    for (long i = 0; list.of && i < n; i++)
        list.n += read_name(
            r, is_list ? yaml_document_get_node(r->doc, node->data.sequence.items.start[i]) : node,
            key, &list.of[list.n]);
    if (n == 0)
        job_refuse_value(r, node, key,
                         "a path, or a list of paths and of {file: PATH, weight: NUMBER}");
    job_free_names(names);
    if (list.n == 0) {
        free(list.of);
        list.of = NULL;
    }
    *names = list;
}

static json_t *json_of(struct job_reader *r, const yaml_node_t *node, int depth);

/* A plain scalar as YAML's JSON schema reads it; a quoted one is a string. */
static json_t *json_of_scalar(const yaml_node_t *node)
{
    const char *text = yaml_text(node);
    char *end;
    long long whole;
    double real;

    if (node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return json_string(text);
    if (yaml_is_null(node))
        return json_null();
    if (!strcmp(text, "true") || !strcmp(text, "false"))
        return json_boolean(text[0] == 't');
    errno = 0;
    whole = strtoll(text, &end, 10);
    if (*text && !*end && !errno)
        return json_integer(whole);
    real = strtod(text, &end);
    if (*text && !*end && isfinite(real) && strpbrk(text, "0123456789"))
        return json_real(real);
    return json_string(text);
}

static json_t *json_of_mapping(struct job_reader *r, const yaml_node_t *node, int depth)
{
    json_t *object = json_object();
    const yaml_node_pair_t *pair = node->data.mapping.pairs.start;

    for (; object && pair < node->data.mapping.pairs.top; pair++) {
        const char *name = yaml_text(yaml_document_get_node(r->doc, pair->key));
        json_t *value = json_of(r, yaml_document_get_node(r->doc, pair->value), depth + 1);
        if (name && value && json_object_set_new(object, name, value) == 0)
            continue;
        r->no_memory |= name && value;
        json_decref(object);
        return NULL;
    }
    r->no_memory |= !object;
    return object;
}

/* NULL: what JSON cannot hold, or not within DEPTH_MAX; or no memory. */
static json_t *json_of(struct job_reader *r, const yaml_node_t *node, int depth)
{
    json_t *list;

    if (!node || depth > DEPTH_MAX)
        return NULL;
    if (node->type == YAML_SCALAR_NODE) {
        list = json_of_scalar(node);
        r->no_memory |= !list;
        return list;
    }
    if (node->type == YAML_MAPPING_NODE)
        return json_of_mapping(r, node, depth);
    list = json_array();
    r->no_memory |= !list;
    for (const yaml_node_item_t *item = node->data.sequence.items.start;
         list && item < node->data.sequence.items.top; item++)
        if (json_array_append_new(
                list, json_of(r, yaml_document_get_node(r->doc, *item), depth + 1)) < 0) {
            json_decref(list);
            list = NULL;
        }
    return list;
}

void job_read_object(struct job_reader *r, const yaml_node_t *node, const struct job_key *key)
{
    bool texts = key->flags & KEY_TEXTS, right = node->type == YAML_MAPPING_NODE;
    json_t **field = job_field(r->job, key), *object = right ? json_of(r, node, 0) : NULL, *value;
    const char *name;

    right = object != NULL;
    json_object_foreach(object, name, value)
    {
        right &= !texts || json_is_string(value);
    }
    if (!right) {
        json_decref(object);
        job_refuse_value(r, node, key, texts ? "a mapping of names to names" : "a mapping");
        return;
    }
    json_decref(*field);
    *field = json_object_size(object) > 0 ? object : NULL;
    if (!*field)
        json_decref(object);
}
