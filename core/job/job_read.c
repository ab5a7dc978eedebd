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
#include "core/job/job_read_impl.h"
#include "core/job/job_slurm.h"
#include "core/utf8.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES_MAX = 128, PRELAUNCH_STEPS = 100 };
static const double CACHE_BYTES = 16.0 * (1 << 30);

static void read_key(struct job_reader *r, const yaml_node_t *value, const struct job_key *key)
{
    int i = (int)(key - job_keys);

    if (r->seen[i])
        problems_add(r->problems, r->source, r->is_file ? yaml_line(value) : 0, "%s is given twice",
                     key->path);
    r->seen[i] = r->job->given[i] = true;
    r->job->lines[i] = r->is_file ? yaml_line(value) : 0;
    job_value_read(r, value, key);
}

static void unknown_key(struct job_reader *r, const yaml_node_t *node, const char *path)
{
    const char *near = job_key_suggest(path);

    problems_add(r->problems, r->source, r->is_file ? yaml_line(node) : 0,
                 near ? "unknown key %s: did you mean %s?" : "unknown key %s%s", path,
                 near ? near : ": see the README for the keys of a job file");
}

static void walk_mapping(struct job_reader *r, yaml_node_t *mapping, const char *prefix);

static void walk_pair(struct job_reader *r, yaml_node_t *name, yaml_node_t *value,
                      const char *prefix)
{
    const struct job_key *key;
    char path[200];

    snprintf(path, sizeof(path), "%s%s%s", prefix, *prefix ? "." : "",
             yaml_text(name) ? yaml_text(name) : "?");
    key = job_key_find(path);
    if (key)
        read_key(r, value, key);
    else if (!job_key_is_section(path))
        unknown_key(r, name, path);
    else if (value->type == YAML_MAPPING_NODE)
        walk_mapping(r, value, path);
    else
        problems_add(r->problems, r->source, r->is_file ? yaml_line(name) : 0,
                     "%s is a section: its keys go below it, indented, or in {braces}", path);
}

static void walk_mapping(struct job_reader *r, yaml_node_t *mapping, const char *prefix)
{
    yaml_node_pair_t *pair;

    for (pair = mapping->data.mapping.pairs.start; pair < mapping->data.mapping.pairs.top; pair++)
        walk_pair(r, yaml_document_get_node(r->doc, pair->key),
                  yaml_document_get_node(r->doc, pair->value), prefix);
}

/* Loads text as one document. False after adding the parser's message. */
static bool load_document(struct job_reader *r, const char *text, yaml_document_t *doc)
{
    yaml_parser_t parser;
    bool ok;

    if (!yaml_parser_initialize(&parser)) {
        r->no_memory = true;
        return false;
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, strlen(text));
    ok = yaml_parser_load(&parser, doc);
    r->no_memory |= !ok && parser.error == YAML_MEMORY_ERROR;
    if (!ok)
        problems_add(r->problems, r->source, r->is_file ? (int)parser.problem_mark.line + 1 : 0,
                     "this is not YAML: %s%s%s", parser.problem ? parser.problem : "bad text",
                     parser.context ? ", " : "", parser.context ? parser.context : "");
    yaml_parser_delete(&parser);
    return ok;
}

static void read_file_text(struct job_reader *r, const char *text)
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

static void read_override(struct job_reader *r, const char *text)
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
    enum { DEFAULTS = sizeof(defaults) / sizeof(defaults[0]) };
    char **targets = calloc(DEFAULTS + 1, sizeof(*targets));

    *job = (struct job){
        .data = {.max_tokens = 256, .shuffle = true},
        .method = METHOD_LORA_DASH,
        .lora = {.rank = 16, .alpha = 32},
        .dash = {.prelaunch_steps = PRELAUNCH_STEPS, .directions = 8},
        .training = {.batch_size = 16, .micro_batches = 1, .micro_batch_tokens = 512},
        .optimizer = {.learning_rate = 2e-4,
                      .schedule = SCHEDULE_LINEAR,
                      .warmup_steps = 10,
                      .beta1 = 0.9,
                      .beta2 = 0.999,
                      .epsilon = 1e-8,
                      .clip_norm = 1.0},
        .parallel = {.stages = 1, .replicas = 1},
        .cache = {.max_bytes = CACHE_BYTES},
        .max_restarts = 3,
        .slurm = {.workers_per_node = 1, .grace_seconds = 120},
    };
    job->lora.target_modules = targets;
    for (int i = 0; targets && i < DEFAULTS; i++)
        if (!(targets[i] = strdup(module_kind_name(defaults[i]))))
            return -1;
    job->lines = calloc((size_t)n_job_keys, sizeof(*job->lines));
    job->given = calloc((size_t)n_job_keys, sizeof(*job->given));
    job->file = file ? strdup(file) : NULL;
    return targets && job->lines && job->given && (job->file || !file) ? 0 : -1;
}

