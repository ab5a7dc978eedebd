/* daemon/service/download.c - see download.h. */
#include "daemon/service/download.h"
#include "daemon/service/job_access.h"
#include "daemon/service/results.h"
#include "daemon/service/runs.h"
#include "proto/sha256.h"
#include "proto/dash.pb-c.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 256 << 10 };

struct download {
    uv_work_t work;
    struct rpc_call *call; /* NULL: the client has gone */
    int fd;
    int64_t offset, bytes; /* of what has been read; of the file */
    struct sha256 *sha256;
    bool reading, all_sent;
    int error; /* errno of a read; -1: the file became shorter */
    size_t got;
    char chunk[CHUNK];
};

static void free_download(struct download *d)
{
    if (d->fd >= 0)
        close(d->fd);
    sha256_close(d->sha256);
    free(d);
}

static void end(struct download *d, enum rpc_status status, const char *text)
{
    struct rpc_call *call = d->call;

    rpc_set_data(call, NULL);
    free_download(d);
    rpc_finish(call, status, text);
}

/* In the pool. */
static void read_chunk(uv_work_t *work)
{
    struct download *d = work->data;
    ssize_t n;

    do
        n = pread(d->fd, d->chunk, CHUNK, d->offset);
    while (n < 0 && errno == EINTR);
    d->error = n < 0 ? errno : n == 0 && d->offset < d->bytes ? -1 : 0;
    d->got = n > 0 ? (size_t)n : 0;
    if ((int64_t)d->got > d->bytes - d->offset)
        d->got =
            (size_t)(d->bytes - d->offset); /* what is appended meanwhile is not a part of it */
    sha256_add(d->sha256, d->chunk, d->got);
}

static bool send_chunk(struct download *d)
{
    Dash__V1__DownloadFileResponse m = DASH__V1__DOWNLOAD_FILE_RESPONSE__INIT;
    char hex[SHA256_HEX_BYTES];

    m.offset = (uint64_t)d->offset;
    m.data = (ProtobufCBinaryData){d->got, (uint8_t *)d->chunk};
    m.bytes = (uint64_t)d->bytes;
    d->offset += (int64_t)d->got;
    d->all_sent = d->offset >= d->bytes;
    if (d->all_sent) {
        sha256_finish(d->sha256, hex);
        m.sha256 = hex;
    }
    return rpc_send(d->call, &m.base);
}

