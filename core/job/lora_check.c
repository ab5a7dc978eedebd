/* core/job/lora_check.c - see lora_check.h. The adapter's maps and the job's are made the same kind
 * of list first; what differs between two lists is the problem to report. */
#include "core/job/lora_check.h"
#include "core/job/job_keys.h"
#include "core/job/lora_maps.h"
#include "core/job/lora_source.h"
#include "core/model/adapter.h"
#include "core/model/module_values.h"
#include <stdlib.h>
#include <string.h>

enum { LISTED_MAX = 10 }; /* modules of one kind of problem */

/* ---- settings taken from an adapter ---- */

/* Whether every layer from 0 on has the kinds that layer 0 has. */
static bool is_uniform(const struct lora_maps *maps, const struct model_config *c)
{
    int per_layer = 0;

    while (per_layer < maps->n && maps->of[per_layer].layer == 0)
        per_layer++;
    if (per_layer == 0 || maps->n != per_layer * c->n_layers)
        return false;
    for (int i = 0; i < maps->n; i++)
        if (maps->of[i].layer != i / per_layer || maps->of[i].kind != maps->of[i % per_layer].kind)
            return false;
    return true;
}

/* Kinds where all layers are alike, else each module by its name. */
static int set_targets(struct job_lora *lora, const struct lora_maps *maps,
                       const struct model_config *c, struct err *err)
{
    bool uniform = is_uniform(maps, c);
    int n = uniform ? maps->n / c->n_layers : maps->n;
    char **names = calloc((size_t)n + 1, sizeof(*names)), name[MODULE_NAME_MAX];

    for (int i = 0; names && i < n; i++) {
        module_full_name(maps->of[i].layer, maps->of[i].kind, name);
        names[i] = strdup(uniform ? module_kind_name(maps->of[i].kind) : name);
        if (!names[i])
            return job_free_strings(names), err_nomem(err, sizeof(name));
    }
    if (!names)
        return err_nomem(err, (size_t)n * sizeof(*names));
    job_free_strings(lora->target_modules);
    lora->target_modules = names;
    lora->all_linear = false;
    return 0;
}

static int set_patterns(struct job_patterns *patterns, const struct module_values *values,
                        struct err *err)
{
    struct job_pattern *of = calloc((size_t)values->n + 1, sizeof(*of));

    if (!of)
        return err_nomem(err, (size_t)values->n * sizeof(*of));
    free(patterns->of); /* was empty: the job gives none */
    *patterns = (struct job_patterns){of, 0};
    for (int i = 0; i < values->n; i++) {
        of[i] =
            (struct job_pattern){strdup(values->exceptions[i].name), values->exceptions[i].value};
        if (!of[i].pattern)
            return err_nomem(err, MODULE_NAME_MAX);
        patterns->n++;
    }
    return 0;
}

/* Splits the ranks or the alphas of all maps. Caller frees *ret. */
static int split(const struct lora_maps *maps, bool ranks, struct module_values *ret,
                 struct err *err)
{
    struct module_value *values = calloc((size_t)maps->n + 1, sizeof(*values));
    int rc;

    *ret = (struct module_values){0};
    if (!values)
        return err_nomem(err, (size_t)maps->n * sizeof(*values));
    for (int i = 0; i < maps->n; i++)
        values[i] = (struct module_value){maps->of[i].layer, maps->of[i].kind,
                                          ranks ? maps->of[i].rank : maps->of[i].alpha};
    rc = module_values_split(values, maps->n, ret, err);
    free(values);
    return rc;
}

/* Whether the job leaves a number and its exceptions to the adapter; one that it gives, without
 * exceptions, may be the adapter's own. */
static bool is_left(const struct job *job, const char *key, const char *pattern_key, double ours,
                    double its)
{
    return !job_is_given(job, pattern_key) && (!job_is_given(job, key) || ours == its);
}

