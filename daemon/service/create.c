/* daemon/service/create.c - see create.h. */
#include "daemon/service/create.h"
#include "core/job_check.h"
#include "core/job_slurm.h"
#include "daemon/service/message.h"
#include "core/output_check.h"
#include "daemon/service/text.h"
#include "proto/dash.pb-c.h"
#include <stdlib.h>
#include <string.h>

struct creation {
    uv_work_t work;
    struct rpc_call *call; /* lives until it is answered; so does what text .. sets point at */
    struct runs *runs;
    const char *text, *directory, *file;
    const char *const *sets;
    int n_sets;
    bool resume, plan_only, batch;

    struct job *job;
    struct job_plan plan;
    char *yaml;
    struct problems problems;
    int rc;
    struct err err;
};

static void free_creation(struct creation *c)
{
    job_free(c->job);
    job_plan_free(&c->plan);
    problems_free(&c->problems);
    free(c->yaml);
    free(c);
}

/* On a thread of the pool. */
static void validate(uv_work_t *work)
{
    struct creation *c = work->data;

    if (c->directory[0] != '/') {
        c->rc = err_set(&c->err, ERR_INVALID, "directory must be an absolute path, not '%s'",
                        c->directory);
        return;
    }
    if (!text_is_utf8(c->directory)) {
        c->rc = err_set(&c->err, ERR_UNSUPPORTED, "directory: its name is not UTF-8");
        return;
    }
    c->rc = job_validate(c->text, c->file[0] ? c->file : NULL, c->directory, c->sets, c->n_sets,
                         &c->job, &c->plan, &c->problems, &c->err);
    if (c->job && c->job->output)
        output_check(c->job, c->resume, &c->problems);
    if (c->rc < 0)
        return;
    c->yaml = job_to_yaml(c->job);
    if (!c->yaml)
        c->rc = err_nomem(&c->err, strlen(c->text));
}

static void answer_problems(struct creation *c)
{
    char *text = problems_text(&c->problems);
    size_t len = text ? strlen(text) : 0;

    if (len && text[len - 1] == '\n')
        text[len - 1] = '\0';
    rpc_finish(c->call, RPC_INVALID_ARGUMENT, text);
    free(text);
}

static void answer_plan(struct creation *c)
{
    Dash__V1__PlanJobResponse response = DASH__V1__PLAN_JOB_RESPONSE__INIT;

    response.job_yaml = c->yaml;
    response.lines = c->plan.lines;
    response.n_lines = (size_t)c->plan.n_lines;
    rpc_reply(c->call, &response.base);
}

static int make_row(struct creation *c, struct run_row *row, struct err *err)
{
    *row = (struct run_row){
        .name = strdup(c->job->name),
        .reason = strdup(""),
        .output = strdup(c->job->output),
        .job_yaml = strdup(c->yaml),
        .steps_total = c->job->steps,
        .workers = job_workers(c->job),
        .slurm = c->job->launcher == LAUNCHER_SLURM,
        .external = c->batch,
        .max_restarts = c->job->max_restarts,
        .death_reason = strdup(""),
    };
    if (row->name && row->reason && row->output && row->job_yaml && row->death_reason)
        return 0;
    run_row_free(row);
    return err_nomem(err, strlen(c->yaml));
}

static void answer_create(struct creation *c)
{
    Dash__V1__CreateJobResponse response = DASH__V1__CREATE_JOB_RESPONSE__INIT;
    struct message_job m;
    struct run_row row;
    struct run *run = NULL;
    char *script = NULL;
    struct err err;
    int rc;

    rc = make_row(c, &row, &err);
    if (rc == 0)
        rc = runs_create(c->runs, &row, &run, &err);
    if (rc < 0 || !run) {
        run_row_free(&row);
        rpc_fail(c->call, &err);
        return;
    }
    if (c->batch && runs_write_script(run, &script, &err) < 0) {
        rpc_fail(c->call, &err);
        return;
    }
    response.batch_script = script;
    message_job(run, &m);
    m.job.job_yaml = run->row.job_yaml;
    response.job = &m.job;
    rpc_reply(c->call, &response.base);
    free(script);
}

static void check_launcher(struct creation *c)
{
    if (c->job->launcher == LAUNCHER_SLURM && !c->plan_only && !c->runs->slurm)
        problems_add(&c->problems, c->job->file, job_line(c->job, "launcher"),
                     "launcher is slurm, but the machine of this dashd has no sbatch, squeue and "
                     "scancel in its PATH");
}

static void on_validated(uv_work_t *work, int status)
{
    struct creation *c = work->data;
    const char *output = c->job ? c->job->output : NULL;

    if (output && status == 0) {
        runs_check_output(c->runs, output, &c->problems);
        check_launcher(c);
    }
    if (c->runs->stopping)
        rpc_finish(c->call, RPC_UNAVAILABLE, "dashd is going away");
    else if (c->problems.n || c->problems.dropped)
        answer_problems(c);
    else if (c->rc < 0 || !output || !c->yaml)
        rpc_fail(c->call, &c->err);
    else if (c->plan_only)
        answer_plan(c);
    else
        answer_create(c);
    free_creation(c);
}

/* Starts the checks of what the request says; text .. sets stay the call's. */
static void start(struct rpc_call *call, const struct creation *request)
{
    struct creation *c = malloc(sizeof(*c));

    if (!c) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
        return;
    }
    *c = *request;
    c->call = call;
    c->runs = rpc_service(call);
    c->work.data = c;
    if (c->runs->stopping || uv_queue_work(c->runs->loop, &c->work, validate, on_validated) < 0) {
        rpc_finish(call, RPC_UNAVAILABLE, "dashd is going away");
        free_creation(c);
    }
}

void create_on_create(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__CreateJobRequest *m = (const Dash__V1__CreateJobRequest *)message;

    start(call, &(struct creation){.text = m->job_yaml,
                                   .directory = m->directory,
                                   .file = m->file_name,
                                   .sets = (const char *const *)m->overrides,
                                   .n_sets = (int)m->n_overrides,
                                   .resume = m->resume,
                                   .batch = m->batch});
}

void create_on_plan(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__PlanJobRequest *m = (const Dash__V1__PlanJobRequest *)message;

    start(call, &(struct creation){.text = m->job_yaml,
                                   .directory = m->directory,
                                   .file = m->file_name,
                                   .sets = (const char *const *)m->overrides,
                                   .n_sets = (int)m->n_overrides,
                                   .plan_only = true});
}
