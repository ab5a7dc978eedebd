/* daemon/service/http/openai_jobs.c - jobs as OpenAI's API shows them, and what is done with them.
 * What is read is the run itself; what changes is a call (http_call.h), so who may is asked there.
 */
#include "daemon/service/http/openai.h"
#include "daemon/service/message.h"
#include "proto/message_json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JOBS_A_PAGE = 20, JOBS_MAX = 100, CHECKPOINTS_A_PAGE = 10 };

static const char metadata_prefix[] = "openai.meta/";

char *openai_label(const struct run *run, const char *name)
{
    struct label labels[LABELS_MAX];
    char *text = strdup(run->row.labels), *value = NULL;
    size_t n = text ? labels_split(text, labels) : 0, i;

    for (i = 0; i < n && !value; i++)
        if (strcmp(labels[i].name, name) == 0)
            value = strdup(labels[i].value);
    free(text);
    return value;
}

struct run *openai_find_job(const struct openai *o, const char *id)
{
    struct run *run = NULL;
    char *model;

    if (strncmp(id, "ftjob-", 6) != 0 || strspn(id + 6, "0123456789") != strlen(id + 6) ||
        runs_find(o->runs, id + 6, &run, NULL) < 0)
        return NULL;
    model = openai_label(run, "openai.model");
    free(model);
    return model ? run : NULL;
}

const struct run *openai_user_of_file(const struct openai *o, const char *file_id)
{
    int i;

    for (i = 0; i < o->runs->n; i++) {
        const struct run *run = o->runs->items[i];
        const struct label training = {"openai.training_file", file_id};
        const struct label validation = {"openai.validation_file", file_id};
        if (!run_is_final(run->row.state) &&
            (labels_have(run->row.labels, &training) || labels_have(run->row.labels, &validation)))
            return run;
    }
    return NULL;
}

/* ---- a job ---- */

const char *openai_status(enum run_state state)
{
    static const char *const names[RUN_STATES] = {
        [RUN_QUEUED] = "queued",       [RUN_STARTING] = "running", [RUN_RUNNING] = "running",
        [RUN_SUCCEEDED] = "succeeded", [RUN_FAILED] = "failed",    [RUN_CANCELLED] = "cancelled",
        [RUN_PAUSED] = "paused"};

    return names[state];
}

/* A number that a label holds, or "auto". */
static json_t *number_of(const struct run *run, const char *name)
{
    char *text = openai_label(run, name), *end;
    double number = text ? strtod(text, &end) : 0;
    json_t *json;

    if (!text || end == text || *end)
        json = json_string("auto");
    else if (number == (double)(json_int_t)number)
        json = json_integer((json_int_t)number);
    else
        json = json_real(number);
    free(text);
    return json;
}

static json_t *time_of(int64_t ms)
{
    return ms ? json_integer(ms / 1000) : json_null();
}

static json_t *text_or_null(char *text)
{
    json_t *json = text ? json_string(text) : json_null();

    free(text);
    return json;
}

static json_t *hyperparameters(const struct run *run)
{
    return json_pack("{s:o, s:o, s:o}", "n_epochs", number_of(run, "openai.n_epochs"), "batch_size",
                     number_of(run, "openai.batch_size"), "learning_rate_multiplier",
                     number_of(run, "openai.learning_rate_multiplier"));
}

static json_t *metadata_of(const struct run *run)
{
    struct label labels[LABELS_MAX];
    char *text = strdup(run->row.labels);
    size_t n = text ? labels_split(text, labels) : 0, len = sizeof(metadata_prefix) - 1, i;
    json_t *o = json_object();

    for (i = 0; i < n; i++)
        if (strncmp(labels[i].name, metadata_prefix, len) == 0)
            json_object_set_new(o, labels[i].name + len, json_string(labels[i].value));
    free(text);
    return o;
}

static json_t *result_files(const struct run *run)
{
    char id[40];

    snprintf(id, sizeof(id), "file-metrics-%ld", run->row.id);
    return run->row.state == RUN_SUCCEEDED ? json_pack("[s]", id) : json_array();
}

static json_t *error_of(const struct run *run)
{
    if (run->row.state != RUN_FAILED)
        return json_null();
    return json_pack("{s:s, s:s, s:n}", "code", "job_failed", "message", run->row.reason, "param");
}

