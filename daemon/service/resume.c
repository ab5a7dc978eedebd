/* daemon/service/resume.c - see resume.h. */
#include "daemon/service/resume.h"
#include "core/job_check.h"
#include "core/job_slurm.h"
#include "daemon/service/message.h"
#include "daemon/service/runs.h"
#include "proto/dash.pb-c.h"
#include <stdlib.h>
#include <string.h>

struct reshape {
    uv_work_t work;
    struct rpc_call *call; /* lives until it is answered; so do the overrides */
    struct runs *runs;
    const char *id;
    const char *const *sets;
    int n_sets;
    char *before; /* the job as it was */

    struct run_shape shape;
    struct problems problems;
    int rc;
    struct err err;
};

static void free_reshape(struct reshape *r)
{
    problems_free(&r->problems);
    free(r->shape.job_yaml);
    free(r->before);
    free(r);
}

static bool is_same_job(const struct job *a, const struct job *b)
{
    char of_a[33], of_b[33];

    job_identity(a, of_a);
    job_identity(b, of_b);
    return strcmp(of_a, of_b) == 0 && strcmp(a->output, b->output) == 0;
}

static int compare(struct reshape *r, const struct job *now)
{
    struct job *old = NULL;
    int rc = job_parse(r->before, NULL, "/", NULL, 0, &old, &r->problems, &r->err);

    if (rc == 0 && !is_same_job(old, now))
        rc = err_set(&r->err, ERR_INVALID,
                     "that would be another job: a resume can change parallel, launcher, slurm, "
                     "max_restarts and "
                     "training.eval_every, not what decides the numbers or the output folder");
    job_free(old);
    return rc;
}

/* On a thread of the pool. */
static void validate(uv_work_t *work)
{
    struct reshape *r = work->data;
    struct job_plan plan = {0};
    struct job *now = NULL;

    r->rc =
        job_validate(r->before, NULL, "/", r->sets, r->n_sets, &now, &plan, &r->problems, &r->err);
    if (r->rc == 0)
        r->rc = compare(r, now);
    if (r->rc == 0) {
        r->shape = (struct run_shape){job_to_yaml(now), job_workers(now), now->max_restarts,
                                      now->launcher == LAUNCHER_SLURM};
        if (!r->shape.job_yaml)
            r->rc = err_nomem(&r->err, strlen(r->before));
    }
    job_plan_free(&plan);
    job_free(now);
}

static void answer(struct rpc_call *call, struct run *run)
{
    Dash__V1__ResumeJobResponse response = DASH__V1__RESUME_JOB_RESPONSE__INIT;
    struct message_job job;

    message_job(run, &job);
    response.job = &job.job;
    rpc_reply(call, &response.base);
}

static void refuse(struct reshape *r)
{
    char *text = r->problems.n ? problems_text(&r->problems) : NULL;

    if (text)
        rpc_finish(r->call, RPC_INVALID_ARGUMENT, text);
    else
        rpc_fail(r->call, &r->err);
    free(text);
}

/* The job may have been resumed by another call meanwhile: runs_resume() looks again. */
static void on_validated(uv_work_t *work, int status)
{
    struct reshape *r = work->data;
    struct run *run = NULL;

    (void)status;
    if (r->rc == 0)
        r->rc = runs_find(r->runs, r->id, &run, &r->err);
    if (r->rc == 0)
        r->rc = runs_resume(run, &r->shape, &r->err);
    if (r->rc < 0) {
        refuse(r);
    } else {
        r->shape.job_yaml = NULL;
        answer(r->call, run);
    }
    free_reshape(r);
}

static void start_reshape(struct rpc_call *call, const Dash__V1__ResumeJobRequest *m,
                          const struct run *run)
{
    struct reshape *r = calloc(1, sizeof(*r));

    if (r)
        r->before = strdup(run->row.job_yaml);
    if (!r || !r->before) {
        free(r);
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
        return;
    }
    r->call = call;
    r->runs = run->runs;
    r->id = m->id;
    r->sets = (const char *const *)m->overrides;
    r->n_sets = (int)m->n_overrides;
    r->work.data = r;
    if (uv_queue_work(run->runs->loop, &r->work, validate, on_validated) < 0) {
        rpc_finish(call, RPC_UNAVAILABLE, "dashd is going away");
        free_reshape(r);
    }
}

void resume_on_resume(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__ResumeJobRequest *m = (const Dash__V1__ResumeJobRequest *)message;
    struct run *run = NULL;
    enum run_state next;
    struct err err;
    int rc = runs_find(rpc_service(call), m->id, &run, &err);

    if (rc == 0)
        rc = run_apply(run->row.state, RUN_RESUME, &next, &err);
    if (rc == 0 && m->n_overrides > 0) {
        start_reshape(call, m, run);
        return;
    }
    if (rc == 0)
        rc = runs_resume(run, NULL, &err);
    if (rc < 0)
        rpc_fail(call, &err);
    else
        answer(call, run);
}
