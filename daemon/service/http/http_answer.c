/* daemon/service/http/http_answer.c - what handlers ask of a request and say to it. See http.h.
 *
 * Headers that an answer is to have are kept until it is made. Every answer has browsers run
 * nothing but what this server sends, to show it in no frame, and not to guess its type.
 */
#include "daemon/service/http/http_impl.h"
#include "core/utf8.h"
#include "daemon/service/http/http_json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 32 << 10 };

struct http_header {
    struct http_header *next;
    char *name, *value;
};

static const struct {
    const char *name, *value;
} always[] = {
    {"Content-Security-Policy",
     "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src "
     "'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"},
    {"X-Content-Type-Options", "nosniff"},
    {"X-Frame-Options", "DENY"},
    {"Referrer-Policy", "no-referrer"},
    {"Cross-Origin-Resource-Policy", "same-origin"},
    {"Cross-Origin-Opener-Policy", "same-origin"},
    {"Cache-Control", "no-store"},
};

void *http_service(const struct http_request *r)
{
    return r->slot.service;
}

struct http_server *http_server_of(const struct http_request *r)
{
    return r->server;
}

void *http_data(const struct http_request *r)
{
    return r->data;
}

void http_set_data(struct http_request *r, void *data)
{
    r->data = data;
}

const struct caller *http_caller(const struct http_request *r)
{
    return &r->caller;
}

const struct peer *http_peer(const struct http_request *r)
{
    return &r->peer;
}

const char *http_path(const struct http_request *r)
{
    return r->path;
}

const char *http_rest(const struct http_request *r)
{
    return r->path + strlen(r->slot.route->path);
}

const char *http_header(const struct http_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->mhd, MHD_HEADER_KIND, name);
}

const char *http_query(const struct http_request *r, const char *name)
{
    return MHD_lookup_connection_value(r->mhd, MHD_GET_ARGUMENT_KIND, name);
}

bool http_has_query(const struct http_request *r, const char *name)
{
    return MHD_lookup_connection_value_n(r->mhd, MHD_GET_ARGUMENT_KIND, name, strlen(name), NULL,
                                         NULL) == MHD_YES;
}

struct each_query {
    bool (*each)(void *arg, const char *name, const char *value);
    void *arg;
};

static enum MHD_Result on_query(void *arg, enum MHD_ValueKind kind, const char *name,
                                const char *value)
{
    const struct each_query *e = arg;

    (void)kind;
    return e->each(e->arg, name, value) ? MHD_YES : MHD_NO;
}

void http_each_query(const struct http_request *r,
                     bool (*each)(void *arg, const char *name, const char *value), void *arg)
{
    struct each_query e = {each, arg};

    MHD_get_connection_values(r->mhd, MHD_GET_ARGUMENT_KIND, on_query, &e);
}

const char *http_body(const struct http_request *r, size_t *ret_len)
{
    *ret_len = r->body.len;
    return r->body.data ? r->body.data : "";
}

void http_pause(struct http_request *r)
{
    r->paused = true;
}

void http_resume(struct http_request *r)
{
    r->paused = false;
    http_wake(r);
}

static void free_headers(struct http_request *r)
{
    struct http_header *h;

    while ((h = r->headers)) {
        r->headers = h->next;
        free(h->name);
        free(h->value);
        free(h);
    }
}

bool http_add_header(struct http_request *r, const char *name, const char *value)
{
    struct http_header *h = calloc(1, sizeof(*h));

    if (!h)
        return false;
    h->name = strdup(name);
    h->value = strdup(value);
    h->next = r->headers;
    r->headers = h;
    return h->name && h->value;
}

static bool is_given(const struct http_request *r, const char *name)
{
    const struct http_header *h;

    for (h = r->headers; h; h = h->next)
        if (h->name && strcasecmp(h->name, name) == 0)
            return true;
    return false;
}

/* What was refused has a reason there, and is limited in number. */
static void write_audit(const struct http_request *r, int status)
{
    static const char *const methods[] = {
        [HTTP_GET] = "GET", [HTTP_POST] = "POST", [HTTP_DELETE] = "DELETE"};
    char what[200], outcome[16];
    const struct audit_line line = {.caller = r->caller.name,
                                    .peer = r->peer.address,
                                    .method = what,
                                    .outcome = outcome,
                                    .reason = r->why         ? r->why
                                              : status < 400 ? NULL
                                                             : "the request was refused"};

    if (!r->server->options.audit || !r->slot.route || !(r->slot.route->audited || r->refused))
        return;
    snprintf(what, sizeof(what), "%s %.150s", methods[r->method], r->path);
    utf8_make_valid(what, strlen(what));
    snprintf(outcome, sizeof(outcome), "%d", status);
    audit_write(r->server->options.audit, &line);
}

