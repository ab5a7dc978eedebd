/* daemon/service/http/http_impl.h - what http.c (the server), http_answer.c (what handlers say) and
 * http_access.c (who asks) share.
 *
 * libmicrohttpd calls on_access() when a head has come, for each piece of the body, and once more
 * at its end; a request that waits for its handler, or has nothing to send, is suspended there and
 * resumed here. A suspended connection is not looked at by libmicrohttpd: whether its client has
 * gone is looked for once a second.
 */
#pragma once
#include "daemon/service/http/http.h"
#include "core/buf.h"
#include "daemon/service/listener.h"
#include <microhttpd.h>

struct route_slot {
    const struct http_route *route;
    void *service;
};

struct http_server {
    uv_loop_t *loop;
    struct http_options options;
    struct listener *listener;
    struct MHD_Daemon *mhd;
    struct route_slot *routes;
    int n_routes;
    int port; /* the last that it listens on */
    struct http_request *requests;
    uv_poll_t poll;   /* of libmicrohttpd's epoll */
    uv_timer_t timer; /* when it must be run again */
    uv_timer_t sweep;
    int open_handles;
    bool soon; /* somebody has called run_soon() since the last run */
    bool stopping;
    size_t body_bytes; /* of all requests that are open */
    bool refusal_logged;
};

struct http_request {
    struct http_server *server;
    struct http_request *next, **prev;
    struct MHD_Connection *mhd;
    struct connection *connection;
    struct route_slot slot; /* route NULL: none is known yet */
    enum http_method method;
    char *path;
    void *data;
    struct peer peer;
    struct caller caller;
    bool by_cookie;
    bool refused;    /* its caller may not: said in the audit log */
    const char *why; /* while http_fail() says it */
    bool has_nul;    /* in its address: what is behind it would be lost */
    uint64_t began_ms;

    struct buf body;
    size_t came; /* bytes of the body that its handler has, or is to have */
    bool begun;  /* its handler has seen it */
    bool whole;  /* the body has come */
    bool paused; /* by its handler: no more of the body */

    struct MHD_Response *response; /* to be queued */
    int status;
    struct http_header *headers; /* for it */
    bool answered, streaming, ended;
    struct buf out; /* of a stream */
    size_t out_sent;
    bool drained;           /* writable() is due */
    const char *keep_alive; /* what is written when nothing else is, or NULL */
    uint64_t wrote_ms;

    bool suspended;
    bool abandoned; /* its client has gone */
};

/* Has the request wait until http_wake(). libmicrohttpd continues with the chunks of a body that it
 * has already read, and is confused by a connection that is suspended twice; nor may one be left
 * suspended when the server stops: MHD_NO. */
enum MHD_Result http_suspend(struct http_request *r);
/* Makes libmicrohttpd look at the request again. */
void http_wake(struct http_request *r);
/* An answer that is made while the body comes is sent after it. */
void http_set_response(struct http_request *r, int status, struct MHD_Response *response);

/* Finds out who asks; answers, and returns false, where that may not be. */
bool http_is_allowed(struct http_request *r);
/* The cookie of sessions, or NULL. */
const char *http_cookie(const struct http_request *r);
