/* core/job/job_check.c - see job_check.h. The checks follow what each needs: with no model there
 * are no data checks that need its vocabulary, but everything that can still be checked is. */
#include "core/job/job_check.h"
#include "core/job/job_keys.h"
#include "core/job/job_read.h"
#include "core/model/adapter.h"
#include "core/text/dataset.h"
#include "core/model/model.h"
#include "core/job/output_check.h"
#include "core/text/tokenizer.h"
#include "core/job/trainable.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Turns a failure that is the input's into a problem; passes others on. */
static int as_problem(struct problems *problems, const struct job *job, const char *key, int rc,
                      const struct err *err)
{
    if (rc >= 0 || rc == ERR_NOMEM || rc == ERR_INTERNAL)
        return rc;
    problems_add(problems, job->file, job_line(job, key), "%s: %s", key, err->text);
    return 0;
}

static void check_shapes(const struct job *job, const struct model_config *c,
                         struct problems *problems)
{
    int kind, rows, columns, smaller;

    if (job->parallel.stages > c->n_layers)
        problems_add(
            problems, job->file, job_line(job, "parallel.stages"),
            "parallel.stages is %d but the model has %d layers: a stage holds at least one",
            job->parallel.stages, c->n_layers);
    for (kind = 0; kind < MODULE_KINDS; kind++) {
        if (!job->lora.targets[kind] || !model_has_module(c, kind))
            continue;
        model_module_shape(c, kind, &rows, &columns);
        smaller = rows < columns ? rows : columns;
        if (job->dash.directions > smaller)
            problems_add(problems, job->file, job_line(job, "dash.directions"),
                         "dash.directions is %d but %s is %d x %d and has %d directions",
                         job->dash.directions, module_kind_name(kind), rows, columns, smaller);
    }
}

/* The job's targets become those of the model: the default ones are found in a fused map too, named
 * ones must be there. */
static void resolve_targets(struct job *job, const struct model_config *c,
                            struct problems *problems)
{
    static const enum module_kind fused[MODULE_KINDS] = {[MODULE_Q] = MODULE_QKV,
                                                         [MODULE_K] = MODULE_QKV,
                                                         [MODULE_V] = MODULE_QKV,
                                                         [MODULE_GATE] = MODULE_GATE_UP,
                                                         [MODULE_UP] = MODULE_GATE_UP};
    char names[200];

    model_module_names(c, names, sizeof(names));
    for (int kind = 0; kind < MODULE_KINDS; kind++) {
        if (job->all_linear)
            job->lora.targets[kind] = model_has_module(c, kind);
        if (!job->lora.targets[kind] || model_has_module(c, kind))
            continue;
        if (!job_is_given(job, "lora.target_modules") && fused[kind]) {
            job->lora.targets[kind] = false;
            job->lora.targets[fused[kind]] = true;
        } else {
            problems_add(problems, job->file, job_line(job, "lora.target_modules"),
                         "lora.target_modules: a %s has no %s; it has %s", c->architecture,
                         module_kind_name(kind), names);
        }
    }
}

static bool adapter_covers(const struct adapter *a, int layer, int kind)
{
    int i;

    for (i = 0; i < a->n; i++)
        if (a->maps[i].layer == layer && (int)a->maps[i].kind == kind)
            return true;
    return false;
}

static void compare_modules(const struct job *job, const struct adapter *a,
                            const struct model_config *c, struct problems *problems)
{
    int i, layer, kind, line = job_line(job, "lora.init_adapter");

    for (i = 0; i < a->n; i++)
        if (!job->lora.targets[a->maps[i].kind])
            problems_add(problems, job->file, line,
                         "lora.init_adapter adapts layer %d's %s, which lora.target_modules leaves "
                         "out",
                         a->maps[i].layer, module_kind_name(a->maps[i].kind));
    for (layer = 0; layer < c->n_layers; layer++)
        for (kind = 0; kind < MODULE_KINDS; kind++)
            if (job->lora.targets[kind] && !adapter_covers(a, layer, kind))
                problems_add(problems, job->file, line,
                             "lora.init_adapter has nothing for layer %d's %s, a target", layer,
                             module_kind_name(kind));
}

