/* daemon/service/create.c - see create.h. A creation lives until its call is answered or its client
 * has gone, which ends the check as well. */
#include "daemon/service/create.h"
#include "core/job/job_read.h"
#include "core/job/job.h"
#include "daemon/service/check.h"
#include "daemon/service/job_access.h"
#include "daemon/service/message.h"
#include "daemon/service/run_slurm.h"
#include "daemon/service/runs.h"
#include "proto/dash.pb-c.h"
#include "proto/plan_message.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct creation {
    struct rpc_call *call;
    struct runs *runs;
    struct check *check;
    bool plan_only, batch;
};

static void answer_plan(struct creation *c, const struct check_result *r)
{
    Dash__V1__PlanJobResponse response = DASH__V1__PLAN_JOB_RESPONSE__INIT;
    struct plan_message m;

    if (plan_message_open(&m, r->estimates, r->n_estimates) < 0) {
        rpc_finish(c->call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
        return;
    }

    response.job_yaml = (char *)r->yaml;
    response.lines = (char **)r->lines;
    response.n_lines = (size_t)r->n_lines;
    response.estimates = m.list;
    response.n_estimates = m.n;
    rpc_reply(c->call, &response.base);
    plan_message_close(&m);
}

static int make_row(const struct creation *c, const struct check_result *r, struct run_row *row,
                    struct err *err)
{
    struct job *job = NULL;
    int rc = job_from_yaml(r->yaml, &job, err);

    if (rc < 0)
        return rc;
    *row = (struct run_row){
        .name = strdup(job->name),
        .reason = strdup(""),
        .output = strdup(job->output),
        .job_yaml = strdup(r->yaml),
        .steps_total = job->training.steps,
        .workers = job_workers(&job->parallel),
        .slurm = job->launcher == LAUNCHER_SLURM,
        .external = c->batch,
        .max_restarts = job->max_restarts,
        .death_reason = strdup(""),
        .created_by = strdup(rpc_caller(c->call)->name),
    };
    job_free(job);
    if (row->name && row->reason && row->output && row->job_yaml && row->death_reason &&
        row->created_by)
        return 0;
    run_row_free(row);
    return err_nomem(err, strlen(r->yaml));
}

static void answer_create(struct creation *c, const struct check_result *r)
{
    Dash__V1__CreateJobResponse response = DASH__V1__CREATE_JOB_RESPONSE__INIT;
    struct message_job m;
    struct run_row row;
    struct run *run = NULL;
    char *script = NULL, user[JOB_ACCESS_USER_SIZE];
    struct err err;
    int rc;

    rc = make_row(c, r, &row, &err);
    if (rc == 0) {
        rc = runs_create(c->runs, &row, &run, &err);
        if (rc < 0)
            run_row_free(&row);
    }
    if (rc < 0 || (c->batch && run_write_script(run, &script, &err) < 0)) {
        rpc_fail(c->call, &err);
        return;
    }
    if (r->risk)
        run_add_notice(run, r->risk, NULL); /* the plan has it too */
    response.batch_script = script;
    job_access_runs_as(c->call, user);
    response.runs_as = user;
    rpc_set_job(c->call, run->row.id);
    message_job(run, &m);
    m.job.job_yaml = run->row.job_yaml;
    response.job = &m.job;
    rpc_reply(c->call, &response.base);
    free(script);
}

/* What is wrong with the job and what other jobs say against its folder, in one answer. */
static void refuse(struct creation *c, const struct check_result *r, const char *others)
{
    struct err err = {.code = r->code};
    char *text = NULL;

    if (r->code < 0 && r->code != ERR_INVALID) {
        snprintf(err.text, sizeof(err.text), "%s", r->error);
        rpc_fail(c->call, &err);
        return;
    }
    if (asprintf(&text, "%s%s%s", r->error ? r->error : "", r->error && others[0] ? "\n" : "",
                 others) < 0)
        text = NULL;
    rpc_finish(c->call, RPC_INVALID_ARGUMENT, text ? text : r->error);
    free(text);
}

static char *other_jobs_problems(struct creation *c, const struct check_result *r)
{
    struct problems problems = {0};
    char *text;

    if (r->output)
        runs_check_output(c->runs, r->output, &problems);
    text = problems_text(&problems);
    if (text && text[0])
        text[strlen(text) - 1] = '\0'; /* the last line's end */
    problems_free(&problems);
    return text;
}

static void on_checked(void *arg, const struct check_result *r)
{
    struct creation *c = arg;
    char *others = other_jobs_problems(c, r);

    if (!others)
        rpc_finish(c->call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
    else if (c->runs->stopping)
        rpc_finish(c->call, RPC_UNAVAILABLE, "dashd is shutting down");
    else if (r->code < 0 || others[0])
        refuse(c, r, others);
    else if (c->plan_only)
        answer_plan(c, r);
    else
        answer_create(c, r);
    free(others);
    free(c);
}

static void start(struct rpc_call *call, const struct creation *creation,
                  struct check_request *request)
{
    struct creation *c = malloc(sizeof(*c));
    struct runs *runs = rpc_service(call);
    struct err err;

    if (!c) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
        return;
    }
    *c = *creation;
    c->call = call;
    c->runs = runs;
    request->new_output = true;
    request->has_slurm = c->plan_only || runs->slurm;
    rpc_set_data(call, c);
    if (check_start(runs->checker, request, on_checked, c, &c->check, &err) < 0) {
        rpc_set_data(call, NULL);
        rpc_fail(call, &err);
        free(c);
    }
}

void create_on_gone(struct rpc_call *call)
{
    struct creation *c = rpc_data(call);

    if (c)
        check_cancel(c->check);
    free(c);
    rpc_set_data(call, NULL);
    rpc_finish(call, RPC_UNAVAILABLE, "dashd is shutting down");
}

void create_on_create(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__CreateJobRequest *m = (const Dash__V1__CreateJobRequest *)message;

    start(call, &(struct creation){.batch = m->batch},
          &(struct check_request){.text = m->job_yaml,
                                  .directory = m->directory,
                                  .file = m->file_name[0] ? m->file_name : NULL,
                                  .sets = (const char *const *)m->overrides,
                                  .n_sets = (int)m->n_overrides,
                                  .resume = m->resume});
}

void create_on_plan(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__PlanJobRequest *m = (const Dash__V1__PlanJobRequest *)message;
    struct job_plan_nodes nodes;
    struct err err;

    if (m->node && plan_nodes_read(m, &nodes, &err) < 0) {
        rpc_fail(call, &err);
        return;
    }
    start(call, &(struct creation){.plan_only = true},
          &(struct check_request){.nodes = m->node ? &nodes : NULL,
                                  .text = m->job_yaml,
                                  .directory = m->directory,
                                  .file = m->file_name[0] ? m->file_name : NULL,
                                  .sets = (const char *const *)m->overrides,
                                  .n_sets = (int)m->n_overrides});
}