static int adopt_ranks(struct job *job, const struct lora_maps *maps, struct err *err)
{
    struct job_lora *lora = &job->lora;
    struct module_values v;
    int rc = split(maps, true, &v, err);

    if (rc == 0 && is_left(job, "lora.rank", "lora.rank_pattern", lora->rank, v.common)) {
        lora->rank = (int)v.common;
        rc = set_patterns(&lora->rank_pattern, &v, err);
    }
    module_values_free(&v);
    return rc;
}

static int adopt_alphas(struct job *job, const struct lora_maps *maps, struct err *err)
{
    struct job_lora *lora = &job->lora;
    struct module_values v;
    int rc = split(maps, false, &v, err);

    if (rc == 0 && is_left(job, "lora.alpha", "lora.alpha_pattern", lora->alpha, v.common)) {
        lora->alpha = v.common;
        rc = set_patterns(&lora->alpha_pattern, &v, err);
    }
    module_values_free(&v);
    return rc;
}

/* What the job does not give is as the adapter has it, so that training begins where PEFT would. */
static int adopt_settings(struct job *job, const struct lora_maps *maps, double dropout,
                          const struct model_config *c, struct err *err)
{
    int rc = adopt_ranks(job, maps, err);

    if (rc == 0)
        rc = adopt_alphas(job, maps, err);
    if (!job_is_given(job, "lora.scaling"))
        job->lora.scaling = maps->scaling;
    if (!job_is_given(job, "lora.dropout"))
        job->lora.dropout = dropout;
    if (rc == 0 && !job_is_given(job, "lora.target_modules"))
        rc = set_targets(&job->lora, maps, c, err);
    return rc;
}

/* ---- the adapter against the job ---- */

/* An adapter may hold what a job may not give. */
static void check_limits(const struct job *job, const struct lora_maps *maps,
                         struct problems *problems)
{
    int line = job_line(job, "lora.init_adapter");

    for (int i = 0; i < maps->n; i++) {
        const struct lora_map *map = &maps->of[i];
        if (map->rank > LORA_RANK_MAX)
            problems_add(problems, job->file, line,
                         "lora.init_adapter has rank %d; at most %d is supported", map->rank,
                         LORA_RANK_MAX);
        else if (!(map->alpha > 0))
            problems_add(problems, job->file, line,
                         "lora.init_adapter has lora_alpha %g, which must be above 0", map->alpha);
        else
            continue;
        return;
    }
}

/* The rank and the scale of the adapter are part of what it adds to the model. False where they
 * differ, which is reported. */
static bool compare_map(const struct job *job, const struct lora_map *ours,
                        enum job_scaling scaling, const struct lora_map *its,
                        enum job_scaling its_scaling, struct problems *problems)
{
    double scale = lora_scale(ours->alpha, ours->rank, scaling);
    double its_scale = lora_scale(its->alpha, its->rank, its_scaling);
    char name[MODULE_NAME_MAX];

    module_full_name(its->layer, its->kind, name);
    if (ours->rank != its->rank)
        problems_add(problems, job->file, job_line(job, "lora.rank"),
                     "lora.rank is %d but lora.init_adapter has rank %d for %s: leave lora.rank "
                     "and lora.rank_pattern out",
                     ours->rank, its->rank, name);
    else if (scale != its_scale)
        problems_add(problems, job->file, job_line(job, "lora.alpha"),
                     "lora.alpha is %g (scale %g) but lora.init_adapter has alpha %g%s (scale %g) "
                     "for %s: leave lora.alpha, lora.alpha_pattern and lora.scaling out",
                     ours->alpha, scale, its->alpha,
                     its_scaling == SCALING_RSLORA ? " with rsLoRA" : "", its_scale, name);
    return ours->rank == its->rank && scale == its_scale;
}