static void on_read(uv_work_t *work, int status)
{
    struct download *d = work->data;

    (void)status;
    d->reading = false;
    if (!d->call)
        free_download(d);
    else if (d->error)
        end(d, RPC_INTERNAL,
            d->error < 0 ? "the file became shorter while it was read" : strerror(d->error));
    else if (!send_chunk(d))
        end(d, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
    else if (d->all_sent)
        end(d, RPC_OK, NULL);
}

static void read_next(struct download *d)
{
    struct runs *runs = rpc_service(d->call);

    d->reading = true;
    d->work.data = d;
    if (uv_queue_work(runs->loop, &d->work, read_chunk, on_read) < 0) {
        d->reading = false;
        end(d, RPC_RESOURCE_EXHAUSTED, "dashd cannot read the file now");
    }
}

static int open_download(const struct run *run, const Dash__V1__DownloadFileRequest *m,
                         struct download *d, struct err *err)
{
    int rc = results_open(run->row.output, m->path, &d->fd, &d->bytes, err);

    if (rc < 0)
        return rc;
    if (m->from_offset > (uint64_t)d->bytes)
        return err_set(err, ERR_INVALID, "from_offset: the file has %lld bytes",
                       (long long)d->bytes);
    d->offset = (int64_t)m->from_offset;
    d->sha256 = sha256_open();
    if (!d->sha256)
        return err_nomem(err, sizeof(*d));
    return 0;
}

void download_on_download(struct rpc_call *call, const ProtobufCMessage *message)
{
    const Dash__V1__DownloadFileRequest *m = (const Dash__V1__DownloadFileRequest *)message;
    struct run *run = job_access_run(call, m->id);
    struct download *d;
    struct err err;

    if (!run)
        return;
    d = calloc(1, sizeof(*d));
    if (!d) {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
        return;
    }
    d->fd = -1;
    d->call = call;
    if (open_download(run, m, d, &err) < 0) {
        free_download(d);
        rpc_fail(call, &err);
        return;
    }
    rpc_set_data(call, d);
    read_next(d);
}

void download_on_writable(struct rpc_call *call)
{
    struct download *d = rpc_data(call);

    if (d && !d->reading)
        read_next(d);
}

void download_on_gone(struct rpc_call *call)
{
    struct download *d = rpc_data(call);

    rpc_set_data(call, NULL);
    if (d && d->reading)
        d->call = NULL;
    else if (d)
        free_download(d);
    rpc_finish(call, RPC_UNAVAILABLE, "dashd is shutting down");
}

/* A listing is made in the pool as well: a folder may have thousands of entries, on a slow disk. */
struct listing {
    uv_work_t work;
    struct rpc_call *call; /* NULL: the client has gone */
    char *output;
    struct results results;
    void (*answer)(struct rpc_call *call, const struct results *r);
    int rc;
    struct err err;
};

static void free_listing(struct listing *l)
{
    results_free(&l->results);
    free(l->output);
    free(l);
}

/* In the pool. */
static void make_listing(uv_work_t *work)
{
    struct listing *l = work->data;

    l->rc = results_list(l->output, &l->results, &l->err);
}

static void on_listed(uv_work_t *work, int status)
{
    struct listing *l = work->data;

    (void)status;
    if (l->call) {
        rpc_set_data(l->call, NULL);
        if (l->rc < 0)
            rpc_fail(l->call, &l->err);
        else
            l->answer(l->call, &l->results);
    }
    free_listing(l);
}

static void start_listing(struct rpc_call *call, const char *id,
                          void (*answer)(struct rpc_call *call, const struct results *r))
{
    struct run *run = job_access_run(call, id);
    struct listing *l;

    if (!run)
        return;
    l = calloc(1, sizeof(*l));
    if (!l || !(l->output = strdup(run->row.output))) {
        free(l);
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
        return;
    }
    l->call = call;
    l->answer = answer;
    l->work.data = l;
    rpc_set_data(call, l);
    if (uv_queue_work(run->runs->loop, &l->work, make_listing, on_listed) < 0) {
        rpc_set_data(call, NULL);
        free_listing(l);
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd cannot read the folder now");
    }
}

void download_on_list_gone(struct rpc_call *call)
{
    struct listing *l = rpc_data(call);

    if (l)
        l->call = NULL; /* freed when it has been made */
    rpc_set_data(call, NULL);
    rpc_finish(call, RPC_UNAVAILABLE, "dashd is shutting down");
}

static void answer_files(struct rpc_call *call, const struct results *r)
{
    Dash__V1__ListFilesResponse response = DASH__V1__LIST_FILES_RESPONSE__INIT;
    Dash__V1__File *files = calloc((size_t)r->n + 1, sizeof(*files));
    int i;

    response.files = calloc((size_t)r->n + 1, sizeof(Dash__V1__File *));
    if (files && response.files) {
        for (i = 0; i < r->n; i++) {
            dash__v1__file__init(&files[i]);
            response.files[i] = &files[i];
            files[i].path = r->items[i].path;
            files[i].bytes = (uint64_t)r->items[i].bytes;
            files[i].time_ms = r->items[i].time_ms;
        }
        response.n_files = (size_t)r->n;
        rpc_reply(call, &response.base);
    } else {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
    }
    free(files);
    free(response.files);
}

static void answer_checkpoints(struct rpc_call *call, const struct results *r)
{
    Dash__V1__ListCheckpointsResponse response = DASH__V1__LIST_CHECKPOINTS_RESPONSE__INIT;
    Dash__V1__Checkpoint *items = calloc((size_t)r->n + 1, sizeof(*items));
    int i, n = 0;

    response.checkpoints = calloc((size_t)r->n + 1, sizeof(Dash__V1__Checkpoint *));
    if (items && response.checkpoints) {
        for (i = r->n - 1; i >= 0; i--) { /* names rise with steps */
            if (r->items[i].step < 0)
                continue;
            dash__v1__checkpoint__init(&items[n]);
            response.checkpoints[n] = &items[n];
            items[n].step = (uint32_t)r->items[i].step;
            items[n].bytes = (uint64_t)r->items[i].bytes;
            items[n].time_ms = r->items[i].time_ms;
            items[n++].path = r->items[i].path;
        }
        response.n_checkpoints = (size_t)n;
        rpc_reply(call, &response.base);
    } else {
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
    }
    free(items);
    free(response.checkpoints);
}

void download_on_list(struct rpc_call *call, const ProtobufCMessage *message)
{
    start_listing(call, ((const Dash__V1__ListFilesRequest *)message)->id, answer_files);
}

void download_on_checkpoints(struct rpc_call *call, const ProtobufCMessage *message)
{
    start_listing(call, ((const Dash__V1__ListCheckpointsRequest *)message)->id,
                  answer_checkpoints);
}