static void check_required(struct job *job, struct problems *problems)
{
    int i;

    for (i = 0; i < n_job_keys; i++) {
        if ((job_keys[i].flags & KEY_REQUIRED) && !*(char **)((char *)job + job_keys[i].offset) &&
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

/* 0: it is not known yet. */
static void check_power_of_two(const struct job *job, const char *key, int value,
                               struct problems *problems)
{
    if (value & (value - 1))
        problems_add(problems, job->file, job_line(job, key),
                     "%s is %d: it must be a power of two, so that the result does not depend on "
                     "the number of replicas",
                     key, value);
}

/* What is measured, and when, for those keys that need evaluations. */
static void check_evaluations(const struct job *job, struct problems *problems)
{
    const struct job_training *t = &job->training;
    const char *key =
        t->early_stop_patience ? "training.early_stop_patience" : "training.keep_best";

    if ((t->early_stop_patience || t->keep_best) && !job->data.eval.n)
        problems_add(problems, job->file, job_line(job, key),
                     "%s needs data.eval: the rows that the evaluation loss is measured on", key);
    if ((t->early_stop_patience || t->keep_best) && !t->eval_every)
        problems_add(problems, job->file, job_line(job, key),
                     "%s needs training.eval_every: the steps between two evaluations", key);
    if (t->early_stop_gain > 0 && !t->early_stop_patience)
        problems_add(problems, job->file, job_line(job, "training.early_stop_gain"),
                     "training.early_stop_gain needs training.early_stop_patience: the number of "
                     "evaluations without that gain after which the job ends");
}

static void check_together(struct job *job, struct problems *problems)
{
    check_required(job, problems);
    check_name(job, problems);
    if (job->training.steps && job->training.epochs > 0)
        problems_add(problems, job->file, job_line(job, "training.epochs"),
                     "training.steps and training.epochs are both given: keep one");
    if (job->dash.continues && job_is_given(job, "dash.prelaunch_steps") &&
        job->dash.prelaunch_steps > 0)
        problems_add(problems, job->file, job_line(job, "dash.prelaunch_steps"),
                     "dash.prelaunch_steps must be null with dash.continue: true, which trains the "
                     "directions of lora.init_adapter from the first step on");
    if (job->dash.continues && !job->lora.init_adapter)
        problems_add(problems, job->file, job_line(job, "dash.continue"),
                     "dash.continue is true, but lora.init_adapter does not say what to continue");
    check_evaluations(job, problems);
    if (job->lora.target_pattern && job->lora.layers.n)
        problems_add(problems, job->file, job_line(job, "lora.layers"),
                     "lora.layers cannot be given beside a pattern in lora.target_modules: the "
                     "pattern itself chooses the layers");
    check_power_of_two(job, "training.micro_batches", job->training.micro_batches, problems);
    check_power_of_two(job, "parallel.replicas", job->parallel.replicas, problems);
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

/* -1 without memory. */
static int fill_in(struct job *job)
{
    size_t len = job->output ? strlen(job->output) : 0;

    while (len > 1 && job->output[len - 1] == '/')
        job->output[--len] = '\0';
    if (!job->name && job->output)
        job->name = default_name(job->output);
    if (!job->training.steps && job->training.epochs == 0)
        job->training.steps = 300;
    if (job->training.early_stop_patience && !job_is_given(job, "training.keep_best"))
        job->training.keep_best = true;
    if (job->method == METHOD_LORA)
        job->dash = (struct job_dash){0};
    if (job->dash.continues)
        job->dash.prelaunch_steps = 0;
    else if (job->method == METHOD_LORA_DASH && !job->dash.prelaunch_steps)
        job->dash.prelaunch_steps = PRELAUNCH_STEPS;
    if (job->launcher == LAUNCHER_LOCAL) { /* auto: one process has the machine's cores */
        job->parallel.stages = job->parallel.stages ? job->parallel.stages : 1;
        job->parallel.replicas = job->parallel.replicas ? job->parallel.replicas : 1;
    }
    return job->name || !job->output ? 0 : -1;
}

static int read_sources(struct job_reader *r, const char *text, const char *file,
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
    struct job_reader r = {.directory = directory, .problems = problems};

    r.job = calloc(1, sizeof(*r.job));
    if (!r.job || set_defaults(r.job, file) < 0 || read_sources(&r, text, file, sets, n_sets) < 0 ||
        r.no_memory) {
        job_free(r.job);
        return err_nomem(err, sizeof(*r.job));
    }
    if (r.is_yaml) /* else nobody knows which keys are missing */
        check_together(r.job, problems);
    if (fill_in(r.job) < 0) {
        job_free(r.job);
        return err_nomem(err, sizeof(*r.job));
    }
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
