/* daemon/service/http/http_call.c - see http_call.h. Violations come before the end of a call that
 * is refused, and are kept until then. */
#include "daemon/service/http/http_call.h"
#include <stdlib.h>
#include <string.h>

enum { VIOLATIONS_MAX = 200 };

struct http_call {
    struct http_request *request; /* NULL: its client has gone */
    const struct http_view *view;
    struct rpc_call *rpc; /* NULL: not begun, or over */
    struct rpc_violation *violations;
    int n;
};

static bool on_message(void *arg, const ProtobufCMessage *m)
{
    struct http_call *c = arg;

    return !c->request || c->view->message(c->request, m);
}

static bool is_idle(void *arg)
{
    struct http_call *c = arg;

    return !c->request || http_is_idle(c->request);
}

static void on_violations(void *arg, const struct rpc_violation *v, int n)
{
    struct http_call *c = arg;
    int i;

    n = n < VIOLATIONS_MAX ? n : VIOLATIONS_MAX;
    c->violations = calloc((size_t)n + 1, sizeof(*v));
    for (i = 0; c->violations && i < n; i++) {
        char *field = strdup(v[i].field), *text = strdup(v[i].text);
        c->violations[c->n].field = field ? field : strdup("");
        c->violations[c->n].text = text ? text : strdup("");
        c->n++;
    }
}

static void free_violations(struct http_call *c)
{
    int i;

    for (i = 0; i < c->n; i++) {
        free((char *)c->violations[i].field);
        free((char *)c->violations[i].text);
    }
    free(c->violations);
}

static void on_end(void *arg, enum rpc_status status, const char *text)
{
    struct http_call *c = arg;
    struct http_request *r = c->request;

    if (r) {
        http_set_data(r, NULL);
        c->view->end(r, status, text ? text : "", c->violations, c->n);
    }
    free_violations(c);
    free(c);
}

void http_call_begin(struct http_request *r, const char *path, ProtobufCMessage *message,
                     const struct http_view *view)
{
    static const struct rpc_sink sink = {on_message, is_idle, on_violations, on_end};
    struct http_calls *calls = http_service(r);
    struct http_call *c = calloc(1, sizeof(*c));
    const struct rpc_local local = {
        .path = path, .caller = http_caller(r), .peer = http_peer(r), .sink = &sink, .sink_arg = c};
    struct err err;

    if (!c) {
        protobuf_c_message_free_unpacked(message, NULL);
        http_fail(r, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
        return;
    }
    c->request = r;
    c->view = view;
    http_set_data(r, c);
    if (rpc_local_begin(calls->rpc, &local, message, &c->rpc, &err) < 0) {
        http_set_data(r, NULL);
        free(c);
        http_fail_err(r, &err);
    }
}

void http_call_writable(struct http_request *r)
{
    struct http_call *c = http_data(r);

    if (c)
        rpc_local_writable(c->rpc);
}

void http_call_gone(struct http_request *r)
{
    struct http_call *c = http_data(r);

    if (!c)
        return;
    c->request = NULL;
    rpc_local_gone(c->rpc);
}
