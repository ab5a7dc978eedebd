/* daemon/service/http/openai_content.c - files that are there: list, facts, content, deletion.
 *
 * A job's metrics are a file, too, "file-metrics-7", as OpenAI's result files are: CSV, made when
 * it is asked for.
 */
#include "core/file.h"
#include "daemon/service/http/openai.h"
#include "daemon/service/http/openai_upload.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 256 << 10, STEPS_A_TURN = 512, FILES_A_PAGE = 10000 };

static bool shows(const struct http_request *r, const struct openai_file *file)
{
    const char *purpose = http_query(r, "purpose");
    const struct caller *caller = http_caller(r);

    return (!purpose || strcmp(purpose, file->purpose) == 0) &&
           (caller->role >= ROLE_ADMIN || strcmp(file->owner, caller->name) == 0);
}

void openai_on_files(struct http_request *r)
{
    const struct openai *o = http_service(r);
    const char *order = http_query(r, "order");
    bool oldest_first = order && strcmp(order, "asc") == 0;
    struct openai_page page;
    json_t *items;
    int i;

    if (!openai_read_page(r, FILES_A_PAGE, FILES_A_PAGE, &page))
        return;
    items = json_array();
    for (i = 0; i < o->files->n; i++) {
        const struct openai_file *file = &o->files->items[oldest_first ? i : o->files->n - 1 - i];
        if (shows(r, file))
            json_array_append_new(items, openai_files_json(file));
    }
    openai_reply_list(r, items, &page);
}

/* ---- content ---- */

/* Of a file; or a job's metrics, in turns of the loop. */
struct content {
    uv_work_t work;
    struct http_request *request; /* NULL: its client has gone */
    int fd;                       /* -1: metrics */
    long job;
    int next_step;
    bool reading;
    ssize_t got;
    char chunk[CHUNK];
};

static void free_content(struct content *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free(c);
}

static void read_chunk(uv_work_t *work)
{
    struct content *c = work->data;

    c->got = read(c->fd, c->chunk, CHUNK);
}

static void on_read(uv_work_t *work, int status)
{
    struct content *c = work->data;
    struct http_request *r = c->request;

    (void)status;
    c->reading = false;
    if (r && c->got > 0 && http_write(r, c->chunk, (size_t)c->got))
        return;
    if (r) {
        http_set_data(r, NULL);
        if (c->got == 0)
            http_end(r);
        else
            http_break(r);
    }
    free_content(c);
}

static void read_next(struct content *c)
{
    const struct openai *o = http_service(c->request);

    c->work.data = c;
    c->reading = uv_queue_work(o->files->loop, &c->work, read_chunk, on_read) == 0;
    if (!c->reading) {
        http_set_data(c->request, NULL);
        http_break(c->request);
        free_content(c);
    }
}

static void send_steps(struct content *c);

void openai_content_writable(struct http_request *r)
{
    struct content *c = http_data(r);

    if (c && c->fd < 0)
        send_steps(c);
    else if (c && !c->reading)
        read_next(c);
}

void openai_content_gone(struct http_request *r)
{
    struct content *c = http_data(r);

    if (!c)
        return;
    c->request = NULL;
    if (!c->reading)
        free_content(c);
}

static void send_content(struct http_request *r, const struct openai_file *file)
{
    const struct openai *o = http_service(r);
    struct content *c = calloc(1, sizeof(*c));
    char *path = openai_files_path(o->files, file->id);
    struct err err;
    int64_t bytes;
    int rc = c && path ? file_open_no_link(path, &c->fd, &bytes, &err) : err_nomem(&err, CHUNK);

    free(path);
    if (rc < 0) {
        free(c);
        openai_fail(r, rpc_status_of(&err), err.text);
        return;
    }
    c->request = r;
    http_set_data(r, c);
    http_add_header(r, "Content-Disposition", "attachment");
    http_stream(r, 200, "application/octet-stream");
    read_next(c);
}

/* ---- metrics ---- */

static const struct run *find_metrics(const struct openai *o, const char *id)
{
    char job[40];

    if (strncmp(id, "file-metrics-", 13) != 0)
        return NULL;
    snprintf(job, sizeof(job), "ftjob-%.20s", id + 13);
    return openai_find_job(o, job);
}

static void put_step(struct buf *csv, const struct step_row *row)
{
    buf_printf(csv, "%d,%.10g,", row->step, row->loss);
    if (row->eval_loss > 0)
        buf_printf(csv, "%.10g", row->eval_loss);
    buf_printf(csv, ",%.10g\n", row->learning_rate);
}