/* What the job does not give is as the adapter has it, so that training begins where PEFT would. */
static void adopt_settings(struct job *job, const struct adapter *a)
{
    struct job_lora *lora = &job->lora;

    if (!job_is_given(job, "lora.rank"))
        lora->rank = a->rank;
    if (!job_is_given(job, "lora.alpha"))
        lora->alpha = a->alpha;
    if (!job_is_given(job, "lora.scaling"))
        lora->scaling = a->rslora ? SCALING_RSLORA : SCALING_STANDARD;
    if (!job_is_given(job, "lora.dropout"))
        lora->dropout = a->dropout;
    if (job_is_given(job, "lora.target_modules"))
        return;
    memset(lora->targets, 0, sizeof(lora->targets));
    for (int i = 0; i < a->n; i++)
        lora->targets[a->maps[i].kind] = true;
}

/* An adapter may hold what a job may not give. */
static void check_limits(const struct job *job, const struct adapter *a, struct problems *problems)
{
    int line = job_line(job, "lora.init_adapter");

    if (a->rank > LORA_RANK_MAX)
        problems_add(problems, job->file, line,
                     "lora.init_adapter has rank %d; at most %d is supported", a->rank,
                     LORA_RANK_MAX);
    if (!(a->alpha > 0))
        problems_add(problems, job->file, line,
                     "lora.init_adapter has lora_alpha %g, which must be above 0", a->alpha);
}

/* The scale of the adapter is part of what it adds to the model. */
static void compare_scale(const struct job *job, const struct adapter *a, struct problems *problems)
{
    if (a->rank != job->lora.rank)
        problems_add(problems, job->file, job_line(job, "lora.rank"),
                     "lora.rank is %d but lora.init_adapter has rank %d: leave lora.rank out",
                     job->lora.rank, a->rank);
    else if (adapter_scale(a) != job_scale(&job->lora))
        problems_add(problems, job->file, job_line(job, "lora.alpha"),
                     "lora.alpha is %g (scale %g) but lora.init_adapter has alpha %g%s (scale %g): "
                     "leave lora.alpha and lora.scaling out",
                     job->lora.alpha, job_scale(&job->lora), a->alpha,
                     a->rslora ? " with rsLoRA" : "", adapter_scale(a));
}

/* Reads the adapter that the job starts from; *ret is NULL if there is none, or none that can be
 * read. */
static int read_adapter(struct job *job, const struct model_config *c, struct adapter **ret,
                        struct problems *problems, struct err *err)
{
    int rc;

    *ret = NULL;
    if (!job->init_adapter)
        return 0;
    rc = adapter_read(job->init_adapter, c, ret, err);
    if (rc < 0)
        return as_problem(problems, job, "lora.init_adapter", rc, err);
    adopt_settings(job, *ret);
    check_limits(job, *ret, problems);
    compare_scale(job, *ret, problems);
    return 0;
}

/* What depends on the model and on the adapter that the job starts from. */
static int check_lora(struct job *job, const struct model_config *c, struct problems *problems,
                      struct err *err)
{
    struct adapter *a;
    int rc = read_adapter(job, c, &a, problems, err);

    resolve_targets(job, c, problems);
    check_shapes(job, c, problems);
    if (a)
        compare_modules(job, a, c, problems);
    adapter_free(a);
    return rc;
}

static void check_schedule(const struct job *job, struct problems *problems)
{
    if (job->training.steps > 0 && job->method == METHOD_LORA_DASH &&
        job->dash.prelaunch_steps >= job->training.steps)
        problems_add(problems, job->file, job_line(job, "dash.prelaunch_steps"),
                     "dash.prelaunch_steps is %d but the job has %d steps: no step would be left "
                     "for the directions; lower it, or use method: lora",
                     job->dash.prelaunch_steps, job->training.steps);
}

/* A path that is not there is a problem of the job file's line. NULL: no such key, or a problem
 * already. */
static bool is_there(const struct job *job, const char *key, const char *path,
                     struct problems *problems)
{
    if (!path)
        return false;
    if (access(path, R_OK) == 0)
        return true;
    problems_add(problems, job->file, job_line(job, key), "%s: %s: %s", key, path, strerror(errno));
    return false;
}