static json_t *job_json(const struct openai *o, struct run *run)
{
    struct message_job m;
    char id[40];
    json_t *json, *tuned;

    snprintf(id, sizeof(id), "ftjob-%ld", run->row.id);
    message_job(run, &m);
    tuned = text_or_null(openai_model_name(o, run));
    json = json_pack(
        "{s:s, s:s, s:o, s:o, s:o, s:s, s:o, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:[], s:o, "
        "s:{s:s, s:{s:o}}}",
        "object", "fine_tuning.job", "id", id, "created_at", time_of(run->row.created_ms),
        "finished_at", time_of(run_is_final(run->row.state) ? run->row.finished_ms : 0), "model",
        text_or_null(openai_label(run, "openai.model")), "organization_id", "dash",
        "fine_tuned_model", tuned, "status", openai_status(run->row.state), "hyperparameters",
        hyperparameters(run), "training_file",
        text_or_null(openai_label(run, "openai.training_file")), "validation_file",
        text_or_null(openai_label(run, "openai.validation_file")), "result_files",
        result_files(run), "trained_tokens",
        run_is_final(run->row.state) ? json_integer((json_int_t)m.job.trained_tokens) : json_null(),
        "error", error_of(run), "estimated_finish", time_of(m.job.estimated_finish_ms),
        "integrations", "metadata", metadata_of(run), "method", "type", "supervised", "supervised",
        "hyperparameters", hyperparameters(run));
    json_object_set_new(json, "seed", number_of(run, "openai.seed"));
    message_job_close(&m);
    return json;
}

/* A query may ask for metadata: metadata[key]=value. */
struct asked {
    const struct run *run;
    bool has;
};

static bool check_metadata(void *arg, const char *name, const char *value)
{
    struct asked *a = arg;
    size_t len = strlen(name);
    char label[LABEL_NAME_MAX + 1];

    if (strncmp(name, "metadata[", 9) != 0 || name[len - 1] != ']')
        return true;
    snprintf(label, sizeof(label), "%s%.*s", metadata_prefix, (int)(len - 10), name + 9);
    a->has = a->has && labels_have(a->run->row.labels, &(struct label){label, value ? value : ""});
    return a->has;
}

static bool is_shown(const struct http_request *r, const struct run *run)
{
    char *model = openai_label(run, "openai.model");
    struct asked a = {run, true};

    free(model);
    if (model)
        http_each_query(r, check_metadata, &a);
    return model && a.has;
}

void openai_on_jobs(struct http_request *r)
{
    const struct openai *o = http_service(r);
    struct openai_page page;
    bool more = false;
    long before;
    json_t *data;
    int i;

    if (!openai_read_page(r, JOBS_A_PAGE, JOBS_MAX, &page))
        return;
    if (page.after && !page.after[0])
        page.after = NULL;
    before = page.after && strncmp(page.after, "ftjob-", 6) == 0 ? atol(page.after + 6) : 0;
    if (page.after && before < 1) {
        openai_refuse(r, "after", "after must be the id of a fine-tuning job");
        return;
    }
    data = json_array();
    for (i = o->runs->n - 1; i >= 0 && !more; i--) { /* the newest is first */
        struct run *run = o->runs->items[i];
        if ((before && run->row.id >= before) || !is_shown(r, run))
            continue;
        more = json_array_size(data) == (size_t)page.limit;
        if (!more)
            json_array_append_new(data, job_json(o, run));
    }
    openai_reply_page(r, data, more);
}

/* ---- its checkpoints ---- */

static struct run *job_of(struct http_request *r, char verb[32])
{
    const struct openai *o = http_service(r);
    const char *rest = http_rest(r), *slash = strchr(rest, '/');
    struct run *run;
    char id[40];

    snprintf(id, sizeof(id), "%.*s", slash ? (int)(slash - rest) : (int)sizeof(id) - 1, rest);
    snprintf(verb, 32, "%s", slash ? slash + 1 : "");
    run = openai_find_job(o, id);
    if (!run)
        openai_fail(r, RPC_NOT_FOUND, "there is no such fine-tuning job");
    return run;
}

static json_t *checkpoint_json(const struct run *run, const char *base,
                               const Dash__V1__Checkpoint *c)
{
    char id[64], job[40], name[200];
    struct step_row row = {0};
    int n = 0;

    snprintf(id, sizeof(id), "ftckpt-%ld-%u", run->row.id, c->step);
    snprintf(job, sizeof(job), "ftjob-%ld", run->row.id);
    snprintf(name, sizeof(name), "ft:%s:dash::%ld:ckpt-step-%u", base ? base : "", run->row.id,
             c->step);
    if (store_read_steps(run->runs->store, run->row.id, (int)c->step, &row, 1, &n, NULL) < 0)
        n = 0;
    return json_pack("{s:s, s:s, s:I, s:s, s:s, s:i, s:{s:f, s:o*, s:o*}}", "object",
                     "fine_tuning.job.checkpoint", "id", id, "created_at",
                     (json_int_t)(c->time_ms / 1000), "fine_tuning_job_id", job,
                     "fine_tuned_model_checkpoint", name, "step_number", (int)c->step, "metrics",
                     "step", (double)c->step, "train_loss",
                     n == 1 && row.step == (int)c->step ? json_real(row.loss) : NULL, "valid_loss",
                     n == 1 && row.eval_loss > 0 ? json_real(row.eval_loss) : NULL);
}