/* The next lines; from step 1 on, with their head. *ret_next: 0 after the last. */
static int put_steps(const struct runs *runs, long job, int step, struct buf *csv, int *ret_next,
                     struct err *err)
{
    struct step_row rows[STEPS_A_TURN];
    int n = 0, i, rc = store_read_steps(runs->store, job, step, rows, STEPS_A_TURN, &n, err);

    if (step == 1)
        buf_puts(csv, "step,train_loss,valid_loss,learning_rate\n");
    for (i = 0; rc == 0 && i < n; i++)
        put_step(csv, &rows[i]);
    *ret_next = rc == 0 && n == STEPS_A_TURN ? rows[n - 1].step + 1 : 0;
    return rc == 0 && csv->failed ? err_nomem(err, csv->len) : rc;
}

static void send_steps(struct content *c)
{
    struct http_request *r = c->request;
    const struct openai *o = http_service(r);
    struct buf csv = {0};
    int rc = put_steps(o->runs, c->job, c->next_step, &csv, &c->next_step, NULL);

    if (rc == 0 && csv.len && !http_write(r, csv.data, csv.len))
        rc = ERR_NOMEM;
    buf_free(&csv);
    if (rc == 0 && c->next_step)
        return;
    http_set_data(r, NULL);
    free_content(c);
    if (rc == 0)
        http_end(r);
    else
        http_break(r);
}

static void send_metrics(struct http_request *r, const struct run *run)
{
    struct content *c = calloc(1, sizeof(*c));

    if (!c) {
        openai_fail(r, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
        return;
    }
    c->request = r;
    c->fd = -1;
    c->job = run->row.id;
    c->next_step = 1;
    http_set_data(r, c);
    http_stream(r, 200, "text/csv");
    send_steps(c);
}

static int csv_bytes(const struct run *run, size_t *ret, struct err *err)
{
    struct buf csv = {0};
    int next = 1, rc = 0;

    while (rc == 0 && next)
        rc = put_steps(run->runs, run->row.id, next, &csv, &next, err);
    *ret = csv.len;
    buf_free(&csv);
    return rc;
}

static void answer_metrics(struct http_request *r, const struct run *run)
{
    size_t bytes;
    char id[40];
    struct err err;

    if (csv_bytes(run, &bytes, &err) < 0) {
        openai_fail(r, rpc_status_of(&err), err.text);
    } else {
        snprintf(id, sizeof(id), "file-metrics-%ld", run->row.id);
        openai_reply(r, json_pack("{s:s, s:s, s:I, s:I, s:s, s:s, s:s}", "id", id, "object", "file",
                                  "bytes", (json_int_t)bytes, "created_at",
                                  (json_int_t)(run->row.finished_ms / 1000), "filename",
                                  "step_metrics.csv", "purpose", "fine-tune-results", "status",
                                  "processed"));
    }
}

/* ---- one file ---- */

/* Splits "file-1/content"; *ret_content says which. */
static void split_rest(const struct http_request *r, char id[64], bool *ret_content, bool *ret_bad)
{
    const char *rest = http_rest(r), *slash = strchr(rest, '/');

    snprintf(id, 64, "%.*s", slash ? (int)(slash - rest) : 63, rest);
    *ret_content = slash && strcmp(slash, "/content") == 0;
    *ret_bad = slash && !*ret_content;
}

void openai_on_file(struct http_request *r)
{
    const struct openai *o = http_service(r);
    const struct openai_file *file;
    const struct run *metrics;
    bool content, bad;
    char id[64];

    split_rest(r, id, &content, &bad);
    file = openai_files_find(o->files, http_caller(r), id);
    metrics = find_metrics(o, id);
    if (bad || (!file && !metrics))
        openai_fail(r, RPC_NOT_FOUND, "there is no such file");
    else if (metrics && content)
        send_metrics(r, metrics);
    else if (metrics)
        answer_metrics(r, metrics);
    else if (content)
        send_content(r, file);
    else
        openai_reply(r, openai_files_json(file));
}

void openai_on_delete_file(struct http_request *r)
{
    const struct openai *o = http_service(r);
    const struct openai_file *file = openai_files_find(o->files, http_caller(r), http_rest(r));
    const struct run *user = file ? openai_user_of_file(o, file->id) : NULL;
    char id[OPENAI_FILE_ID_SIZE];
    struct err err;

    if (!file) {
        openai_fail(r, RPC_NOT_FOUND, "there is no such file");
        return;
    }
    if (user) {
        openai_refuse(r, NULL, "the job ftjob-%ld, which has not ended, needs this file",
                      user->row.id);
        return;
    }
    snprintf(id, sizeof(id), "%s", file->id);
    if (openai_files_remove(o->files, id, &err) < 0)
        openai_fail(r, rpc_status_of(&err), err.text);
    else
        openai_reply(r, json_pack("{s:s, s:s, s:b}", "id", id, "object", "file", "deleted", 1));
}