/* Only what is there counts: data.max_tokens may be more than the model's positions if no row is.
 */
static void check_length(const struct job *job, const char *path, const struct dataset *d,
                         const struct model_config *c, struct problems *problems)
{
    long i;

    for (i = 0; d->longest > c->max_positions && i < d->n; i++) {
        if (d->examples[i].n <= c->max_positions)
            continue;
        problems_add(problems, path, d->examples[i].line,
                     "this row has %d tokens but the model knows %d positions: lower "
                     "data.max_tokens (now %d) to cut such rows",
                     d->examples[i].n, c->max_positions, job->data.max_tokens);
        return;
    }
}

/* Loads one data file; its problems become the job's. A refusal is no failure here. */
static int load_data(const struct job *job, const char *key, const char *path,
                     const struct tokenizer *tokenizer, const struct err *refusal,
                     const struct model_config *c, struct dataset *ret, struct problems *problems,
                     struct err *err)
{
    int rc;

    if (!is_there(job, key, path, problems))
        return 0;
    rc = dataset_load(path, &job->data, tokenizer, refusal->code ? refusal : NULL, c->vocab, ret,
                      problems, err);
    if (rc == 0)
        check_length(job, path, ret, c, problems);
    return rc == ERR_INVALID ? 0 : rc;
}

static int check_data(struct job *job, const struct model *model, struct problems *problems,
                      struct job_plan *plan, struct err *err)
{
    const struct model_config *c = model_config(model);
    struct tokenizer *tokenizer = NULL;
    struct dataset train = {0}, eval = {0};
    int before = problems->n;
    struct err refusal;
    int rc = model_open_tokenizer_if_usable(model, &tokenizer, &refusal, err);

    if (rc == 0)
        rc = load_data(job, "data.train", job->data.train, tokenizer, &refusal, c, &train, problems,
                       err);
    if (rc == 0 && job->data.eval && problems->n == before)
        rc = load_data(job, "data.eval", job->data.eval, tokenizer, &refusal, c, &eval, problems,
                       err);
    job_resolve_steps(job, train.n - train.n_untrained);
    check_schedule(job, problems);
    if (rc == 0 && train.n > 0 && problems_count(problems) == 0)
        rc = job_plan_make(job, model, &train, plan, err);
    dataset_free(&train);
    dataset_free(&eval);
    tokenizer_free(tokenizer);
    return rc;
}

int job_check(struct job *job, struct problems *problems, struct job_plan *ret_plan,
              struct err *err)
{
    int before = problems_count(problems), rc = 0;
    struct model *model = NULL;
    struct job_plan plan = {0};

    if (is_there(job, "model", job->model, problems))
        rc = model_open(job->model, &model, problems, err);
    if (rc == 0 && model)
        rc = check_lora(job, model_config(model), problems, err);
    if (rc == 0 && model)
        rc = check_data(job, model, problems, &plan, err);
    if (!model && job->data.train)
        is_there(job, "data.train", job->data.train, problems);
    if (!model && job->data.eval)
        is_there(job, "data.eval", job->data.eval, problems);
    model_close(model);
    if ((rc == 0 || rc == ERR_INVALID) && problems_count(problems) > before)
        rc = err_set(err, ERR_INVALID, "the job cannot run");
    if (rc == 0)
        *ret_plan = plan;
    else
        job_plan_free(&plan);
    return rc;
}

int job_validate(const char *text, const char *file, const char *directory, const char *const *sets,
                 int n_sets, enum job_output output, struct job **ret_job,
                 struct job_plan *ret_plan, struct problems *problems, struct err *err)
{
    struct job *job;
    int rc = job_read(text, file, directory, sets, n_sets, &job, problems, err);

    if (rc < 0)
        return rc;
    rc = job_check(job, problems, ret_plan, err);
    if (job->output && output != JOB_OUTPUT_ANY)
        output_check(job, output == JOB_OUTPUT_RESUMED, problems);
    if (rc == 0 && problems_count(problems) > 0) {
        job_plan_free(ret_plan);
        rc = err_set(err, ERR_INVALID, "the job cannot run");
    }
    if (rc == 0 || rc == ERR_INVALID)
        *ret_job = job;
    else
        job_free(job);
    return rc;
}
