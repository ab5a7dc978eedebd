/* daemon/service/http/openai.h - the part of OpenAI's API that fine-tuning needs, under /v1/:
 * files, fine-tuning jobs with the method "supervised", models, and chat completions. It is a view
 * of the same service: a job is what CreateJob makes of a job file, so it is seen and changed by
 * all other means, too.
 *
 *   file       "file-..." of openai_files.h
 *   job        "ftjob-7": job 7, which was made here; its labels "openai.*" say what from
 *   model      a name of --model, or "ft:NAME:dash:SUFFIX:7", what job 7 has trained
 *
 * What is not offered is refused by its name, in OpenAI's form of errors:
 *
 *   {"error": {"message": "...", "type": "invalid_request_error", "param": "seed", "code": null}}
 */
#pragma once
#include "daemon/service/chats.h"
#include "daemon/service/http/http_call.h"
#include "daemon/service/http/openai_files.h"
#include "daemon/service/options.h"
#include "daemon/service/runs.h"
#include <jansson.h>

struct openai_metrics;

struct openai {
    struct http_calls calls; /* first: what http_call.h finds */
    struct runs *runs;
    const struct options *options;
    struct openai_files *files;
    struct chats *chats;
    struct openai_metrics *metrics;
};

int openai_open(uv_loop_t *loop, const struct options *options, struct rpc_server *rpc,
                struct runs *runs, struct openai **ret, struct err *err);
void openai_stop(struct openai *o);  /* NULL-safe */
void openai_close(struct openai *o); /* NULL-safe; after the server is closed */

/* ---- shared by the views ---- */

/* Errors in OpenAI's form; what routes have as their fail(). param may be NULL. */
void openai_fail(struct http_request *r, enum rpc_status status, const char *text);
void openai_refuse(struct http_request *r, const char *param, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Takes over json; NULL: no memory. */
void openai_reply(struct http_request *r, json_t *json);
/* The body as an object, which the caller frees; NULL: refused. */
json_t *openai_body(struct http_request *r);
/* Whether all keys are among `known` (ends with NULL) or null; else refuses the first other. */
bool openai_knows_keys(struct http_request *r, const json_t *object, const char *const *known);
/* "limit" and "after" of a list. False: refused. */
struct openai_page {
    int limit;
    const char *after; /* NULL: from the beginning */
};
bool openai_read_page(struct http_request *r, int limit, int most, struct openai_page *ret);
/* A list of what `items` has after the one of the id page->after; takes over items. */
void openai_reply_list(struct http_request *r, json_t *items, const struct openai_page *page);
/* A page itself; takes over data. */
void openai_reply_page(struct http_request *r, json_t *data, bool has_more);

/* What http_data() of a request about a file begins with, while its answer is being made. */
struct openai_answer {
    void (*writable)(struct http_request *r); /* may be NULL */
    void (*gone)(struct http_request *r);
};

/* ---- metrics: a job's steps as a file, "file-metrics-7", as OpenAI's result files are ---- */

int openai_metrics_open(uv_loop_t *loop, struct openai_metrics **ret, struct err *err);
void openai_metrics_close(struct openai_metrics *m); /* NULL-safe; after the server is closed */
/* The job of "file-metrics-7", or NULL. */
struct run *openai_metrics_find(const struct openai *o, const char *id);
/* Its facts, and its content: CSV, made when it is asked for. They set http_data(). */
void openai_metrics_on_facts(struct http_request *r, const struct run *run);
void openai_metrics_on_content(struct http_request *r, const struct run *run);

/* ---- models ---- */

/* A model by its name: paths to its weights and its adapter, owned by the caller, as
 * openai_model_free() frees them; base is the name of --model, or of the file. */
struct openai_model {
    char *path, *adapter; /* adapter NULL: none */
    char *base;
};
int openai_model_find(const struct openai *o, const char *name, struct openai_model *ret,
                      struct err *err);
void openai_model_free(struct openai_model *m);
/* "ft:smollm2:dash:my-run:7"; the caller frees. NULL: the job has not succeeded, or no memory. */
char *openai_model_name(const struct openai *o, struct run *run);
/* Reads which models the jobs of the store have trained. */
void openai_models_open(const struct openai *o);
void openai_on_models(struct http_request *r);
void openai_on_model(struct http_request *r);

/* ---- jobs ---- */

void openai_on_create_job(struct http_request *r);
/* The CreateJobRequest that its body stands for; NULL: refused. */
ProtobufCMessage *openai_make_job(struct http_request *r);
void openai_on_jobs(struct http_request *r);
void openai_on_job(struct http_request *r); /* GET jobs/ID, jobs/ID/events, jobs/ID/checkpoints */
/* The events and the steps of a job, newest first. */
void openai_on_events(struct http_request *r, const struct run *run);
/* "succeeded" */
const char *openai_status(enum run_state state);
void openai_on_job_verb(struct http_request *r); /* POST jobs/ID/cancel, pause, resume */
/* The job of "ftjob-7" that was made here, or NULL. */
struct run *openai_find_job(const struct openai *o, const char *id);
/* A label of the job; the caller frees. NULL: it has none. */
char *openai_label(const struct run *run, const char *name);
/* Whether a job that has not ended uses the file. */
const struct run *openai_user_of_file(const struct openai *o, const char *file_id);

/* ---- chat ---- */

void openai_on_chat(struct http_request *r);
void openai_on_chat_gone(struct http_request *r);
