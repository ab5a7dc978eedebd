/* daemon/service/http/metrics.c - see metrics.h. */
#include "daemon/service/http/metrics.h"
#include "core/buf.h"
#include "daemon/service/message.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void head(struct buf *b, const char *name, const char *type, const char *help)
{
    buf_printf(b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct buf *b, const char *name, const char *type, const char *help, double value)
{
    head(b, name, type, help);
    buf_printf(b, "%s %.17g\n", name, value);
}

/* A label's value: backslash, quote and newline are escaped. */
static void put_value(struct buf *b, const char *text)
{
    for (; *text; text++)
        if (*text == '\\' || *text == '"')
            buf_printf(b, "\\%c", *text);
        else if (*text == '\n')
            buf_puts(b, "\\n");
        else
            buf_append(b, text, 1);
}

static void put_lower(struct buf *b, const char *name)
{
    char c;

    for (; *name; name++) {
        c = (char)(tolower)((unsigned char)*name);
        buf_append(b, &c, 1);
    }
}

static void put_states(struct buf *b, const struct runs *runs)
{
    int counts[RUN_STATES] = {0}, i;

    for (i = 0; i < runs->n; i++)
        counts[runs->items[i]->row.state]++;
    head(b, "dash_jobs", "gauge", "Jobs in the store, by state.");
    for (i = RUN_QUEUED; i < RUN_STATES; i++) {
        buf_puts(b, "dash_jobs{state=\"");
        put_lower(b, run_state_name((enum run_state)i));
        buf_printf(b, "\"} %d\n", counts[i]);
    }
}

static void put_totals(struct buf *b, const struct run_totals *t)
{
    static const char wait[] = "dash_job_queue_seconds";
    uint64_t n = 0;
    int i;

    one(b, "dash_steps_total", "counter", "Optimizer steps that jobs have reported.",
        (double)t->steps);
    one(b, "dash_step_seconds_total", "counter", "Time that these steps took.", t->step_seconds);
    one(b, "dash_checkpoint_seconds_total", "counter",
        "Time that writing checkpoints took, beside the steps.", t->checkpoint_seconds);
    one(b, "dash_tokens_total", "counter", "Tokens of these steps.", (double)t->tokens);
    one(b, "dash_trained_tokens_total", "counter", "Tokens of these steps that were trained.",
        (double)t->trained_tokens);
    one(b, "dash_job_launches_total", "counter", "Launches of jobs, restarts among them.",
        (double)t->launches);
    one(b, "dash_job_restarts_total", "counter", "Launches that died and were started again.",
        (double)t->restarts);
    head(b, wait, "histogram", "Time from the queue to a launch.");
    for (i = 0; i <= QUEUE_BOUNDS; i++) {
        n += t->waits[i];
        if (i < QUEUE_BOUNDS)
            buf_printf(b, "%s_bucket{le=\"%g\"} %llu\n", wait, run_totals_bounds[i],
                       (unsigned long long)n);
        else
            buf_printf(b, "%s_bucket{le=\"+Inf\"} %llu\n", wait, (unsigned long long)n);
    }
    buf_printf(b, "%s_sum %.17g\n%s_count %llu\n", wait, t->wait_seconds, wait,
               (unsigned long long)n);
}

/* ---- jobs that run ---- */

struct series {
    const char *name, *help;
    double (*value)(const struct run *run, const Dash__V1__Job *job);
};

static double step_of(const struct run *run, const Dash__V1__Job *job)
{
    (void)run;
    return job->steps_done;
}

static double steps_of(const struct run *run, const Dash__V1__Job *job)
{
    (void)run;
    return job->steps_total;
}

static double loss_of(const struct run *run, const Dash__V1__Job *job)
{
    (void)run;
    return job->last_step ? job->last_step->loss : 0;
}

static double rate_of(const struct run *run, const Dash__V1__Job *job)
{
    (void)run;
    return job->tokens_per_second;
}

static double learning_rate_of(const struct run *run, const Dash__V1__Job *job)
{
    (void)run;
    return job->last_step ? job->last_step->learning_rate : 0;
}

static double grad_norm_of(const struct run *run, const Dash__V1__Job *job)
{
    (void)run;
    return job->last_step ? job->last_step->grad_norm : 0;
}

static double checkpoint_of(const struct run *run, const Dash__V1__Job *job)
{
    (void)job;
    return run->checkpoint_seconds;
}

static const struct series of_jobs[] = {
    {"dash_job_step", "Last step of a job that runs.", step_of},
    {"dash_job_steps", "Steps that a job which runs will have.", steps_of},
    {"dash_job_loss", "Loss of its last step.", loss_of},
    {"dash_job_learning_rate", "Learning rate of its last step.", learning_rate_of},
    {"dash_job_gradient_norm", "Gradient norm of its last step, before clipping.", grad_norm_of},
    {"dash_job_tokens_per_second", "Its rate over the last steps.", rate_of},
    {"dash_job_checkpoint_seconds", "Time that writing its last checkpoint took.", checkpoint_of},
};

static void put_series(struct buf *b, const struct runs *runs, const struct series *s)
{
    struct message_job m;
    int i;

    head(b, s->name, "gauge", s->help);
    for (i = 0; i < runs->n; i++) {
        if (runs->items[i]->row.state != RUN_RUNNING)
            continue;
        message_job(runs->items[i], &m);
        buf_printf(b, "%s{job=\"%s\",name=\"", s->name, m.id);
        put_value(b, m.job.name);
        buf_printf(b, "\"} %.17g\n", s->value(runs->items[i], &m.job));
        message_job_close(&m);
    }
}

/* ---- memory ---- */

static void put_memory(struct buf *b, const struct metrics_memory *m)
{
    char name[32];
    double bytes = 0;

    head(b, "dash_resident_memory_bytes", "gauge",
         "Memory of dashd, and of the processes of jobs on this machine.");
    metrics_resident(getpid(), name, &bytes);
    buf_printf(b, "dash_resident_memory_bytes{job=\"\",process=\"dashd\"} %.17g\n", bytes);
    metrics_memory_put(m, b);
}

static void put_calls(struct buf *b, const struct rpc_stats *stats)
{
    int i;

    head(b, "dash_rpcs_total", "counter", "Calls that have ended, by method and status.");
    for (i = 0; i < stats->n; i++)
        buf_printf(b, "dash_rpcs_total{method=\"%s\",code=\"%s\"} %llu\n", stats->items[i].method,
                   rpc_status_name((enum rpc_status)stats->items[i].status),
                   (unsigned long long)stats->items[i].n);
}

static void answer(struct http_request *r)
{
    const struct metrics *m = http_service(r);
    struct buf b = {0};
    size_t i;

    head(&b, "dash_build_info", "gauge", "Version of dashd.");
    buf_printf(&b, "dash_build_info{version=\"%s\"} 1\n", DASH_VERSION);
    put_states(&b, m->runs);
    put_totals(&b, &m->runs->totals);
    for (i = 0; i < sizeof(of_jobs) / sizeof(of_jobs[0]); i++)
        put_series(&b, m->runs, &of_jobs[i]);
    put_memory(&b, &m->memory);
    put_calls(&b, m->rpc);
    if (b.failed)
        http_fail(r, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
    else
        http_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", b.data, b.len);
    buf_free(&b);
}

static void on_get(struct http_request *r)
{
    struct metrics *m = http_service(r);

    if (!metrics_memory_look(&m->memory, m->runs, r, answer))
        answer(r);
}

static void on_gone(struct http_request *r)
{
    struct metrics *m = http_service(r);

    metrics_memory_gone(&m->memory, r);
}

void metrics_close(struct metrics *m)
{
    metrics_memory_close(&m->memory);
}

int metrics_register(struct http_server *server, struct metrics *m, struct err *err)
{
    static const struct http_route route = {
        .method = HTTP_GET, .path = "/metrics", .done = on_get, .gone = on_gone};

    return http_add_routes(server, &route, 1, m, err);
}
