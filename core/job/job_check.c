/* core/job/job_check.c - see job_check.h. The checks follow what each needs: with no model there
 * are no data checks that need its vocabulary, but everything that can still be checked is. */
#include "core/job/job_check.h"
#include "core/clock.h"
#include "core/cpu.h"
#include "core/job/job_keys.h"
#include "core/job/job_read.h"
#include "core/job/lora_check.h"
#include "core/text/chat_template.h"
#include "core/text/dataset.h"
#include "core/model/model.h"
#include "core/job/output_check.h"
#include "core/text/tokenizer.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check_stages(const struct job *job, const struct model_config *c,
                         struct problems *problems)
{
    if (job->parallel.stages > c->n_layers)
        problems_add(
            problems, job->file, job_line(job, "parallel.stages"),
            "parallel.stages is %d but the model has %d layers: a stage holds at least one",
            job->parallel.stages, c->n_layers);
}

static void check_schedule(const struct job *job, struct problems *problems)
{
    if (job->training.steps > 0 && job->method == METHOD_LORA_DASH && !job->dash.continues &&
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

/* Of other nodes only their workers know. */
static void check_precision(const struct job *job, struct problems *problems)
{
    if (job->training.precision == PRECISION_BF16 && job->launcher == LAUNCHER_LOCAL &&
        !cpu_build_needs[CPU_AVX512BF16])
        problems_add(problems, job->file, job_line(job, "training.precision"),
                     "training.precision bf16 needs a CPU with AVX-512 BF16, and a build for it: "
                     "use f32");
}

/* Only what is there counts: data.max_tokens may be more than the model's positions if no row is.
 */
static void check_length(const struct job *job, const struct dataset *d,
                         const struct model_config *c, struct problems *problems)
{
    long i;

    for (i = 0; d->longest > c->max_positions && i < d->n; i++) {
        if (d->examples[i].n <= c->max_positions)
            continue;
        problems_add(problems, d->files[d->examples[i].file], d->examples[i].line,
                     "this row has %d tokens but the model knows %d positions: lower "
                     "data.max_tokens (now %d) to cut such rows",
                     d->examples[i].n, c->max_positions, job->data.max_tokens);
        return;
    }
}

/* Whether every name that is no pattern leads to a file. */
static bool are_there(const struct job *job, const char *key, const struct data_names *names,
                      struct problems *problems)
{
    bool there = names->n > 0;

    for (int i = 0; i < names->n; i++) {
        const char *path = names->of[i].path;
        if (!strpbrk(path, "*?["))
            there &= is_there(job, key, path, problems);
    }
    return there;
}

/* Loads data; its problems become the job's. A refusal is no failure here. */
static int load_data(const struct job *job, const char *key, const struct data_names *names,
                     const struct tokenizer *tokenizer, const struct err *refusal,
                     const struct model_config *c, struct dataset *ret, struct problems *problems,
                     struct err *err)
{
    const struct dataset_input in = {.names = names,
                                     .data = &job->data,
                                     .tokenizer = tokenizer,
                                     .refusal = refusal->code ? refusal : NULL,
                                     .vocab = c->vocab,
                                     .sample_only = true};
    int rc;

    if (!are_there(job, key, names, problems))
        return 0;
    rc = dataset_load(&in, ret, problems, err);
    if (rc == 0)
        check_length(job, ret, c, problems);
    return rc == ERR_INVALID ? 0 : rc;
}

int job_set_date(struct job *job, const struct tokenizer *t, struct err *err)
{
    const struct chat_template_options options = {.file = job->data.chat_template};
    struct chat_template *template = NULL;
    struct err ignored; /* whether it is used, and what is wrong with it, shows with the rows */
    char today[16];

    if (job->data.date || !t || !chat_template_exists(t, &options) ||
        chat_template_open(t, &options, &template, &ignored) < 0)
        return 0;
    if (chat_template_needs_date(template))
        job->data.date = strdup(clock_today(today));
    else
        today[0] = '\0';
    chat_template_free(template);
    return today[0] && !job->data.date ? err_nomem(err, sizeof(today)) : 0;
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
        rc = job_set_date(job, tokenizer, err);
    if (rc == 0 && job->data.chat_template &&
        !is_there(job, "data.chat_template", job->data.chat_template, problems))
        goto done;
    if (rc == 0)
        rc = load_data(job, "data.train", &job->data.train, tokenizer, &refusal, c, &train,
                       problems, err);
    if (rc == 0 && job->data.eval.n && problems->n == before)
        rc = load_data(job, "data.eval", &job->data.eval, tokenizer, &refusal, c, &eval, problems,
                       err);
    job_resolve_steps(job, train.n - train.untrained.n);
    check_schedule(job, problems);
    if (rc == 0 && train.n > 0 && problems_count(problems) == 0)
        rc = job_plan_make(job, model, &train, &eval, plan, problems, err);
done:
    dataset_free(&train);
    dataset_free(&eval);
    tokenizer_free(tokenizer);
    return rc;
}

static bool is_url(const char *url)
{
    const char *host = strncmp(url, "http://", 7) == 0    ? url + 7
                       : strncmp(url, "https://", 8) == 0 ? url + 8
                                                          : "";

    return *host && *host != '/' && url[strcspn(url, " \t\r\n\"<>\\")] == '\0';
}

static void check_url(const struct job *job, const char *key, const char *url,
                      struct problems *problems)
{
    if (url && !is_url(url))
        problems_add(problems, job->file, job_line(job, key),
                     "%s must be an address such as https://example.org/path, not \"%s\"", key,
                     url);
}

static void check_notify(const struct job *job, struct problems *problems)
{
    check_url(job, "tracking.mlflow", job->tracking.mlflow, problems);
    check_url(job, "notify.url", job->notify.url, problems);
    if (job_has_command(job) && job->notify.command[0][0] != '/')
        problems_add(problems, job->file, job_line(job, "notify.command"),
                     "notify.command must be a list: the absolute path of a program, and its "
                     "arguments");
}

int job_check(struct job *job, struct problems *problems, struct job_plan *ret_plan,
              struct err *err)
{
    int before = problems_count(problems), rc = 0;
    struct model *model = NULL;
    struct job_plan plan = {0};

    check_precision(job, problems);
    check_notify(job, problems);
    if (is_there(job, "model", job->model, problems))
        rc = model_open(job->model, &model, problems, err);
    if (rc == 0 && model)
        rc = lora_check(job, model_config(model), problems, err);
    if (rc == 0 && model)
        check_stages(job, model_config(model), problems);
    if (rc == 0 && model)
        rc = check_data(job, model, problems, &plan, err);
    if (!model) {
        are_there(job, "data.train", &job->data.train, problems);
        are_there(job, "data.eval", &job->data.eval, problems);
    }
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
