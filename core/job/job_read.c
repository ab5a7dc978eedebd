/* core/job/job_read.c - reads a job file.
 *
 * The YAML document is walked once against the table of keys (job_keys.c). A value that cannot be
 * taken adds a problem and leaves the default, so that one mistake does not hide another. Overrides
 * are walked in the same way after the file and win over it. What concerns several keys is checked
 * last.
 */
#include "core/job/job_read.h"
#include "core/file.h"
#include "core/job/job_keys.h"
#include "core/job/job_slurm.h"
#include "core/utf8.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { NAME_BYTES_MAX = 128 };

struct reader {
    struct job *job;
    const char *source; /* the file, or the override's text: named in problems */
    const char *directory;
    bool is_file;
    bool is_yaml; /* the file */
    bool *seen;   /* a key of job_keys, in this source */
    yaml_document_t *doc;
    struct problems *problems;
};

static int line_of(const yaml_node_t *node)
{
    return (int)node->start_mark.line + 1;
}

static void *field_of(struct job *job, const struct job_key *key)
{
    return (char *)job + key->offset;
}

/* NULL for anything but a scalar; "" for an empty one. */
static const char *scalar_text(const yaml_node_t *node)
{
    return node->type == YAML_SCALAR_NODE ? (const char *)node->data.scalar.value : NULL;
}

static bool is_null(const yaml_node_t *node)
{
    const char *text = scalar_text(node);

    return text && node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
           (!*text || !strcmp(text, "null") || !strcmp(text, "~"));
}

static void refuse_value(struct reader *r, const yaml_node_t *node, const struct job_key *key,
                         const char *expected)
{
    const char *text = scalar_text(node);

    problems_add(r->problems, r->source, r->is_file ? line_of(node) : 0,
                 "%s must be %s, not %s%s%s", key->path, expected, text ? "\"" : "",
                 text ? text : "a list or mapping", text ? "\"" : "");
}

static void read_string(struct reader *r, const yaml_node_t *node, const struct job_key *key)
{
    const char *text = scalar_text(node);
    char **field = field_of(r->job, key), *copy;

    if (!text || !*text) {
        refuse_value(r, node, key, key->kind == KEY_PATH ? "a path" : "a non-empty string");
        return;
    }
    copy = key->kind == KEY_PATH ? file_join(r->directory, text) : strdup(text);
    free(*field);
    *field = copy;
}

