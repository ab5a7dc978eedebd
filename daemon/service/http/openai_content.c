/* daemon/service/http/openai_content.c - files that are there: list, facts, content, deletion.
 */
#include "core/file.h"
#include "daemon/service/http/openai.h"
#include "daemon/service/http/openai_upload.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 256 << 10, FILES_A_PAGE = 10000 };

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

struct content {
    struct openai_answer answer; /* first */
    uv_work_t work;
    struct http_request *request; /* NULL: its client has gone */
    int fd;
    bool reading;
    ssize_t got;
    char chunk[CHUNK];
};

static void free_content(struct content *c)
{
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

static void content_writable(struct http_request *r)
{
    struct content *c = http_data(r);

    if (!c->reading)
        read_next(c);
}

static void content_gone(struct http_request *r)
{
    struct content *c = http_data(r);

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
    c->answer = (struct openai_answer){content_writable, content_gone};
    c->request = r;
    http_set_data(r, c);
    http_add_header(r, "Content-Disposition", "attachment");
    http_stream(r, 200, "application/octet-stream");
    read_next(c);
}

/* ---- one file ---- */

void openai_file_writable(struct http_request *r)
{
    const struct openai_answer *answer = http_data(r);

    if (answer && answer->writable)
        answer->writable(r);
}

void openai_file_gone(struct http_request *r)
{
    const struct openai_answer *answer = http_data(r);

    if (answer)
        answer->gone(r);
}

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
    metrics = openai_metrics_find(o, id);
    if (bad || (!file && !metrics))
        openai_fail(r, RPC_NOT_FOUND, "there is no such file");
    else if (metrics && content)
        openai_metrics_on_content(r, metrics);
    else if (metrics)
        openai_metrics_on_facts(r, metrics);
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
