/* daemon/service/http/openai_upload.c - a file that is uploaded. The bytes of a block are written
 * by a thread of libuv's pool, and no more of the body is taken meanwhile: a slow disk delays
 * nobody else, and an upload costs a block of memory. What is written has a temporary name until
 * all has come and is durable.
 */
#include "daemon/service/http/openai_upload.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/utf8.h"
#include "daemon/service/http/http_form.h"
#include "daemon/service/http/openai.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 512 << 10, FILENAME_MAX_BYTES = 255 };

struct upload {
    uv_work_t work;
    struct http_request *request; /* NULL: its client has gone */
    struct openai *openai;
    struct http_form *form;
    char *path;
    struct file_writer writer;
    struct openai_file file;
    struct buf block; /* what waits to be written */
    bool working, last;
    char purpose[32];
    bool in_line; /* the file's last line so far has something in it */
    int rc;       /* of the writing */
    struct err err;
};

static void free_upload(struct upload *u)
{
    http_form_close(u->form);
    file_writer_abandon(&u->writer);
    buf_free(&u->block);
    free(u->path);
    free(u->file.filename);
    free(u->file.purpose);
    free(u->file.owner);
    free(u);
}

static void count_rows(struct upload *u, const char *bytes, size_t len)
{
    size_t i;

    for (i = 0; i < len; i++) {
        if (bytes[i] == '\n')
            u->in_line = false;
        else if (!u->in_line && !strchr(" \t\r", bytes[i])) {
            u->in_line = true;
            u->file.rows++;
        }
    }
}

static char *name_of(const char *filename)
{
    char *name = strndup(filename, FILENAME_MAX_BYTES);
    size_t len = name ? strlen(name) : 0;

    if (name) {
        name[len - utf8_cut_bytes(name, len)] = '\0';
        utf8_make_valid(name, strlen(name));
    }
    return name;
}

/* A field of the form. */
static bool on_field(void *arg, const char *field, const char *filename, const char *bytes,
                     size_t at, size_t len)
{
    struct upload *u = arg;

    if (strcmp(field, "purpose") == 0 && !filename) {
        if (at + len >= sizeof(u->purpose))
            return false;
        memcpy(u->purpose + at, bytes, len);
        u->purpose[at + len] = '\0';
    } else if (strcmp(field, "file") == 0 && filename) {
        if (!u->file.filename)
            u->file.filename = name_of(filename);
        buf_append(&u->block, bytes, len);
        u->file.bytes += (int64_t)len;
        count_rows(u, bytes, len);
    } else if (strncmp(field, "expires_after", 13) != 0 || len > 0) {
        return false; /* a file that vanishes is not offered either */
    }
    return true;
}

bool openai_upload_begin(struct http_request *r)
{
    struct openai *o = http_service(r);
    struct upload *u = calloc(1, sizeof(*u));
    struct err err;
    int rc;

    if (!u) {
        openai_fail(r, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
        return false;
    }
    u->request = r;
    u->openai = o;
    u->form = http_form_open(r, on_field, u);
    if (!u->form) {
        free_upload(u);
        openai_refuse(r, NULL, "the body must be multipart/form-data with `purpose` and `file`");
        return false;
    }
    rc = openai_files_has_room(o->files, &err) ? openai_files_new_id(u->file.id, &err) : err.code;
    u->path = rc == 0 ? openai_files_path(o->files, u->file.id) : NULL;
    if (rc == 0)
        rc = u->path ? file_writer_open(u->path, 0600, &u->writer, &err) : err_nomem(&err, 64);
    if (rc < 0) {
        free_upload(u);
        openai_fail(r, rpc_status_of(&err), err.text);
        return false;
    }
    http_set_data(r, u);
    return true;
}

/* ---- in the pool ---- */

static void write_block(uv_work_t *work)
{
    struct upload *u = work->data;

    u->rc = u->block.failed ? err_nomem(&u->err, BLOCK) : 0;
    if (u->rc == 0 && u->block.len)
        u->rc = file_writer_add(&u->writer, u->block.data, u->block.len, &u->err);
    u->block.len = 0;
    if (u->rc < 0 || !u->last)
        return;
    u->rc = file_writer_commit(&u->writer, &u->err);
    if (u->rc == 0 && (u->rc = openai_files_write(u->path, &u->file, &u->err)) < 0)
        openai_files_erase(u->path);
}

/* ---- on the loop ---- */

/* text may be of u. */
static void end_upload(struct upload *u, enum rpc_status status, const char *text)
{
    http_set_data(u->request, NULL);
    openai_fail(u->request, status, text);
    free_upload(u);
}

static void keep(struct upload *u)
{
    struct http_request *r = u->request;
    json_t *json;
    struct err err;

    if (openai_files_add(u->openai->files, &u->file, &err) < 0) {
        openai_files_erase(u->path);
        end_upload(u, rpc_status_of(&err), err.text);
        return;
    }
    json = openai_files_json(&u->file);
    u->file = (struct openai_file){0}; /* the list's */
    http_set_data(r, NULL);
    free_upload(u);
    openai_reply(r, json);
}

static void on_written(uv_work_t *work, int status)
{
    struct upload *u = work->data;

    (void)status;
    u->working = false;
    if (!u->request) {
        if (u->rc == 0 && u->last) /* it is there, and nobody knows it; the list may be gone */
            openai_files_erase(u->path);
        free_upload(u);
    } else if (u->rc < 0) {
        end_upload(u, RPC_INTERNAL, u->err.text);
    } else if (u->last) {
        keep(u);
    } else {
        http_resume(u->request);
    }
}

static bool start_writing(struct upload *u)
{
    u->work.data = u;
    u->working = uv_queue_work(u->openai->files->loop, &u->work, write_block, on_written) == 0;
    if (u->working)
        return true;
    end_upload(u, RPC_RESOURCE_EXHAUSTED, "dashd cannot write the file now");
    return false;
}

bool openai_upload_body(struct http_request *r, const char *bytes, size_t len)
{
    struct upload *u = http_data(r);

    if (!u)
        return false;
    if (!http_form_add(u->form, bytes, len)) {
        http_set_data(r, NULL);
        free_upload(u);
        openai_refuse(r, NULL,
                      "the body must be a form with the fields `purpose` and `file` alone");
        return false;
    }
    if (u->block.len < BLOCK)
        return true;
    http_pause(r);
    return start_writing(u);
}

void openai_upload_done(struct http_request *r)
{
    struct upload *u = http_data(r);
    bool whole;

    if (!u)
        return;
    whole = http_form_close(u->form);
    u->form = NULL;
    if (!whole || !u->file.filename || !u->purpose[0]) {
        http_set_data(r, NULL);
        openai_refuse(r, !u->file.filename ? "file" : "purpose",
                      "the form must have the fields `purpose` and `file`");
        free_upload(u);
        return;
    }
    if (strcmp(u->purpose, "fine-tune") != 0) {
        http_set_data(r, NULL);
        openai_refuse(r, "purpose", "the only purpose that is offered is fine-tune, not \"%s\"",
                      u->purpose);
        free_upload(u);
        return;
    }
    u->file.purpose = strdup(u->purpose);
    u->file.owner = strdup(http_caller(r)->name);
    u->file.created_s = clock_unix_ms() / 1000;
    if (!u->file.purpose || !u->file.owner) {
        end_upload(u, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
        return;
    }
    u->last = true;
    start_writing(u);
}

void openai_upload_gone(struct http_request *r)
{
    struct upload *u = http_data(r);

    if (!u)
        return;
    u->request = NULL;
    if (!u->working)
        free_upload(u);
}