static void compare_maps(const struct job *job, const struct lora_maps *ours,
                         const struct lora_maps *its, struct problems *problems)
{
    int line = job_line(job, "lora.init_adapter"), i, j, listed = 0;
    bool same = true;

    for (i = 0; i < its->n && listed < LISTED_MAX; i++) {
        j = lora_maps_find(ours, its->of[i].layer, its->of[i].kind);
        if (j < 0 && ++listed)
            problems_add(problems, job->file, line,
                         "lora.init_adapter adapts layer %d's %s, which the targets of the job "
                         "leave out",
                         its->of[i].layer, module_kind_name(its->of[i].kind));
        else if (same)
            same =
                compare_map(job, &ours->of[j], ours->scaling, &its->of[i], its->scaling, problems);
    }
    for (i = listed = 0; i < ours->n && listed < LISTED_MAX; i++)
        if (lora_maps_find(its, ours->of[i].layer, ours->of[i].kind) < 0 && ++listed)
            problems_add(problems, job->file, line,
                         "lora.init_adapter has nothing for layer %d's %s, a target",
                         ours->of[i].layer, module_kind_name(ours->of[i].kind));
}

/* ---- the job against the model ---- */

static int set_kinds(struct job_lora *lora, const bool wanted[MODULE_KINDS],
                     const struct model_config *c, struct err *err)
{
    struct lora_map maps[MODULE_KINDS];
    struct lora_maps list = {.of = maps};
    struct model_config one = *c;

    for (int kind = 0; kind < MODULE_KINDS; kind++)
        if (wanted[kind])
            maps[list.n++] = (struct lora_map){.kind = kind};
    one.n_layers = 1;
    return set_targets(lora, &list, &one, err);
}

/* all-linear becomes the names that it stands for; the default targets are found in a fused map
 * too. */
static int resolve_targets(struct job *job, const struct model_config *c, struct err *err)
{
    static const enum module_kind fused[MODULE_KINDS] = {[MODULE_Q] = MODULE_QKV,
                                                         [MODULE_K] = MODULE_QKV,
                                                         [MODULE_V] = MODULE_QKV,
                                                         [MODULE_UP] = MODULE_GATE_UP};
    static const enum module_kind kinds[] = {MODULE_Q, MODULE_K, MODULE_V, MODULE_UP, MODULE_DOWN};
    bool wanted[MODULE_KINDS] = {false};

    if (job->lora.all_linear) {
        for (int kind = 0; kind < MODULE_KINDS; kind++)
            wanted[kind] = model_has_module(c, kind);
        return set_kinds(&job->lora, wanted, c, err);
    }
    if (job_is_given(job, "lora.target_modules"))
        return 0;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        wanted[model_has_module(c, kinds[i]) ? kinds[i] : fused[kinds[i]]] = true;
    return set_kinds(&job->lora, wanted, c, err);
}

static void check_directions(const struct job *job, const struct lora_maps *maps,
                             const struct model_config *c, struct problems *problems)
{
    bool reported[MODULE_KINDS] = {false};

    for (int i = 0; i < maps->n; i++) {
        enum module_kind kind = maps->of[i].kind;
        int rows, columns, smaller;
        model_module_shape(c, kind, &rows, &columns);
        smaller = rows < columns ? rows : columns;
        if (job->dash.directions <= smaller || reported[kind])
            continue;
        reported[kind] = true;
        problems_add(problems, job->file, job_line(job, "dash.directions"),
                     "dash.directions is %d but %s is %d x %d and has %d directions",
                     job->dash.directions, module_kind_name(kind), rows, columns, smaller);
    }
}

/* its: NULL where the job starts from no adapter. */
static int check_maps(struct job *job, const struct lora_maps *its, const struct model_config *c,
                      struct problems *problems, struct err *err)
{
    struct lora_maps maps = {0};
    int rc = lora_maps_choose(job, c, &maps, problems, err);

    if (rc < 0)
        return rc == ERR_INVALID ? 0 : rc;
    check_directions(job, &maps, c, problems);
    if (its)
        compare_maps(job, &maps, its, problems);
    lora_maps_free(&maps);
    return 0;
}

/* ---- the adapter that the job starts from ---- */

static void report(const struct job *job, const char *key, struct problems *problems,
                   const char *text)
{
    problems_add(problems, job->file, job_line(job, key), "%s: %s", key, text);
}