static void read_bool(struct reader *r, const yaml_node_t *node, const struct job_key *key)
{
    const char *text = scalar_text(node);
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

static void read_number(struct reader *r, const yaml_node_t *node, const struct job_key *key)
{
    const char *text = scalar_text(node);
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

static void read_seed(struct reader *r, const yaml_node_t *node, const struct job_key *key)
{
    const char *text = scalar_text(node);
    unsigned long long x;
    char *end = NULL;

    errno = 0;
    x = text ? strtoull(text, &end, 10) : 0;
    if (!text || end == text || *end || errno || strchr(text, '-'))
        refuse_value(r, node, key, "an integer from 0 to 18446744073709551615");
    else
        *(uint64_t *)field_of(r->job, key) = x;
}

static void read_enum(struct reader *r, const yaml_node_t *node, const struct job_key *key)
{
    const char *text = scalar_text(node);
    struct buf expected = {0};
    int i;

    for (i = 0; text && key->names[i]; i++) {
        if (!strcmp(text, key->names[i])) {
            *(int *)field_of(r->job, key) = i;
            return;
        }
    }
    if (text && !strcmp(key->path, "training.precision") && !strcmp(text, "bf16")) {
        problems_add(r->problems, r->source, r->is_file ? line_of(node) : 0,
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

static void read_targets(struct reader *r, const yaml_node_t *node, const struct job_key *key)
{
    bool *targets = field_of(r->job, key);
    yaml_node_item_t *item;

    r->job->all_linear = scalar_text(node) && !strcmp(scalar_text(node), "all-linear");
    if (r->job->all_linear) {
        for (int kind = 0; kind < MODULE_KINDS; kind++)
            targets[kind] = true;
        return;
    }
    if (node->type != YAML_SEQUENCE_NODE ||
        node->data.sequence.items.start == node->data.sequence.items.top) {
        refuse_value(r, node, key,
                     "a list of module names such as [q_proj, v_proj], or all-linear");
        return;
    }
    memset(targets, 0, MODULE_KINDS * sizeof(*targets));
    for (item = node->data.sequence.items.start; item < node->data.sequence.items.top; item++) {
        yaml_node_t *entry = yaml_document_get_node(r->doc, *item);
        const char *name = scalar_text(entry);
        int kind = name ? kind_by_name(name) : -1;
        if (kind >= 0)
            targets[kind] = true;
        else
            problems_add(r->problems, r->source, r->is_file ? line_of(entry) : 0,
                         "%s: \"%s\" matches no module of any model; there are q_proj, k_proj, "
                         "v_proj, o_proj, gate_proj, up_proj and down_proj, and fused qkv_proj and "
                         "gate_up_proj",
                         key->path, name ? name : "(not a name)");
    }
}

static void read_strings(struct reader *r, const yaml_node_t *node, const struct job_key *key)
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
        const char *text = scalar_text(entry);
        if (text && *text)
            strings[n++] = strdup(text);
        else
            refuse_value(r, entry, key, "a list of strings");
    }
    job_free_strings(*field);
    *field = strings;
}

static void read_absent(struct reader *r, const struct job_key *key)
{
    void *field = field_of(r->job, key);

    if (key->kind == KEY_STRING || key->kind == KEY_PATH) {
        free(*(char **)field);
        *(char **)field = NULL;
    } else if (key->kind == KEY_STRINGS) {
        job_free_strings(*(char ***)field);
        *(char ***)field = NULL;
    } else if (key->kind == KEY_DOUBLE) {
        *(double *)field = 0;
    } else {
        *(int *)field = 0;
    }
}

static void read_value(struct reader *r, const yaml_node_t *node, const struct job_key *key)
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
    }
}

static void read_key(struct reader *r, const yaml_node_t *value, const struct job_key *key)
{
    int i = (int)(key - job_keys);

    if (r->seen[i])
        problems_add(r->problems, r->source, r->is_file ? line_of(value) : 0, "%s is given twice",
                     key->path);
    r->seen[i] = r->job->given[i] = true;
    r->job->lines[i] = r->is_file ? line_of(value) : 0;
    read_value(r, value, key);
}

static void unknown_key(struct reader *r, const yaml_node_t *node, const char *path)
{
    const char *near = job_key_suggest(path);

    problems_add(r->problems, r->source, r->is_file ? line_of(node) : 0,
                 near ? "unknown key %s: did you mean %s?" : "unknown key %s%s", path,
                 near ? near : ": see the README for the keys of a job file");
}

static void walk_mapping(struct reader *r, yaml_node_t *mapping, const char *prefix);

static void walk_pair(struct reader *r, yaml_node_t *name, yaml_node_t *value, const char *prefix)
{
    const struct job_key *key;
    char path[200];

    snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "",
             scalar_text(name) ? scalar_text(name) : "?");
    key = job_key_find(path);
    if (key)
        read_key(r, value, key);
    else if (!job_key_is_section(path))
        unknown_key(r, name, path);
    else if (value->type == YAML_MAPPING_NODE)
        walk_mapping(r, value, path);
    else
        problems_add(r->problems, r->source, r->is_file ? line_of(name) : 0,
                     "%s is a section: its keys go below it, indented, or in {braces}", path);
}

static void walk_mapping(struct reader *r, yaml_node_t *mapping, const char *prefix)
{
    yaml_node_pair_t *pair;

    for (pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top; pair++)
        walk_pair(r, yaml_document_get_node(r->doc, pair->key),
                  yaml_document_get_node(r->doc, pair->value), prefix);
}

