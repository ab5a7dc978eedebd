/* daemon/service/create.c - see create.h. A creation lives until its call is answered or its client
 * has gone, which ends the check as well. */
#include "daemon/service/create.h"
#include "core/job/evaluation_request.h"
#include "core/job/job_read.h"
#include "core/job/job.h"
#include "daemon/service/after/follow_ups.h"
#include "daemon/service/check.h"
#include "daemon/service/job_access.h"
#include "daemon/service/message.h"
#include "daemon/service/run_slurm.h"
#include "daemon/service/runs.h"
#include "proto/dash.pb-c.h"
#include "proto/plan_message.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

enum { REQUEST_ID_MAX = 128 };

struct creation {
    struct rpc_call *call;
    struct runs *runs;
    struct check *check;
    const Dash__V1__CreateJobRequest *request; /* the call's; NULL: a plan */
    char request_hash[33];
    char *labels;
};

static void free_creation(struct creation *c)
{
    free(c->labels);
    free(c);
}

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

/* What is the same for jobs of both kinds. */
static void fill_row(const struct creation *c, const struct check_result *r, struct run_row *row)
{
    *row = (struct run_row){
        .reason = strdup(""),
        .job_yaml = strdup(r->yaml),
        .death_reason = strdup(""),
        .labels = strdup(c->labels),
        .priority = c->request->priority,
        .memory_bytes = (int64_t)r->memory_bytes,
        .request_id = strdup(c->request->request_id),
        .created_by = strdup(rpc_caller(c->call)->name),
        .nodes = strdup(""),
    };
    snprintf(row->request_hash, sizeof(row->request_hash), "%s", c->request_hash);
}

static int fill_training(const struct creation *c, const char *yaml, struct run_row *row,
                         struct err *err)
{
    struct job *job = NULL;
    int rc = job_from_yaml(yaml, &job, err);

    if (rc == 0)
        rc = follow_ups_check(job, rpc_caller(c->call), err);
    if (rc < 0) {
        job_free(job);
        return rc;
    }
    row->kind = RUN_TRAINING;
    row->name = strdup(job->name);
    row->output = strdup(job->output);
    row->steps_total = job->training.steps;
    row->workers = job_workers(&job->parallel);
    row->slurm = job->launcher == LAUNCHER_SLURM;
    row->external = c->request->batch;
    row->max_restarts = job->max_restarts;
    job_free(job);
    return 0;
}

static int fill_evaluation(const char *text, struct run_row *row, struct err *err)
{
    enum { RESTARTS = 3 }; /* as many as a job file's default */
    struct evaluation_request request;
    int rc = evaluation_request_parse(text, &request, err);

    if (rc < 0)
        return rc;
    row->kind = RUN_EVALUATION;
    row->name = strdup(request.name ? request.name : strrchr(request.output, '/') + 1);
    row->output = strdup(request.output);
    row->workers = 1;
    row->max_restarts = RESTARTS;
    evaluation_request_free(&request);
    return 0;
}

static int make_row(const struct creation *c, const struct check_result *r, struct run_row *row,
                    struct err *err)
{
    int rc;

    fill_row(c, r, row);
    rc = c->request->evaluation ? fill_evaluation(r->yaml, row, err)
                                : fill_training(c, r->yaml, row, err);
    if (rc < 0) {
        run_row_free(row);
        return rc;
    }
    if (run_row_is_whole(row))
        return 0;
    run_row_free(row);
    return err_nomem(err, strlen(r->yaml));
}

static void reply_job(const struct creation *c, const struct run *run, char *script)
{
    Dash__V1__CreateJobResponse response = DASH__V1__CREATE_JOB_RESPONSE__INIT;
    struct message_job m;

    if (!job_access_is_owner(c->call))
        response.runs_as = (char *)c->runs->options.user;
    message_job(run, &m);
    m.job.job_yaml = run->row.job_yaml;
    response.job = &m.job;
    response.batch_script = script;
    rpc_reply(c->call, &response.base);
    message_job_close(&m);
}

static void reply_run(const struct creation *c, struct run *run)
{
    char *script = NULL;
    struct err err;

    rpc_set_job(c->call, run->row.id);
    if (c->request->batch && run_write_script(run, &script, &err) < 0) {
        rpc_fail(c->call, &err);
        return;
    }
    reply_job(c, run, script);
    free(script);
}

/* Of a row that is not kept: the job has no id. */
static void reply_validated(const struct creation *c, const struct run_row *row)
{
    struct run run = {.runs = c->runs, .row = *row};

    reply_job(c, &run, NULL);
}

