/* daemon/service/http/openai_metrics.c - the metrics of a job as a file. A job may have a million
 * steps, so its lines are made in turns of the loop, STEPS_A_TURN in each: of the content, when the
 * client has taken those before; of the facts, which need the length of all lines, for one job at a
 * time. Lengths are kept: later, only the steps that are new are counted.
 */
#include "core/buf.h"
#include "daemon/service/http/openai.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STEPS_A_TURN = 256, LENGTHS_KEPT = 64 };

#define HEAD "step,train_loss,valid_loss,learning_rate\n"

/* Of the lines of the steps up to one, in one launch of the job: another may repeat steps. */
struct length {
    long job; /* 0: none */
    int launch, step;
    int64_t bytes;
};

/* Of a request: facts that wait, or content that is being sent. */
struct metrics_answer {
    struct openai_answer answer; /* first */
    struct http_request *request;
    long job;
    int next_step;               /* of the content */
    struct metrics_answer *next; /* that waits */
};

struct openai_metrics {
    uv_idle_t turns;              /* while facts wait */
    struct metrics_answer *first; /* that waits; its job is counted */
    struct length known[LENGTHS_KEPT];
    int next_known; /* the place that is given away next */
};

struct run *openai_metrics_find(const struct openai *o, const char *id)
{
    char job[40];

    if (strncmp(id, "file-metrics-", 13) != 0)
        return NULL;
    snprintf(job, sizeof(job), "ftjob-%.20s", id + 13);
    return openai_find_job(o, job);
}

/* NULL: it was deleted while its answer was being made. */
static struct run *find_run(const struct openai *o, long job)
{
    struct run *run = NULL;
    char id[24];

    snprintf(id, sizeof(id), "%ld", job);
    return runs_find(o->runs, id, &run, NULL) == 0 ? run : NULL;
}

static void put_step(struct buf *csv, const struct step_row *row)
{
    buf_printf(csv, "%d,%.10g,", row->step, row->loss);
    if (row->eval_loss > 0)
        buf_printf(csv, "%.10g", row->eval_loss);
    buf_printf(csv, ",%.10g\n", row->learning_rate);
}

/* The lines of the next steps. *ret_last: the number of the last; 0: there are no more. */
static int put_steps(const struct runs *runs, long job, int from, struct buf *csv, int *ret_last,
                     struct err *err)
{
    struct step_row rows[STEPS_A_TURN];
    int n = 0, i, rc = store_read_steps(runs->store, job, from, rows, STEPS_A_TURN, &n, err);

    for (i = 0; rc == 0 && i < n; i++)
        put_step(csv, &rows[i]);
    if (rc == 0 && csv->failed)
        rc = err_nomem(err, csv->len);
    if (rc == 0)
        *ret_last = n ? rows[n - 1].step : 0;
    return rc;
}