static bool answer_checkpoints(struct http_request *r, const ProtobufCMessage *message)
{
    const Dash__V1__ListCheckpointsResponse *m = (const Dash__V1__ListCheckpointsResponse *)message;
    struct openai_page page;
    char verb[32], *base;
    struct run *run = job_of(r, verb);
    json_t *items;
    size_t i;

    if (!run || !openai_read_page(r, CHECKPOINTS_A_PAGE, JOBS_MAX, &page))
        return true;
    items = json_array();
    base = openai_label(run, "openai.model");
    for (i = 0; i < m->n_checkpoints; i++)
        json_array_append_new(items, checkpoint_json(run, base, m->checkpoints[i]));
    free(base);
    openai_reply_list(r, items, &page);
    return true;
}

/* Of any call here: its answer has been given, or it failed. */
static void end_call(struct http_request *r, enum rpc_status status, const char *text,
                     const struct rpc_violation *v, int n)
{
    (void)v;
    (void)n;
    if (status != RPC_OK && !http_has_begun(r))
        openai_fail(r, status, text);
}

static void call_job(struct http_request *r, const char *path, const struct run *run,
                     const ProtobufCMessageDescriptor *type, const struct http_view *view)
{
    ProtobufCMessage *message = NULL;
    char id[24];
    json_t *json;
    struct err err;
    int rc;

    snprintf(id, sizeof(id), "%ld", run->row.id);
    json = json_pack("{s:s}", "id", id);
    rc = json ? message_from_json(json, type, &message, &err) : err_nomem(&err, 64);
    json_decref(json);
    if (rc < 0)
        openai_fail(r, rpc_status_of(&err), err.text);
    else
        http_call_begin(r, path, message, view);
}

void openai_on_job(struct http_request *r)
{
    static const struct http_view checkpoints = {answer_checkpoints, end_call};
    char verb[32];
    struct run *run = job_of(r, verb);

    if (!run)
        return;
    if (!verb[0])
        openai_reply(r, job_json(http_service(r), run));
    else if (strcmp(verb, "events") == 0)
        openai_on_events(r, run);
    else if (strcmp(verb, "checkpoints") == 0)
        call_job(r, "/dash.v1.FineTuning/ListCheckpoints", run,
                 &dash__v1__list_checkpoints_request__descriptor, &checkpoints);
    else
        openai_fail(r, RPC_NOT_FOUND, "of a job there are events and checkpoints");
}

/* ---- what is done with it ---- */

static bool answer_job(struct http_request *r, const ProtobufCMessage *message)
{
    char verb[32];
    struct run *run = job_of(r, verb);

    (void)message;
    if (run)
        openai_reply(r, job_json(http_service(r), run));
    return true;
}

void openai_on_job_verb(struct http_request *r)
{
    static const struct http_view view = {answer_job, end_call};
    static const struct {
        const char *verb, *path;
        const ProtobufCMessageDescriptor *type;
    } verbs[] = {
        {"cancel", "/dash.v1.FineTuning/CancelJob", &dash__v1__cancel_job_request__descriptor},
        {"pause", "/dash.v1.FineTuning/PauseJob", &dash__v1__pause_job_request__descriptor},
        {"resume", "/dash.v1.FineTuning/ResumeJob", &dash__v1__resume_job_request__descriptor},
    };
    char verb[32];
    const struct run *run = job_of(r, verb);
    size_t i;

    if (!run)
        return;
    for (i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verb, verbs[i].verb) == 0) {
            call_job(r, verbs[i].path, run, verbs[i].type, &view);
            return;
        }
    openai_fail(r, RPC_NOT_FOUND, "a job can be cancelled, paused and resumed");
}

/* ---- a new one ---- */

static bool answer_created(struct http_request *r, const ProtobufCMessage *message)
{
    const Dash__V1__CreateJobResponse *m = (const Dash__V1__CreateJobResponse *)message;
    const struct openai *o = http_service(r);
    struct run *run = NULL;

    if (runs_find(o->runs, m->job->id, &run, NULL) == 0)
        openai_reply(r, job_json(o, run));
    return true;
}

/* Which parameter a key of the job file is from. */
static const char *param_of(const char *field)
{
    static const struct {
        const char *field, *param;
    } map[] = {{"data.train", "training_file"},
               {"data.eval", "validation_file"},
               {"training.epochs", "n_epochs"},
               {"training.batch_size", "batch_size"},
               {"model", "model"},
               {"training.seed", "seed"},
               {"training.learning_rate", "learning_rate_multiplier"}};
    size_t i;

    for (i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        if (strcmp(field, map[i].field) == 0)
            return map[i].param;
    return NULL;
}

static void end_create(struct http_request *r, enum rpc_status status, const char *text,
                       const struct rpc_violation *v, int n)
{
    if (status == RPC_INVALID_ARGUMENT && !http_has_begun(r))
        openai_refuse(r, n > 0 ? param_of(v[0].field) : NULL, "%s", text);
    else
        end_call(r, status, text, v, n);
}

void openai_on_create_job(struct http_request *r)
{
    static const struct http_view view = {answer_created, end_create};
    ProtobufCMessage *message = openai_make_job(r);

    if (message)
        http_call_begin(r, "/dash.v1.FineTuning/CreateJob", message, &view);
}
