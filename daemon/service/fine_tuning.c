/* daemon/service/fine_tuning.c - see fine_tuning.h. Handlers read the request, ask runs.h, and
 * answer. */
#include "daemon/service/fine_tuning.h"
#include "daemon/service/create.h"
#include "daemon/service/job_access.h"
#include "daemon/service/message.h"
#include "daemon/service/resume.h"
#include "daemon/service/outcome.h"
#include "daemon/service/watch.h"
#include <stdlib.h>

enum {
    LOG_BYTES = 64 * 1024,
    LOG_BYTES_MAX = 4 * 1024 * 1024,
    JOB_BYTES = 4 << 20,
    STATES_MAX = 64
};

/* Answers the call itself where there is no such job. */
static struct run *find(struct rpc_call *call, const char *id)
{
    struct run *run = NULL;
    struct err err;

    if (job_access_find(call, rpc_service(call), id, &run, &err) == 0)
        return run;
    rpc_fail(call, &err);
    return NULL;
}

static void on_get(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__GetJobRequest *m = (const Dash__V1__GetJobRequest *)message;
    Dash__V1__GetJobResponse response = DASH__V1__GET_JOB_RESPONSE__INIT;
    struct run *run = find(call, m->id);
    struct message_job job;
    char *tail = NULL;

    if (!run)
        return;
    message_job(run, &job);
    job.job.job_yaml = run->row.job_yaml;
    if (run->row.state == RUN_FAILED)
        tail = outcome_log_tail(run->row.output, run->row.log_offset);
    if (tail)
        job.job.log_tail = tail;
    response.job = &job.job;
    rpc_reply(call, &response.base);
    free(tail);
}

/* A bit for each state that is asked for. */
static unsigned int wanted_states(const Dash__V1__ListJobsRequest *m)
{
    unsigned int wanted = 0;
    size_t i;

    for (i = 0; i < m->n_states; i++)
        if ((int)m->states[i] > 0 && (int)m->states[i] < (int)RUN_STATES)
            wanted |= 1u << m->states[i];
    return m->n_states ? wanted : ~0u;
}

static void on_list(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__ListJobsRequest *m = (const Dash__V1__ListJobsRequest *)message;
    Dash__V1__ListJobsResponse response = DASH__V1__LIST_JOBS_RESPONSE__INIT;
    struct runs *runs = rpc_service(call);
    struct message_job *jobs;
    Dash__V1__Job **pointers;
    unsigned int wanted = wanted_states(m);
    size_t n = 0;
    int i;

    if (m->n_states > STATES_MAX) {
        rpc_finish(call, RPC_INVALID_ARGUMENT, "states: there are more entries than states");
        return;
    }
    jobs = calloc((size_t)runs->n + 1, sizeof(*jobs));
    pointers = calloc((size_t)runs->n + 1, sizeof(Dash__V1__Job *));
    for (i = runs->n - 1; jobs && pointers && i >= 0; i--) {
        if (!(wanted & 1u << runs->items[i]->row.state))
            continue;
        message_job(runs->items[i], &jobs[n]);
        pointers[n] = &jobs[n].job;
        n++;
    }
    response.jobs = pointers;
    response.n_jobs = n;
    if (jobs && pointers)
        rpc_reply(call, &response.base);
    else
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
    free(jobs);
    free(pointers);
}

static void on_watch(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__WatchJobRequest *m = (const Dash__V1__WatchJobRequest *)message;
    struct run *run = find(call, m->id);
    struct err err;

    if (run && watch_add(run, call, (int)m->from_step, &err) < 0)
        rpc_fail(call, &err);
}

static void on_cancel(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__CancelJobRequest *m = (const Dash__V1__CancelJobRequest *)message;
    Dash__V1__CancelJobResponse response = DASH__V1__CANCEL_JOB_RESPONSE__INIT;
    struct run *run = find(call, m->id);
    struct message_job job;
    struct err err;

    if (!run)
        return;
    if (run_cancel(run, &err) < 0) {
        rpc_fail(call, &err);
        return;
    }
    message_job(run, &job);
    response.job = &job.job;
    rpc_reply(call, &response.base);
}