void http_set_response(struct http_request *r, int status, struct MHD_Response *response)
{
    const struct http_header *h;
    size_t i;

    for (i = 0; i < sizeof(always) / sizeof(always[0]); i++)
        if (!is_given(r, always[i].name))
            MHD_add_response_header(response, always[i].name, always[i].value);
    for (h = r->headers; h; h = h->next)
        if (h->name && h->value)
            MHD_add_response_header(response, h->name, h->value);
    free_headers(r);
    write_audit(r, status);
    r->response = response;
    r->status = status;
    r->answered = true;
    http_wake(r);
}

static void reply(struct http_request *r, int status, const char *type, const void *bytes,
                  size_t len, enum MHD_ResponseMemoryMode mode)
{
    struct MHD_Response *response;

    if (r->answered)
        return;
    r->ended = true;
    response = MHD_create_response_from_buffer(len, (void *)bytes, mode);
    if (!response) {
        free_headers(r);
        r->abandoned = true;
        http_wake(r);
        return;
    }
    MHD_add_response_header(response, "Content-Type", type);
    http_set_response(r, status, response);
}

void http_reply(struct http_request *r, int status, const char *type, const void *bytes, size_t len)
{
    reply(r, status, type, bytes, len, MHD_RESPMEM_MUST_COPY);
}

void http_reply_static(struct http_request *r, int status, const char *type, const void *bytes,
                       size_t len)
{
    reply(r, status, type, bytes, len, MHD_RESPMEM_PERSISTENT);
}

int http_status_of(enum rpc_status status)
{
    static const int codes[] = {[RPC_OK] = 200,
                                [RPC_INVALID_ARGUMENT] = 400,
                                [RPC_DEADLINE_EXCEEDED] = 504,
                                [RPC_NOT_FOUND] = 404,
                                [RPC_ALREADY_EXISTS] = 409,
                                [RPC_PERMISSION_DENIED] = 403,
                                [RPC_RESOURCE_EXHAUSTED] = 429,
                                [RPC_FAILED_PRECONDITION] = 400,
                                [RPC_ABORTED] = 409,
                                [RPC_UNIMPLEMENTED] = 501,
                                [RPC_INTERNAL] = 500,
                                [RPC_UNAVAILABLE] = 503,
                                [RPC_UNAUTHENTICATED] = 401};

    return codes[status];
}

void http_fail(struct http_request *r, enum rpc_status status, const char *text)
{
    r->why = text;
    if (r->slot.route && r->slot.route->fail) {
        r->slot.route->fail(r, status, text);
        r->why = NULL;
        return;
    }
    http_json_error(
        r, status,
        json_pack("{s:s, s:o}", "code", rpc_status_name(status), "message", http_json_text(text)));
    r->why = NULL;
}

void http_fail_err(struct http_request *r, const struct err *err)
{
    http_fail(r, rpc_status_of(err), err->text);
}

/* ---- streams ---- */

static ssize_t read_out(void *arg, uint64_t at, char *to, size_t max)
{
    struct http_request *r = arg;
    size_t n = r->out.len - r->out_sent;

    (void)at;
    if (r->abandoned)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (n > 0) {
        n = n < max ? n : max;
        memcpy(to, r->out.data + r->out_sent, n);
        r->out_sent += n;
        if (r->out_sent == r->out.len) {
            r->out.len = r->out_sent = 0;
            r->drained = true;
        }
        return (ssize_t)n;
    }
    if (r->ended)
        return MHD_CONTENT_READER_END_OF_STREAM;
    return http_suspend(r) == MHD_YES ? 0 : MHD_CONTENT_READER_END_WITH_ERROR;
}

void http_stream(struct http_request *r, int status, const char *type)
{
    struct MHD_Response *response;

    if (r->answered)
        return;
    response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, read_out, r, NULL);
    if (!response) {
        free_headers(r);
        r->abandoned = true;
        http_wake(r);
        return;
    }
    r->streaming = true;
    MHD_add_response_header(response, "Content-Type", type);
    http_set_response(r, status, response);
}

bool http_write(struct http_request *r, const void *bytes, size_t len)
{
    if (r->ended)
        return true;
    r->wrote_ms = uv_now(r->server->loop);
    buf_append(&r->out, bytes, len);
    if (r->out.failed)
        return false;
    http_wake(r);
    return true;
}

bool http_is_idle(const struct http_request *r)
{
    return r->out.len == 0;
}

size_t http_unsent(const struct http_request *r)
{
    return r->out.len - r->out_sent;
}

void http_end(struct http_request *r)
{
    r->ended = true;
    http_wake(r);
}

void http_break(struct http_request *r)
{
    r->abandoned = true;
    http_end(r);
}

bool http_has_begun(const struct http_request *r)
{
    return r->answered;
}

void http_keep_alive(struct http_request *r, const char *text)
{
    r->keep_alive = text;
    r->wrote_ms = uv_now(r->server->loop);
}