/* Loads text as one document. False after adding the parser's message. */
static bool load_document(struct reader *r, const char *text, yaml_document_t *doc)
{
    yaml_parser_t parser;
    bool ok;

    if (!yaml_parser_initialize(&parser)) {
        problems_add(r->problems, r->source, 0, "out of memory");
        return false;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    ok = yaml_parser_load(&parser, doc);
    if (!ok)
        problems_add(r->problems, r->source, r->is_file ? (int)parser.problem_mark.line + 1 : 0,
                     "this is not YAML: %s%s%s", parser.problem ? parser.problem : "bad text",
                     parser.context ? ", " : "", parser.context ? parser.context : "");
    yaml_parser_delete(&parser);
    return ok;
}

static void read_file_text(struct reader *r, const char *text)
{
    yaml_document_t doc;
    yaml_node_t *root;

    r->is_yaml = load_document(r, text, &doc);
    if (!r->is_yaml)
        return;
    r->doc = &doc;
    root = yaml_document_get_root_node(&doc);
    if (root && root->type == YAML_MAPPING_NODE)
        walk_mapping(r, root, "");
    else
        problems_add(r->problems, r->source, 1,
                     "a job file is a list of `key: value` lines; this one holds none");
    yaml_document_delete(&doc);
}

static bool is_text_key(const char *path)
{
    const struct job_key *key = job_key_find(path);

    return key && (key->kind == KEY_STRING || key->kind == KEY_PATH);
}

static void read_override(struct reader *r, const char *text)
{
    const char *equals = strchr(text, '=');
    yaml_document_t doc;
    yaml_node_t *root, name = {.type = YAML_SCALAR_NODE}, literal = {.type = YAML_SCALAR_NODE};
    char path[200];

    if (!equals || equals == text) {
        problems_add(r->problems, r->source, 0, "an override reads key.path=value");
        return;
    }
    snprintf(path, sizeof(path), "%.*s", (int)(equals - text), text);
    if (!load_document(r, equals[1] ? equals + 1 : "''", &doc))
        return;
    r->doc = &doc;
    name.data.scalar.value = (yaml_char_t *)path;
    root = yaml_document_get_root_node(&doc);
    /* Text is taken as it stands where YAML would see structure in it. */
    if (root && root->type != YAML_SCALAR_NODE && is_text_key(path)) {
        literal.data.scalar.value = (yaml_char_t *)equals + 1;
        root = &literal;
    }
    if (root)
        walk_pair(r, &name, root, "");
    else
        problems_add(r->problems, r->source, 0, "an override reads key.path=value");
    yaml_document_delete(&doc);
}

static int set_defaults(struct job *job, const char *file)
{
    static const enum module_kind defaults[] = {MODULE_Q, MODULE_K, MODULE_V, MODULE_UP,
                                                MODULE_DOWN};
    size_t i;

    *job = (struct job){
        .data = {.max_tokens = 256, .shuffle = true},
        .method = METHOD_LORA_DASH,
        .lora = {.rank = 16, .alpha = 32},
        .dash = {.prelaunch_steps = 100, .directions = 8},
        .training = {.batch_size = 16, .micro_batch_tokens = 512},
        .optimizer = {.learning_rate = 2e-4,
                      .schedule = SCHEDULE_LINEAR,
                      .warmup_steps = 10,
                      .beta1 = 0.9,
                      .beta2 = 0.999,
                      .epsilon = 1e-8,
                      .clip_norm = 1.0},
        .parallel = {.stages = 1, .replicas = 1},
        .max_restarts = 3,
        .slurm = {.workers_per_node = 1, .grace_seconds = 120},
    };
    for (i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
        job->lora.targets[defaults[i]] = true;
    job->lines = calloc((size_t)n_job_keys, sizeof(*job->lines));
    job->given = calloc((size_t)n_job_keys, sizeof(*job->given));
    job->file = file ? strdup(file) : NULL;
    return job->lines && job->given && (job->file || !file) ? 0 : -1;
}

static void check_required(struct job *job, struct problems *problems)
{
    int i;

    for (i = 0; i < n_job_keys; i++) {
        if ((job_keys[i].flags & KEY_REQUIRED) && !*(char **)field_of(job, &job_keys[i]) &&
            !job->lines[i])
            problems_add(problems, job->file, 0, "%s is missing: every job must have it",
                         job_keys[i].path);
    }
}

static void check_name(const struct job *job, struct problems *problems)
{
    int line = job_line(job, "name");

    if (job->name && strlen(job->name) > NAME_BYTES_MAX)
        problems_add(problems, job->file, line, "name must have at most %d bytes", NAME_BYTES_MAX);
    if (job->name && !utf8_is_printable(job->name, UTF8_ONE_LINE))
        problems_add(problems, job->file, line,
                     "name must not have line breaks or other control characters");
}

static void check_together(struct job *job, struct problems *problems)
{
    check_required(job, problems);
    check_name(job, problems);
    if (job->training.steps && job->training.epochs > 0)
        problems_add(problems, job->file, job_line(job, "training.epochs"),
                     "training.steps and training.epochs are both given: keep one");
    if (job->parallel.replicas & (job->parallel.replicas - 1))
        problems_add(problems, job->file, job_line(job, "parallel.replicas"),
                     "parallel.replicas is %d: it must be a power of two, so that the result does "
                     "not depend on it",
                     job->parallel.replicas);
    if (job->launcher == LAUNCHER_SLURM)
        job_slurm_check(job, problems);
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash && slash[1] ? slash + 1 : path;
}

/* A name stands in tables and logs: what would act on a terminal is spelled out. */
static char *default_name(const char *output)
{
    struct buf name = {0};
    char *text;

    utf8_escape(base_name(output), UTF8_ONE_LINE, &name);
    text = buf_take(&name);
    if (text)
        text[utf8_fit(text, NAME_BYTES_MAX)] = '\0';
    return text;
}

static void fill_in(struct job *job)
{
    size_t len = job->output ? strlen(job->output) : 0;

    while (len > 1 && job->output[len - 1] == '/')
        job->output[--len] = '\0';
    if (!job->name && job->output)
        job->name = default_name(job->output);
    if (!job->training.steps && job->training.epochs == 0)
        job->training.steps = 300;
    if (job->method == METHOD_LORA)
        job->dash.prelaunch_steps = job->dash.directions = 0;
    if (job->launcher == LAUNCHER_LOCAL) { /* auto: one process has the machine's cores */
        job->parallel.stages = job->parallel.stages ? job->parallel.stages : 1;
        job->parallel.replicas = job->parallel.replicas ? job->parallel.replicas : 1;
    }
}

static int read_sources(struct reader *r, const char *text, const char *file,
                        const char *const *sets, int n_sets)
{
    int i;

    r->seen = calloc((size_t)n_job_keys, sizeof(*r->seen));
    if (!r->seen)
        return -1;
    r->source = file;
    r->is_file = true;
    read_file_text(r, text);
    r->is_file = false;
    for (i = 0; i < n_sets; i++) {
        char source[240];
        snprintf(source, sizeof(source), "--set %s", sets[i]);
        memset(r->seen, 0, (size_t)n_job_keys * sizeof(*r->seen));
        r->source = source;
        read_override(r, sets[i]);
    }
    free(r->seen);
    return 0;
}

int job_read(const char *text, const char *file, const char *directory, const char *const *sets,
             int n_sets, struct job **ret_job, struct problems *problems, struct err *err)
{
    struct reader r = {.directory = directory, .problems = problems};

    r.job = calloc(1, sizeof(*r.job));
    if (!r.job || set_defaults(r.job, file) < 0 || read_sources(&r, text, file, sets, n_sets) < 0) {
        job_free(r.job);
        return err_nomem(err, sizeof(*r.job));
    }
    if (r.is_yaml) /* else nobody knows which keys are missing */
        check_together(r.job, problems);
    fill_in(r.job);
    *ret_job = r.job;
    return 0;
}

int job_parse(const char *text, const char *file, const char *directory, const char *const *sets,
              int n_sets, struct job **ret_job, struct problems *problems, struct err *err)
{
    int before = problems_count(problems), found;
    struct job *job;
    int rc = job_read(text, file, directory, sets, n_sets, &job, problems, err);

    if (rc < 0)
        return rc;
    found = problems_count(problems) - before;
    if (found > 0) {
        job_free(job);
        return err_set(err, ERR_INVALID, "%s has %d problem%s", file ? file : "the job", found,
                       found == 1 ? "" : "s");
    }
    *ret_job = job;
    return 0;
}

int job_from_yaml(const char *yaml, struct job **ret_job, struct err *err)
{
    struct problems problems = {0};
    int rc = job_parse(yaml, NULL, "/", NULL, 0, ret_job, &problems, err);

    if (rc < 0 && problems.n)
        err_set(err, rc, "%s", problems.items[0].text);
    problems_free(&problems);
    return rc;
}