static struct metrics_answer *make_answer(struct http_request *r, const struct run *run,
                                          void (*writable)(struct http_request *r),
                                          void (*gone)(struct http_request *r))
{
    struct metrics_answer *a = calloc(1, sizeof(*a));

    if (!a) {
        openai_fail(r, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
        return NULL;
    }
    *a = (struct metrics_answer){
        .answer = {writable, gone}, .request = r, .job = run->row.id, .next_step = 1};
    http_set_data(r, a);
    return a;
}

/* ---- content ---- */

static void content_gone(struct http_request *r)
{
    free(http_data(r));
}

static void send_steps(struct http_request *r)
{
    struct metrics_answer *a = http_data(r);
    const struct openai *o = http_service(r);
    struct buf csv = {0};
    int last = 0, rc = ERR_NOT_FOUND;

    if (a->next_step == 1)
        buf_puts(&csv, HEAD);
    if (find_run(o, a->job))
        rc = put_steps(o->runs, a->job, a->next_step, &csv, &last, NULL);
    if (rc == 0 && csv.len && !http_write(r, csv.data, csv.len))
        rc = ERR_NOMEM;
    buf_free(&csv);
    a->next_step = last + 1;
    if (rc == 0 && last)
        return;
    http_set_data(r, NULL);
    free(a);
    if (rc == 0)
        http_end(r);
    else
        http_break(r);
}

void openai_metrics_on_content(struct http_request *r, const struct run *run)
{
    if (!make_answer(r, run, send_steps, content_gone))
        return;
    http_stream(r, 200, "text/csv");
    send_steps(r);
}

/* ---- facts ---- */

static void remove_waiting(struct openai_metrics *m, const struct metrics_answer *a)
{
    struct metrics_answer **link = &m->first;

    while (*link != a)
        link = &(*link)->next;
    *link = a->next;
    if (!m->first)
        uv_idle_stop(&m->turns);
}

static void facts_gone(struct http_request *r)
{
    const struct openai *o = http_service(r);
    struct metrics_answer *a = http_data(r);

    remove_waiting(o->metrics, a);
    free(a);
}

/* Ends the first that waits. Returns its request. */
static struct http_request *take_first(struct openai_metrics *m)
{
    struct metrics_answer *a = m->first;
    struct http_request *r = a->request;

    remove_waiting(m, a);
    http_set_data(r, NULL);
    free(a);
    return r;
}

static void answer_first(struct openai_metrics *m, const struct run *run, int64_t bytes)
{
    char id[40];

    snprintf(id, sizeof(id), "file-metrics-%ld", run->row.id);
    openai_reply(take_first(m), json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s}", "id", id, "object",
                                          "file", "bytes", (json_int_t)bytes, "created_at",
                                          (json_int_t)(run->row.finished_ms / 1000), "filename",
                                          "step_metrics.csv", "purpose", "fine-tune-results",
                                          "status", "processed"));
}

/* What is known of the job, or a place that begins with nothing. A launch can take steps anew that
 * the one before had taken, until which its count is of those. */
static struct length *length_of(struct openai_metrics *m, const struct run *run)
{
    struct length *place = NULL;

    for (int i = 0; i < LENGTHS_KEPT && !place; i++)
        if (m->known[i].job == run->row.id)
            place = &m->known[i];
    if (place && place->launch == run->row.launch && place->step <= run->steps.done)
        return place;
    if (!place)
        place = &m->known[m->next_known++ % LENGTHS_KEPT];
    *place = (struct length){run->row.id, run->row.launch, 0, sizeof(HEAD) - 1};
    return place;
}

/* A turn for the job of the first that waits. */
static void count_steps(uv_idle_t *turns)
{
    struct openai_metrics *m = turns->data;
    const struct openai *o = http_service(m->first->request);
    const struct run *run = find_run(o, m->first->job);
    struct buf csv = {0};
    struct length *length;
    int last = 0;
    struct err err;

    if (!run) {
        openai_fail(take_first(m), RPC_NOT_FOUND, "there is no such file");
        return;
    }
    length = length_of(m, run);
    if (put_steps(o->runs, run->row.id, length->step + 1, &csv, &last, &err) < 0) {
        openai_fail(take_first(m), rpc_status_of(&err), err.text);
    } else if (last) {
        length->step = last;
        length->bytes += (int64_t)csv.len;
    } else {
        answer_first(m, run, length->bytes);
    }
    buf_free(&csv);
}

void openai_metrics_on_facts(struct http_request *r, const struct run *run)
{
    struct openai_metrics *m = ((const struct openai *)http_service(r))->metrics;
    struct metrics_answer *a = make_answer(r, run, NULL, facts_gone), **link = &m->first;

    if (!a)
        return;
    while (*link)
        link = &(*link)->next;
    *link = a;
    uv_idle_start(&m->turns, count_steps);
}

int openai_metrics_open(uv_loop_t *loop, struct openai_metrics **ret, struct err *err)
{
    struct openai_metrics *m = calloc(1, sizeof(*m));

    if (!m)
        return err_nomem(err, sizeof(*m));
    uv_idle_init(loop, &m->turns);
    m->turns.data = m;
    *ret = m;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void openai_metrics_close(struct openai_metrics *m)
{
    if (m)
        uv_close((uv_handle_t *)&m->turns, on_closed);
}
