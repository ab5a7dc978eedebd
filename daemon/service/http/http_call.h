/* daemon/service/http/http_call.h - a request that is answered by calls of gRPC's methods
 * (rpc_local.h), which may live longer than the request: one whose client has gone ends when its
 * handler is ready.
 *
 * The views of the HTTP port differ in how they say what a method answers; each is a
 * struct http_view.
 */
#pragma once
#include "daemon/service/http/http.h"
#include "daemon/service/rpc_local.h"

struct http_view {
    /* An answer. False for lack of memory. */
    bool (*message)(struct http_request *r, const ProtobufCMessage *m);
    /* The call has ended, with OK (v NULL), or with another status, a text and violations. */
    void (*end)(struct http_request *r, enum rpc_status status, const char *text,
                const struct rpc_violation *v, int n);
};

/* What routes that use it have as their service, or at the beginning of it. */
struct http_calls {
    struct rpc_server *rpc; /* whose methods are called */
};

/* Begins a call for the request, whose caller is that of the call; takes over message. The request
 * has one call at a time, and is to have http_call_writable() and http_call_gone() in its route. */
void http_call_begin(struct http_request *r, const char *path, ProtobufCMessage *message,
                     const struct http_view *view);
void http_call_writable(struct http_request *r);
void http_call_gone(struct http_request *r);
