/* daemon/service/resume.c - see resume.h. A reshape lives until its call is answered or its client
 * has gone. */
#include "daemon/service/resume.h"
#include "core/job/job_read.h"
#include "core/job/job.h"
#include "daemon/service/after/follow_ups.h"
#include "daemon/service/check.h"
#include "daemon/service/job_access.h"
#include "daemon/service/message.h"
#include "daemon/service/results.h"
#include "daemon/service/runs.h"
#include "proto/dash.pb-c.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct reshape {
    struct rpc_call *call; /* whose request has the id */
    struct runs *runs;
    struct check *check;
    const char *id;
    int from_step;
};

static void answer(struct rpc_call *call, struct run *run)
{
    Dash__V1__ResumeJobResponse response = DASH__V1__RESUME_JOB_RESPONSE__INIT;

    message_reply_job(call, &response.base, &response.job, run);
}

static int make_shape(const struct rpc_call *call, const char *yaml, int64_t memory_bytes,
                      struct run_shape *ret, struct err *err)
{
    struct job *job = NULL;
    int rc = job_from_yaml(yaml, &job, err);

    if (rc == 0 && follow_ups_check(job, rpc_caller(call), err) < 0)
        rc = err->code;
    if (rc < 0) {
        job_free(job);
        return rc;
    }
    *ret = (struct run_shape){strdup(yaml), job_workers(&job->parallel), job->max_restarts,
                              job->launcher == LAUNCHER_SLURM, memory_bytes};
    job_free(job);
    return ret->job_yaml ? 0 : err_nomem(err, strlen(yaml));
}

static int resume(struct run *run, struct run_shape *shape, int from_step, struct err *err)
{
    int rc = from_step ? results_check_step(run->row.output, from_step, err) : 0;

    return rc < 0 ? rc : run_resume(run, shape, from_step, err);
}

/* The job may have been resumed by another call meanwhile: run_resume() looks again. */
static void on_checked(void *arg, const struct check_result *result)
{
    struct reshape *r = arg;
    struct run_shape shape = {0};
    struct run *run = NULL;
    struct err err;
    int rc;

    if (result->code == ERR_INVALID) {
        rpc_finish(r->call, RPC_INVALID_ARGUMENT, result->error);
        free(r);
        return;
    }
    rc = result->code < 0
             ? err_set(&err, result->code, "%s", result->error)
             : make_shape(r->call, result->yaml, (int64_t)result->memory_bytes, &shape, &err);
    if (rc == 0)
        rc = job_access_find(r->call, r->runs, r->id, &run, &err);
    if (rc == 0)
        rc = resume(run, &shape, r->from_step, &err);
    if (rc < 0)
        rpc_fail(r->call, &err);
    else
        answer(r->call, run);
    free(shape.job_yaml);
    free(r);
}

void resume_on_gone(struct rpc_call *call)
{
    struct reshape *r = rpc_data(call);

    if (r)
        check_cancel(r->check);
    free(r);
    rpc_set_data(call, NULL);
    rpc_finish(call, RPC_UNAVAILABLE, "dashd is shutting down");
}

static void start_reshape(struct rpc_call *call, const Dash__V1__ResumeJobRequest *m,
                          const struct run *run)
{
    struct reshape *r = calloc(1, sizeof(*r));
    const struct check_request request = {.text = run->row.job_yaml,
                                          .directory = "/",
                                          .sets = (const char *const *)m->overrides,
                                          .n_sets = (int)m->n_overrides,
                                          .has_slurm = run->runs->slurm != NULL,
                                          .before = run->row.job_yaml};
    struct err err;

    if (!r) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
        return;
    }
    *r = (struct reshape){
        .call = call, .runs = run->runs, .id = m->id, .from_step = (int)m->from_step};
    rpc_set_data(call, r);
    if (check_start(run->runs->checker, &request, on_checked, r, &r->check, &err) < 0) {
        rpc_set_data(call, NULL);
        rpc_fail(call, &err);
        free(r);
    }
}

void resume_on_resume(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__ResumeJobRequest *m = (const Dash__V1__ResumeJobRequest *)message;
    struct run *run = NULL;
    enum run_state next;
    struct err err;
    int rc = job_access_find(call, rpc_service(call), m->id, &run, &err);

    if (rc == 0)
        rc = run_apply(run->row.state, RUN_RESUME, &next, &err);
    if (rc == 0 && run->row.kind == RUN_EVALUATION && (m->from_step || m->n_overrides))
        rc = err_set(&err, ERR_INVALID,
                     "job %ld is an evaluation, which has neither checkpoints nor a job file: it "
                     "is resumed without overrides and from_step",
                     run->row.id);
    if (rc == 0 && m->from_step > INT_MAX)
        rc = err_set(&err, ERR_INVALID, "from_step: no job has %u steps", m->from_step);
    if (rc == 0 && m->n_overrides > 0) {
        start_reshape(call, m, run);
        return;
    }
    if (rc == 0)
        rc = resume(run, NULL, (int)m->from_step, &err);
    if (rc < 0)
        rpc_fail(call, &err);
    else
        answer(call, run);
}
