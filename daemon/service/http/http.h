/* daemon/service/http/http.h - the HTTP port, with no libmicrohttpd in it for those who answer.
 *
 * Everything happens on the loop's thread: libmicrohttpd is driven by it, and all functions here
 * and all callbacks run on it.
 *
 * A request, from the side of its handler: begin() is called when the head has come and the caller
 * is known and allowed; body() with each piece of the body, where the route takes it so; done()
 * when it is whole. The handler answers at once or later, by http_reply(), or by http_stream() and
 * http_write()s, and ends the request by http_end(). When the client goes away before that, or
 * while the request has data (http_set_data()), gone() reports it, and the request is no longer the
 * handler's when it returns.
 *
 * What strangers can cost is bounded: connections (listener.h), bytes of a head and of a body, the
 * time until a request has come whole. A stream that its client reads slowly says so by
 * http_is_idle(); more is to be said in writable().
 *
 * Who calls is found out in one place (http_access.c), before a handler sees the request: a token
 * in `authorization`, a session's cookie (sessions.h), or, with --insecure-tcp, nobody asks.
 */
#pragma once
#include "core/err.h"
#include "daemon/service/rpc.h"
#include "daemon/service/tls.h"
#include <stdbool.h>
#include <uv.h>

struct http_server;
struct http_request;
struct sessions;

enum http_method { HTTP_GET, HTTP_POST, HTTP_DELETE };

struct http_route {
    enum http_method method;
    const char *path; /* "/metrics"; one that ends in "/" stands for all that begin so */
    bool is_open;     /* for everybody; else the caller must be known, and have the role */
    enum role role;   /* ROLE_NOBODY, which is what a row has that says nothing: read */
    bool audited;     /* each answer goes to the audit log; of others, who may not */
    size_t body_max;  /* bytes; 0: no body is taken */
    bool in_pieces;   /* body() is given the pieces; else done() finds it whole */
    /* False: the request was answered (refused). May be NULL. */
    bool (*begin)(struct http_request *r);
    /* Takes all of it. False: the request was answered. */
    bool (*body)(struct http_request *r, const char *bytes, size_t len);
    void (*done)(struct http_request *r);
    void (*writable)(struct http_request *r); /* all was sent; may be NULL */
    void (*gone)(struct http_request *r);     /* may be NULL */
    /* How an error is said, for routes of another form than http_fail()'s; may be NULL. */
    void (*fail)(struct http_request *r, enum rpc_status status, const char *text);
};

struct http_options {
    struct tls_context *tls; /* NULL: plain text */
    bool insecure;           /* anybody of this machine is an admin */
    const char *const *urls; /* by which proxies reach it: "https://login.example.org/dash/" */
    int n_urls;
    struct auth *auth;
    struct audit *audit;
    struct sessions *sessions;
};

int http_open(uv_loop_t *loop, const struct http_options *options, struct http_server **ret_server,
              struct err *err);
/* Routes must outlive the server; service is what http_service() gives their handlers. The longest
 * path that fits a request is its route. */
int http_add_routes(struct http_server *s, const struct http_route *routes, int n, void *service,
                    struct err *err);
int http_listen(struct http_server *s, const char *address, int *ret_port, struct err *err);
void http_start(struct http_server *s);
/* Takes no more requests, and ends those that are open. */
void http_stop(struct http_server *s);  /* NULL-safe */
void http_close(struct http_server *s); /* NULL-safe; the loop runs once more after it */

/* ---- of a request ---- */

void *http_service(const struct http_request *r);
struct http_server *http_server_of(const struct http_request *r);
void *http_data(const struct http_request *r);
void http_set_data(struct http_request *r, void *data);
const struct caller *http_caller(const struct http_request *r);
const struct peer *http_peer(const struct http_request *r);
const char *http_path(const struct http_request *r); /* decoded */
const char *http_rest(const struct http_request *r); /* of the path, after the route's */
/* NULL: there is none. */
const char *http_header(const struct http_request *r, const char *name);
const char *http_query(const struct http_request *r, const char *name);
bool http_has_query(const struct http_request *r, const char *name); /* also without a value */
/* Calls each for all of the query, until it returns false. */
void http_each_query(const struct http_request *r,
                     bool (*each)(void *arg, const char *name, const char *value), void *arg);
/* The whole body, as the route has it in one piece; NUL-terminated. */
const char *http_body(const struct http_request *r, size_t *ret_len);

/* While a piece of the body is worked on elsewhere, none follows. */
void http_pause(struct http_request *r);
void http_resume(struct http_request *r);

/* For the answer that follows. False for lack of memory. */
bool http_add_header(struct http_request *r, const char *name, const char *value);
/* Bytes are copied. */
void http_reply(struct http_request *r, int status, const char *type, const void *bytes,
                size_t len);
/* `bytes` must outlive the server. */
void http_reply_static(struct http_request *r, int status, const char *type, const void *bytes,
                       size_t len);
/* {"code", "message", "violations"}, with the HTTP status of the code. */
void http_fail(struct http_request *r, enum rpc_status status, const char *text);
void http_fail_err(struct http_request *r, const struct err *err);
int http_status_of(enum rpc_status status);

/* Begins an answer of unknown length. */
void http_stream(struct http_request *r, int status, const char *type);
/* False for lack of memory: the stream had better be ended. */
bool http_write(struct http_request *r, const void *bytes, size_t len);
bool http_is_idle(const struct http_request *r);  /* nothing waits to be sent */
size_t http_unsent(const struct http_request *r); /* bytes that wait */
void http_end(struct http_request *r);            /* of a stream */
/* Ends it so that its client sees that something is missing. */
void http_break(struct http_request *r);
bool http_has_begun(const struct http_request *r); /* an answer */
/* While nothing is written to the stream, text is, from time to time. text must outlive r. */
void http_keep_alive(struct http_request *r, const char *text);

/* Signs the client in as this caller: the answer sets a session's cookie. */
int http_sign_in(struct http_request *r, const struct caller *caller, struct err *err);
void http_sign_out(struct http_request *r);