static void on_logs(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__GetLogsRequest *m = (const Dash__V1__GetLogsRequest *)message;
    Dash__V1__GetLogsResponse response = DASH__V1__GET_LOGS_RESPONSE__INIT;
    size_t most = m->max_bytes ? m->max_bytes : LOG_BYTES;
    struct run *run = find(call, m->id);
    struct buf text = {0};
    int64_t next = 0;
    struct err err;

    if (!run)
        return;
    if (most > LOG_BYTES_MAX)
        most = LOG_BYTES_MAX;
    if (outcome_read_log(run->row.output, m->from_offset ? (int64_t)m->from_offset : -1, most,
                         &text, &next, &err) < 0) {
        rpc_fail(call, &err);
        return;
    }
    if (text.data)
        response.text = text.data;
    response.next_offset = (uint64_t)next;
    rpc_reply(call, &response.base);
    buf_free(&text);
}

static void on_info(struct rpc_call *call, const ProtobufCMessage *message)
{
    Dash__V1__GetServerInfoResponse response = DASH__V1__GET_SERVER_INFO_RESPONSE__INIT;
    struct runs *runs = rpc_service(call);

    (void)message;
    response.version = DASH_VERSION;
    response.max_running = (uint32_t)runs->options.max_running;
    response.queued = (uint32_t)runs_count(runs, true);
    response.running = (uint32_t)runs_count(runs, false);
    response.caller = (char *)rpc_caller(call)->name;
    response.role = (char *)role_name(rpc_caller(call)->role);
    rpc_reply(call, &response.base);
}

int fine_tuning_register(struct rpc_server *server, struct runs *runs, struct err *err)
{
    static const struct rpc_method methods[] = {
        {.path = "/dash.v1.FineTuning/CreateJob",
         .role = ROLE_SUBMIT,
         .max_bytes = JOB_BYTES,
         .request_type = &dash__v1__create_job_request__descriptor,
         .on_message = create_on_create,
         .on_gone = create_on_gone},
        {.path = "/dash.v1.FineTuning/PlanJob",
         .role = ROLE_SUBMIT,
         .max_bytes = JOB_BYTES,
         .request_type = &dash__v1__plan_job_request__descriptor,
         .on_message = create_on_plan,
         .on_gone = create_on_gone},
        {.path = "/dash.v1.FineTuning/GetJob",
         .role = ROLE_READ,
         .request_type = &dash__v1__get_job_request__descriptor,
         .on_message = on_get},
        {.path = "/dash.v1.FineTuning/ListJobs",
         .role = ROLE_READ,
         .request_type = &dash__v1__list_jobs_request__descriptor,
         .on_message = on_list},
        {.path = "/dash.v1.FineTuning/CancelJob",
         .role = ROLE_SUBMIT,
         .request_type = &dash__v1__cancel_job_request__descriptor,
         .on_message = on_cancel},
        {.path = "/dash.v1.FineTuning/ResumeJob",
         .role = ROLE_SUBMIT,
         .request_type = &dash__v1__resume_job_request__descriptor,
         .on_message = resume_on_resume,
         .on_gone = resume_on_gone},
        {.path = "/dash.v1.FineTuning/GetLogs",
         .role = ROLE_READ,
         .request_type = &dash__v1__get_logs_request__descriptor,
         .on_message = on_logs},
        {.path = "/dash.v1.FineTuning/GetServerInfo",
         .role = ROLE_READ,
         .request_type = &dash__v1__get_server_info_request__descriptor,
         .on_message = on_info},
        {.path = "/dash.v1.FineTuning/WatchJob",
         .role = ROLE_READ,
         .request_type = &dash__v1__watch_job_request__descriptor,
         .on_message = on_watch,
         .on_writable = watch_on_writable,
         .on_gone = watch_on_gone},
    };

    return rpc_add_methods(server, methods, sizeof(methods) / sizeof(methods[0]), runs, err);
}
