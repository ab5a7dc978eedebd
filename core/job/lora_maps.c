/* core/job/lora_maps.c - see lora_maps.h.
 *
 * Each module of the model is looked at once: is it a target, in a layer that is adapted, and which
 * pattern decides its rank and its alpha. Whatever setting matched nothing in the end was meant
 * otherwise, and is a problem.
 */
#include "core/job/lora_maps.h"
#include "core/job/job_keys.h"
#include "core/model/module_pattern.h"
#include "core/model/module_values.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* The patterns of one key, compiled. */
struct matcher {
    const char *key;
    const struct job_patterns *patterns;
    struct module_pattern **compiled; /* (n) */
    bool *used;                       /* (n) */
};

struct chooser {
    const struct job *job;
    const struct model_config *config;
    struct lora_maps maps;
    struct module_pattern *target; /* of lora.target_pattern */
    bool *named;                   /* a name of target_modules is matched */
    struct matcher rank, alpha;
    struct problems *problems;
    struct err *err;
};

static void report(const struct chooser *c, const char *key, const char *what)
{
    problems_add(c->problems, c->job->file, job_line(c->job, key), "%s: %s", key, what);
}

/* What a pattern makes wrong is the job's problem; lack of memory is not. */
static int as_problem(const struct chooser *c, const char *key, int rc)
{
    if (rc >= 0 || rc == ERR_NOMEM)
        return rc;
    report(c, key, c->err->text);
    return 0;
}

static int open_matcher(struct chooser *c, struct matcher *m, const char *key,
                        const struct job_patterns *patterns)
{
    size_t n = (size_t)patterns->n;

    *m = (struct matcher){key, patterns, calloc(n + 1, sizeof(struct module_pattern *)),
                          calloc(n + 1, sizeof(bool))};
    if (!m->compiled || !m->used)
        return err_nomem(c->err, n * sizeof(void *));
    for (size_t i = 0; i < n; i++) {
        int rc =
            module_pattern_open(patterns->of[i].pattern, PATTERN_TAIL, &m->compiled[i], c->err);
        if (as_problem(c, key, rc) < 0)
            return rc;
    }
    return 0;
}

static void close_matcher(struct matcher *m)
{
    for (int i = 0; m->compiled && i < m->patterns->n; i++)
        module_pattern_free(m->compiled[i]);
    free(m->compiled);
    free(m->used);
}

/* The value of the first pattern that matches, else `other`. */
static double match_value(struct chooser *c, struct matcher *m, const char *name, double other)
{
    for (int i = 0; i < m->patterns->n; i++) {
        int rc = m->compiled[i] ? module_pattern_matches(m->compiled[i], name, c->err) : 0;
        if (rc < 0) {
            as_problem(c, m->key, rc);
            module_pattern_free(m->compiled[i]);
            m->compiled[i] = NULL;
            m->used[i] = true; /* it is a problem already */
        }
        if (rc > 0) {
            m->used[i] = true;
            return m->patterns->of[i].value;
        }
    }
    return other;
}

/* Whether name is `tail`, or ends in it behind a dot. */
static bool ends_in(const char *name, const char *tail)
{
    size_t len = strlen(name), tail_len = strlen(tail);

    return len >= tail_len && strcmp(name + len - tail_len, tail) == 0 &&
           (len == tail_len || name[len - tail_len - 1] == '.');
}

static bool is_in_layers(const struct job_numbers *layers, int layer)
{
    for (int i = 0; i < layers->n; i++)
        if (layers->of[i] == layer)
            return true;
    return layers->n == 0;
}

static bool is_target(struct chooser *c, const char *name)
{
    const struct job_lora *lora = &c->job->lora;
    bool found = lora->all_linear;
    int rc;

    if (c->target) {
        rc = module_pattern_matches(c->target, name, c->err);
        if (rc < 0) {
            as_problem(c, "lora.target_modules", rc);
            module_pattern_free(c->target);
            c->target = NULL;
        }
        return rc > 0;
    }
    for (int i = 0; lora->target_modules && lora->target_modules[i]; i++)
        if (ends_in(name, lora->target_modules[i]))
            found = c->named[i] = true;
    return found;
}

static void choose_map(struct chooser *c, int layer, enum module_kind kind)
{
    const struct job_lora *lora = &c->job->lora;
    char name[MODULE_NAME_MAX];

    module_full_name(layer, kind, name);
    if (!is_target(c, name) || !is_in_layers(&lora->layers, layer))
        return;
    c->maps.of[c->maps.n++] = (struct lora_map){
        .layer = layer,
        .kind = kind,
        .rank = (int)match_value(c, &c->rank, name, lora->rank),
        .alpha = match_value(c, &c->alpha, name, lora->alpha),
    };
}