/* A LoRA-Dash job can continue with the directions of another one, or take the sum of all that it
 * trained for an ordinary adapter: which of the two, the user must say. */
static bool source_is_right(const struct job *job, const struct lora_source *source,
                            struct problems *problems)
{
    int before = problems_count(problems), line = job_line(job, "dash.continue");

    if (source->job && job->method == METHOD_LORA_DASH && !job_is_given(job, "dash.continue"))
        problems_add(problems, job->file, job_line(job, "lora.init_adapter"),
                     "lora.init_adapter is the output of a LoRA-Dash job: give dash.continue: true "
                     "to train its A, B and the coefficients of its %d directions on, or false to "
                     "start from the sum of both, a LoRA of rank %d, and choose new directions",
                     source->job->dash.directions,
                     source->job->lora.rank + source->job->dash.directions);
    if (job->dash.continues && !source->job)
        problems_add(problems, job->file, line,
                     "dash.continue is true, but lora.init_adapter is not the output folder of a "
                     "LoRA-Dash job of this program, nor the adapter in it");
    if (job->dash.continues && source->job && job_is_given(job, "dash.directions") &&
        job->dash.directions != source->job->dash.directions)
        problems_add(problems, job->file, job_line(job, "dash.directions"),
                     "dash.directions is %d but lora.init_adapter has %d: leave it out",
                     job->dash.directions, source->job->dash.directions);
    return problems_count(problems) == before;
}

/* The maps and the dropout of what the job starts from. */
static int read_source(const struct job *job, const struct lora_source *source,
                       const struct model_config *c, struct lora_maps *ret, double *ret_dropout,
                       struct err *err)
{
    struct problems problems = {0};
    struct adapter *a = NULL;
    int rc;

    if (job->dash.continues) {
        *ret_dropout = source->job->lora.dropout;
        rc = lora_maps_choose(source->job, c, ret, &problems, err);
        if (rc == ERR_INVALID && problems.n > 0)
            err_set(err, rc, "%s: %s", source->output, problems.items[0].text);
        problems_free(&problems);
        return rc;
    }
    rc = adapter_read(source->adapter, c, &a, err);
    if (rc < 0)
        return rc;
    *ret_dropout = a->dropout;
    rc = lora_maps_of_adapter(a, ret, err);
    adapter_free(a);
    return rc;
}

static int check_source(struct job *job, struct lora_source *source, const struct model_config *c,
                        struct problems *problems, struct err *err)
{
    struct lora_maps its = {0};
    double dropout;
    int rc = read_source(job, source, c, &its, &dropout, err);

    if (rc < 0)
        return rc;
    free(job->lora.init_adapter);
    job->lora.init_adapter = source->adapter;
    source->adapter = NULL;
    if (job->dash.continues)
        job->dash.directions = source->job->dash.directions;
    rc = adopt_settings(job, &its, dropout, c, err);
    if (rc == 0) {
        check_limits(job, &its, problems);
        rc = check_maps(job, &its, c, problems, err);
    }
    lora_maps_free(&its);
    return rc;
}

static int check_adapter(struct job *job, const struct model_config *c, struct problems *problems,
                         struct err *err)
{
    struct lora_source source = {0};
    int rc = lora_source_open(job->lora.init_adapter, &source, err);

    if (rc == 0 && source_is_right(job, &source, problems))
        rc = check_source(job, &source, c, problems, err);
    lora_source_close(&source);
    if (rc >= 0 || rc == ERR_NOMEM || rc == ERR_INTERNAL)
        return rc;
    report(job, "lora.init_adapter", problems, err->text);
    return 0;
}

int lora_check(struct job *job, const struct model_config *c, struct problems *problems,
               struct err *err)
{
    int rc = 0;

    if (job->lora.all_linear || !job->lora.init_adapter)
        rc = resolve_targets(job, c, err);
    if (rc == 0 && job->lora.init_adapter)
        return check_adapter(job, c, problems, err);
    return rc < 0 ? rc : check_maps(job, NULL, c, problems, err);
}
