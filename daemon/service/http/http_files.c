/* daemon/service/http/http_files.c - see http_files.h. The first message says how large the file
 * is; a file that fails to be read later ends its answer too early, which clients notice. */
#include "daemon/service/http/http_files.h"
#include "proto/dash.pb-c.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool ends_with(const char *path, const char *end)
{
    size_t len = strlen(path), n = strlen(end);

    return len >= n && strcmp(path + len - n, end) == 0;
}

/* Nothing that a browser would run. */
static const char *type_of(const char *path, bool view)
{
    if (ends_with(path, ".json"))
        return "application/json";
    return view ? "text/plain; charset=utf-8" : "application/octet-stream";
}

static void begin(struct http_request *r)
{
    bool view = http_has_query(r, "view");

    http_add_header(r, "Content-Disposition", view ? "inline" : "attachment");
    http_stream(r, 200, type_of(http_rest(r), view));
}

static bool answer_chunk(struct http_request *r, const ProtobufCMessage *message)
{
    const Dash__V1__DownloadFileResponse *m = (const Dash__V1__DownloadFileResponse *)message;

    if (m->offset == 0)
        begin(r);
    return http_write(r, m->data.data, m->data.len);
}

static void end(struct http_request *r, enum rpc_status status, const char *text,
                const struct rpc_violation *v, int n)
{
    (void)v;
    (void)n;
    if (status == RPC_OK)
        http_end(r);
    else if (http_has_begun(r))
        http_break(r);
    else
        http_fail(r, status, text);
}

static void on_get(struct http_request *r)
{
    static const struct http_view view = {answer_chunk, end};
    Dash__V1__DownloadFileRequest *m = calloc(1, sizeof(*m));
    const char *rest = http_rest(r), *slash = strchr(rest, '/');

    if (!slash) {
        free(m);
        http_fail(r, RPC_NOT_FOUND, "the address must be files/ID/PATH");
        return;
    }
    if (m) {
        dash__v1__download_file_request__init(m);
        m->id = strndup(rest, (size_t)(slash - rest));
        m->path = strdup(slash + 1);
    }
    if (m && m->id && m->path) {
        http_call_begin(r, "/dash.v1.FineTuning/DownloadFile", &m->base, &view);
    } else {
        http_fail(r, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
        protobuf_c_message_free_unpacked(m ? &m->base : NULL, NULL);
    }
}

int http_files_register(struct http_server *server, struct http_calls *calls, struct err *err)
{
    static const struct http_route route = {.method = HTTP_GET,
                                            .path = "/files/",
                                            .done = on_get,
                                            .writable = http_call_writable,
                                            .gone = http_call_gone};

    return http_add_routes(server, &route, 1, calls, err);
}