static void answer_create(struct creation *c, const struct check_result *r)
{
    struct run_row row;
    struct run *run = NULL;
    struct err err;
    int rc;

    rc = make_row(c, r, &row, &err);
    if (rc == 0 && c->request->validate_only) {
        reply_validated(c, &row);
        run_row_free(&row);
        return;
    }
    if (rc == 0) {
        rc = runs_create(c->runs, &row, &run, &err);
        if (rc < 0)
            run_row_free(&row);
    }
    if (rc < 0) {
        rpc_fail(c->call, &err);
        return;
    }
    if (r->risk)
        run_add_notice(run, r->risk, NULL); /* the plan has it too */
    reply_run(c, run);
}

/* What is wrong with the job and what other jobs say against its folder, in one answer. */
static void refuse(struct creation *c, const struct check_result *r, const char *others)
{
    struct rpc_violation violations[PROBLEMS_MAX + 1];
    struct err err = {.code = r->code};
    char *text = NULL;
    int n;

    if (r->code < 0 && r->code != ERR_INVALID) {
        snprintf(err.text, sizeof(err.text), "%s", r->error);
        rpc_fail(c->call, &err);
        return;
    }
    for (n = 0; n < r->n_problems && n < PROBLEMS_MAX; n++)
        violations[n] = (struct rpc_violation){r->problems[n].field, r->problems[n].text};
    if (others[0])
        violations[n++] = (struct rpc_violation){"output", others};
    if (asprintf(&text, "%s%s%s", r->error ? r->error : "", r->error && others[0] ? "\n" : "",
                 others) < 0)
        text = NULL;
    rpc_refuse(c->call, text ? text : r->error, violations, n);
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

/* Where the request has made a job before: that one is the answer. */
static bool answer_repeated(struct creation *c)
{
    struct run *run = runs_find_request(c->runs, rpc_caller(c->call)->name, c->request->request_id);

    if (!run)
        return false;
    if (strcmp(run->row.request_hash, c->request_hash) == 0)
        reply_run(c, run);
    else
        rpc_finish(c->call, RPC_ALREADY_EXISTS,
                   "request_id: another request had this id; a new request must have a new one");
    return true;
}

static void on_checked(void *arg, const struct check_result *r)
{
    struct creation *c = arg;
    char *others = other_jobs_problems(c, r);

    if (!others)
        rpc_finish(c->call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
    else if (c->runs->stopping)
        rpc_finish(c->call, RPC_UNAVAILABLE, "dashd is shutting down");
    else if (c->request && answer_repeated(c))
        ; /* the same request, sent twice, has made the job while this one was checked */
    else if (r->code < 0 || others[0])
        refuse(c, r, others);
    else if (!c->request)
        answer_plan(c, r);
    else
        answer_create(c, r);
    free(others);
    free_creation(c);
}

/* Takes over c. */
static void start(struct creation *c, struct check_request *request)
{
    struct rpc_call *call = c->call;
    struct err err;

    request->new_output = true;
    request->has_slurm = !c->request || c->runs->slurm;
    rpc_set_data(call, c);
    if (check_start(c->runs->checker, request, on_checked, c, &c->check, &err) < 0) {
        rpc_set_data(call, NULL);
        rpc_fail(call, &err);
        free_creation(c);
    }
}

void create_on_gone(struct rpc_call *call)
{
    struct creation *c = rpc_data(call);

    if (c) {
        check_cancel(c->check);
        free_creation(c);
    }
    rpc_set_data(call, NULL);
    rpc_finish(call, RPC_UNAVAILABLE, "dashd is shutting down");
}

/* NULL for lack of memory: the call is answered. */
static struct creation *make_creation(struct rpc_call *call)
{
    struct creation *c = calloc(1, sizeof(*c));

    if (c) {
        c->call = call;
        c->runs = rpc_service(call);
    } else {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
    }
    return c;
}

static int hash_request(const Dash__V1__CreateJobRequest *m, char ret[33], struct err *err)
{
    size_t len = protobuf_c_message_get_packed_size(&m->base);
    uint8_t *bytes = malloc(len + 1);
    XXH128_hash_t hash;

    if (!bytes)
        return err_nomem(err, len);
    hash = XXH3_128bits(bytes, protobuf_c_message_pack(&m->base, bytes));
    snprintf(ret, 33, "%016llx%016llx", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
    free(bytes);
    return 0;
}

static int check_request_id(const char *id, struct err *err)
{
    size_t i;

    for (i = 0; id[i] > 0x20 && id[i] < 0x7f; i++)
        ;
    if (!id[i] && i <= REQUEST_ID_MAX)
        return 0;
    return err_set(err, ERR_INVALID,
                   "request_id must have at most %d letters, digits and signs of ASCII, no spaces",
                   REQUEST_ID_MAX);
}

/* What of the request is not the job file's. */
static int read_request(struct creation *c, struct err *err)
{
    const Dash__V1__CreateJobRequest *m = c->request;
    struct label labels[LABELS_MAX];
    int rc = check_request_id(m->request_id, err);

    if (rc == 0)
        rc = message_check_priority(m->priority, err);
    if (rc == 0)
        rc = message_read_labels(m->labels, m->n_labels, labels, err);
    if (rc == 0)
        rc = labels_encode(labels, m->n_labels, &c->labels, err);
    return rc == 0 ? hash_request(m, c->request_hash, err) : rc;
}

/* Absent text is "" in a message. */
static char *given(char *text)
{
    return text[0] ? text : NULL;
}

/* What a caller may not have meant is refused: the rest of the request is of jobs that train. */
static int check_lone(const Dash__V1__CreateJobRequest *m, struct err *err)
{
    const Dash__V1__Evaluation *e = m->evaluation;

    if (m->job_yaml[0] || m->directory[0] || m->file_name[0] || m->n_overrides || m->resume ||
        m->batch)
        return err_set(err, ERR_INVALID,
                       "evaluation: job_yaml, directory, file_name, overrides, resume and batch "
                       "are for a job that trains: leave them out");
    if (e->max_tokens > INT_MAX || e->new_tokens > INT_MAX || e->limit > INT_MAX ||
        e->threads > INT_MAX || e->n_data > EVALUATION_DATA_MAX)
        return err_set(err, ERR_INVALID,
                       "evaluation: a number is too large, or data has more than "
                       "%d files",
                       EVALUATION_DATA_MAX);
    return 0;
}

/* Caller frees *ret. */
static int read_evaluation(const Dash__V1__CreateJobRequest *m, char **ret, struct err *err)
{
    const Dash__V1__Evaluation *e = m->evaluation;
    const struct evaluation_request request = {
        .from = given(e->from),
        .model = given(e->model),
        .output = given(e->output),
        .name = given(e->name),
        .task = given(e->task),
        .template_kind = given(e->template_kind),
        .chat_template = given(e->chat_template),
        .data = e->data,
        .n_data = (int)e->n_data,
        .base_only = e->base_only,
        .without_directions = e->without_directions,
        .checkpoint = e->checkpoint,
        .here = e->here,
        .max_tokens = (int)e->max_tokens,
        .new_tokens = (int)e->new_tokens,
        .limit = (int)e->limit,
        .threads = (int)e->threads,
    };
    int rc = check_lone(m, err);

    if (rc == 0 && !(*ret = evaluation_request_print(&request)))
        rc = err_set(err, ERR_INVALID, "evaluation: all texts must be UTF-8");
    return rc;
}

static void start_evaluation(struct creation *c)
{
    char *text = NULL;
    struct err err;

    if (read_evaluation(c->request, &text, &err) < 0) {
        rpc_fail(c->call, &err);
        free_creation(c);
        return;
    }
    start(c, &(struct check_request){.text = text, .directory = "/", .evaluation = true});
    free(text);
}

void create_on_create(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__CreateJobRequest *m = (const Dash__V1__CreateJobRequest *)message;
    struct creation *c = make_creation(call);
    struct err err;

    if (!c)
        return;
    c->request = m;
    if (read_request(c, &err) < 0) {
        rpc_fail(call, &err);
        free_creation(c);
    } else if (answer_repeated(c)) {
        free_creation(c);
    } else if (m->evaluation) {
        start_evaluation(c);
    } else {
        start(c, &(struct check_request){.text = m->job_yaml,
                                         .directory = m->directory,
                                         .file = m->file_name[0] ? m->file_name : NULL,
                                         .sets = (const char *const *)m->overrides,
                                         .n_sets = (int)m->n_overrides,
                                         .resume = m->resume});
    }
}

void create_on_plan(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__PlanJobRequest *m = (const Dash__V1__PlanJobRequest *)message;
    struct job_plan_nodes nodes;
    struct creation *c;
    struct err err;

    if (m->node && plan_nodes_read(m, &nodes, &err) < 0) {
        rpc_fail(call, &err);
        return;
    }
    c = make_creation(call);
    if (c)
        start(c, &(struct check_request){.nodes = m->node ? &nodes : NULL,
                                         .text = m->job_yaml,
                                         .directory = m->directory,
                                         .file = m->file_name[0] ? m->file_name : NULL,
                                         .sets = (const char *const *)m->overrides,
                                         .n_sets = (int)m->n_overrides});
}
