/* daemon/service/fine_tuning.c - see fine_tuning.h. Handlers read the request, ask runs.h, and
 * answer. */
#include "daemon/service/fine_tuning.h"
#include "daemon/service/create.h"
#include "daemon/service/job_access.h"
#include "daemon/service/download.h"
#include "daemon/service/follow_logs.h"
#include "daemon/service/list.h"
#include "daemon/service/message.h"
#include "daemon/service/resume.h"
#include "daemon/service/outcome.h"
#include "daemon/service/watch.h"
#include "daemon/service/watch_list.h"
#include <stdlib.h>
#include <string.h>

enum { JOB_BYTES = 4 << 20 };

static void on_get(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__GetJobRequest *m = (const Dash__V1__GetJobRequest *)message;
    Dash__V1__GetJobResponse response = DASH__V1__GET_JOB_RESPONSE__INIT;
    struct run *run = job_access_run(call, m->id);
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
    message_job_close(&job);
    free(tail);
}

static void on_watch(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__WatchJobRequest *m = (const Dash__V1__WatchJobRequest *)message;
    struct run *run = job_access_run(call, m->id);
    const struct watch_from from = {(int)m->from_step, m->events, m->after_event};
    struct err err;

    if (run && watch_add(run, call, &from, &err) < 0)
        rpc_fail(call, &err);
}

static void on_cancel(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__CancelJobRequest *m = (const Dash__V1__CancelJobRequest *)message;
    Dash__V1__CancelJobResponse response = DASH__V1__CANCEL_JOB_RESPONSE__INIT;
    struct run *run = job_access_run(call, m->id);
    struct err err;

    if (!run)
        return;
    if (run_cancel(run, &err) < 0)
        rpc_fail(call, &err);
    else
        message_reply_job(call, &response.base, &response.job, run);
}

static void on_pause(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__PauseJobRequest *m = (const Dash__V1__PauseJobRequest *)message;
    Dash__V1__PauseJobResponse response = DASH__V1__PAUSE_JOB_RESPONSE__INIT;
    struct run *run = job_access_run(call, m->id);
    struct err err;

    if (!run)
        return;
    if (run_pause(run, &err) < 0)
        rpc_fail(call, &err);
    else
        message_reply_job(call, &response.base, &response.job, run);
}

static void on_delete(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__DeleteJobRequest *m = (const Dash__V1__DeleteJobRequest *)message;
    Dash__V1__DeleteJobResponse response = DASH__V1__DELETE_JOB_RESPONSE__INIT;
    struct run *run = job_access_run(call, m->id);
    struct err err;

    if (!run)
        return;
    if (run_delete(run, &err) < 0)
        rpc_fail(call, &err);
    else
        rpc_reply(call, &response.base);
}

static bool is_among(const char *name, char *const *names, size_t n)
{
    size_t i;

    for (i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* The job's labels with those of the request in their place. Caller frees *ret. */
static int change_labels(const struct run *run, const Dash__V1__UpdateJobRequest *m, char **ret,
                         struct err *err)
{
    struct label had[LABELS_MAX], labels[2 * LABELS_MAX];
    char *text = strdup(run->row.labels);
    size_t n_had, n = m->n_labels, i, j;
    int rc;

    if (!text)
        return err_nomem(err, strlen(run->row.labels));
    rc = message_read_labels(m->labels, m->n_labels, labels, err);
    n_had = rc == 0 ? labels_split(text, had) : 0;
    for (i = 0; i < n_had; i++) {
        for (j = 0; j < m->n_labels && strcmp(labels[j].name, had[i].name) != 0; j++)
            ;
        if (j == m->n_labels && !is_among(had[i].name, m->remove_labels, m->n_remove_labels))
            labels[n++] = had[i];
    }
    if (rc == 0)
        rc = labels_encode(labels, n, ret, err);
    free(text);
    return rc;
}

static void on_update(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__UpdateJobRequest *m = (const Dash__V1__UpdateJobRequest *)message;
    Dash__V1__UpdateJobResponse response = DASH__V1__UPDATE_JOB_RESPONSE__INIT;
    struct run *run = job_access_run(call, m->id);
    int priority = m->priority ? m->priority->value : run ? run->row.priority : 0, rc;
    char *labels = NULL;
    struct err err;

    if (!run)
        return;
    rc = message_check_priority(priority, &err);
    if (rc == 0)
        rc = change_labels(run, m, &labels, &err);
    if (rc == 0)
        rc = run_update(run, labels, priority, &err);
    free(labels);
    if (rc < 0)
        rpc_fail(call, &err);
    else
        message_reply_job(call, &response.base, &response.job, run);
}

static void on_logs(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__GetLogsRequest *m = (const Dash__V1__GetLogsRequest *)message;
    Dash__V1__GetLogsResponse response = DASH__V1__GET_LOGS_RESPONSE__INIT;
    struct run *run = job_access_run(call, m->id);
    struct buf text = {0};
    int64_t next = 0;
    struct err err;

    if (!run)
        return;
    if (outcome_read_log(run->row.output, m->from_offset ? (int64_t)m->from_offset : -1,
                         outcome_log_bytes(m->max_bytes), &text, &next, &err) < 0) {
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
         .on_message = list_on_jobs},
        {.path = "/dash.v1.FineTuning/ListEvents",
         .role = ROLE_READ,
         .request_type = &dash__v1__list_events_request__descriptor,
         .on_message = list_on_events},
        {.path = "/dash.v1.FineTuning/PauseJob",
         .role = ROLE_SUBMIT,
         .request_type = &dash__v1__pause_job_request__descriptor,
         .on_message = on_pause},
        {.path = "/dash.v1.FineTuning/DeleteJob",
         .role = ROLE_SUBMIT,
         .request_type = &dash__v1__delete_job_request__descriptor,
         .on_message = on_delete},
        {.path = "/dash.v1.FineTuning/UpdateJob",
         .role = ROLE_SUBMIT,
         .request_type = &dash__v1__update_job_request__descriptor,
         .on_message = on_update},
        {.path = "/dash.v1.FineTuning/ListFiles",
         .role = ROLE_READ,
         .request_type = &dash__v1__list_files_request__descriptor,
         .on_message = download_on_list,
         .on_gone = download_on_list_gone},
        {.path = "/dash.v1.FineTuning/ListCheckpoints",
         .role = ROLE_READ,
         .request_type = &dash__v1__list_checkpoints_request__descriptor,
         .on_message = download_on_checkpoints,
         .on_gone = download_on_list_gone},
        {.path = "/dash.v1.FineTuning/DownloadFile",
         .role = ROLE_READ,
         .request_type = &dash__v1__download_file_request__descriptor,
         .on_message = download_on_download,
         .on_writable = download_on_writable,
         .on_gone = download_on_gone},
        {.path = "/dash.v1.FineTuning/FollowLogs",
         .role = ROLE_READ,
         .request_type = &dash__v1__follow_logs_request__descriptor,
         .on_message = follow_logs_on_follow,
         .on_writable = follow_logs_on_writable,
         .on_gone = follow_logs_on_gone},
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
        {.path = "/dash.v1.FineTuning/WatchJobs",
         .role = ROLE_READ,
         .request_type = &dash__v1__watch_jobs_request__descriptor,
         .on_message = watch_list_on_watch,
         .on_writable = watch_list_on_writable,
         .on_gone = watch_list_on_gone},
    };

    return rpc_add_methods(server, methods, sizeof(methods) / sizeof(methods[0]), runs, err);
}