static void report_names(const struct chooser *c)
{
    char **names = c->job->lora.target_modules, has[200];

    model_module_names(c->config, has, sizeof(has));
    for (int i = 0; names && names[i]; i++)
        if (!c->named[i])
            problems_add(c->problems, c->job->file, job_line(c->job, "lora.target_modules"),
                         "lora.target_modules: a %s has no %.100s; it has %s",
                         c->config->architecture, names[i], has);
}

static void report_layers(const struct chooser *c)
{
    const struct job_numbers *layers = &c->job->lora.layers;

    for (int i = 0; i < layers->n; i++)
        if (layers->of[i] >= c->config->n_layers)
            problems_add(c->problems, c->job->file, job_line(c->job, "lora.layers"),
                         "lora.layers has %d, but the model has %d layers, from 0 to %d",
                         layers->of[i], c->config->n_layers, c->config->n_layers - 1);
}

static void report_patterns(const struct chooser *c, const struct matcher *m)
{
    for (int i = 0; i < m->patterns->n; i++)
        if (!m->used[i] && m->compiled[i])
            problems_add(c->problems, c->job->file, job_line(c->job, m->key),
                         "%s: \"%.100s\" matches no module that is adapted, or only modules that "
                         "a pattern before it matches",
                         m->key, m->patterns->of[i].pattern);
}

/* before: the number of problems before the choice. */
static void report_unused(const struct chooser *c, int before)
{
    report_names(c);
    report_layers(c);
    if (c->maps.n == 0 && problems_count(c->problems) == before)
        report(c, "lora.target_modules",
               c->job->lora.target_pattern ? "the pattern matches the whole name of no module, "
                                             "such as model.layers.0.self_attn.q_proj"
                                           : "no module of the model is adapted");
    if (c->maps.n == 0)
        return;
    report_patterns(c, &c->rank);
    report_patterns(c, &c->alpha);
}

static int open_chooser(struct chooser *c)
{
    const struct job_lora *lora = &c->job->lora;
    size_t n = (size_t)c->config->n_layers * MODULE_SLOTS, names = 0;
    int rc = 0;

    while (lora->target_modules && lora->target_modules[names])
        names++;
    c->maps.scaling = lora->scaling;
    c->maps.of = calloc(n + 1, sizeof(*c->maps.of));
    c->named = calloc(names + 1, sizeof(*c->named));
    if (!c->maps.of || !c->named)
        return err_nomem(c->err, n * sizeof(*c->maps.of));
    if (lora->target_pattern)
        rc = as_problem(
            c, "lora.target_modules",
            module_pattern_open(lora->target_pattern, PATTERN_WHOLE, &c->target, c->err));
    if (rc == 0)
        rc = open_matcher(c, &c->rank, "lora.rank_pattern", &lora->rank_pattern);
    if (rc == 0)
        rc = open_matcher(c, &c->alpha, "lora.alpha_pattern", &lora->alpha_pattern);
    return rc;
}

int lora_maps_choose(const struct job *job, const struct model_config *config,
                     struct lora_maps *ret, struct problems *problems, struct err *err)
{
    struct chooser c = {.job = job, .config = config, .problems = problems, .err = err};
    int before = problems_count(problems), rc = open_chooser(&c);

    if (rc == 0 && problems_count(problems) == before) {
        for (int layer = 0; layer < config->n_layers; layer++)
            for (int kind = 0; kind < MODULE_KINDS; kind++)
                if (model_has_module(config, kind))
                    choose_map(&c, layer, kind);
        if (problems_count(problems) == before)
            report_unused(&c, before);
    }
    if (rc == 0 && problems_count(problems) > before)
        rc = err_set(err, ERR_INVALID, "the settings of LoRA do not fit the model");
    module_pattern_free(c.target);
    close_matcher(&c.rank);
    close_matcher(&c.alpha);
    free(c.named);
    if (rc < 0)
        lora_maps_free(&c.maps);
    else
        *ret = c.maps;
    return rc;
}

int lora_maps_of_adapter(const struct adapter *a, struct lora_maps *ret, struct err *err)
{
    struct lora_maps maps = {.scaling = a->rslora ? SCALING_RSLORA : SCALING_STANDARD};

    maps.of = calloc((size_t)a->n + 1, sizeof(*maps.of));
    if (!maps.of)
        return err_nomem(err, (size_t)a->n * sizeof(*maps.of));
    for (int i = 0; i < a->n; i++)
        maps.of[maps.n++] =
            (struct lora_map){a->maps[i].layer, a->maps[i].kind, a->maps[i].rank, a->maps[i].alpha};
    *ret = maps;
    return 0;
}

void lora_maps_free(struct lora_maps *maps)
{
    free(maps->of);
    *maps = (struct lora_maps){0};
}

int lora_maps_find(const struct lora_maps *maps, int layer, enum module_kind kind)
{
    for (int i = 0; i < maps->n; i++)
        if (maps->of[i].layer == layer && maps->of[i].kind == kind)
            return i;
    return -1;
}
