/* daemon/service/http/http.c - see http.h: libmicrohttpd on the loop, and the life of a request.
 *
 * libmicrohttpd neither listens nor has threads: listener.c accepts, within limits, and ends TLS;
 * the loop polls libmicrohttpd's epoll and runs it. Nothing that handlers do runs it again, so it
 * is never entered twice; what they make ready is looked at in the next turn of the loop.
 */
#include "daemon/service/http/http_impl.h"
#include "core/log.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    CONNECTIONS = 512,
    CONNECTIONS_OF_PEER = 128,
    CONNECTION_BYTES = 32 << 10, /* of a head, and of what waits to be parsed or sent */
    IDLE_S = 20, /* also of one whose end libmicrohttpd has missed: see is_cut_off() */
    HEAD_MS = 15000,
    REQUEST_MS = 60000,
    SWEEP_MS = 1000,
    BODIES_MAX = 64 << 20,
    ALIVE_MS = 15000,
};

static void run(struct http_server *s);

static void on_timer(uv_timer_t *timer)
{
    run(timer->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run(poll->data);
}

static void run_soon(struct http_server *s)
{
    s->soon = true;
    if (!s->stopping)
        uv_timer_start(&s->timer, on_timer, 0, 0);
}

static struct http_request *next_drained(const struct http_server *s)
{
    struct http_request *r;

    for (r = s->requests; r; r = r->next)
        if (r->drained)
            return r;
    return NULL;
}

static void call_writable(struct http_server *s)
{
    struct http_request *r;

    while ((r = next_drained(s))) {
        r->drained = false;
        if (r->slot.route->writable && !r->ended)
            r->slot.route->writable(r);
    }
}

static void run(struct http_server *s)
{
    MHD_UNSIGNED_LONG_LONG ms;

    s->soon = false;
    MHD_run(s->mhd);
    call_writable(s);
    /* libmicrohttpd's timeout knows nothing of a connection that was resumed meanwhile */
    if (!s->stopping && !s->soon && MHD_get_timeout(s->mhd, &ms) == MHD_YES)
        uv_timer_start(&s->timer, on_timer, ms, 0);
}

/* ---- a request ---- */

static int fd_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);

    return info ? info->connect_fd : -1;
}

static void *on_uri(void *arg, const char *uri, struct MHD_Connection *connection)
{
    struct http_server *s = arg;
    struct http_request *r = calloc(1, sizeof(*r));

    if (!r)
        return NULL;
    r->has_nul = strstr(uri, "%00") != NULL;
    r->server = s;
    r->mhd = connection;
    r->began_ms = uv_now(s->loop);
    r->connection = listener_call_opened(s->listener, fd_of(connection));
    if (r->connection)
        listener_peer(r->connection, &r->peer);
    r->next = s->requests;
    r->prev = &s->requests;
    if (r->next)
        r->next->prev = &r->next;
    s->requests = r;
    return r;
}

static void free_request(struct http_request *r)
{
    struct http_server *s = r->server;

    listener_call_closed(s->listener, r->connection, false);
    *r->prev = r->next;
    if (r->next)
        r->next->prev = r->prev;
    s->body_bytes -= r->body.len;
    if (r->response)
        MHD_destroy_response(r->response);
    buf_free(&r->body);
    buf_free(&r->out);
    free(r->path);
    free(r);
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **data,
                         enum MHD_RequestTerminationCode why)
{
    struct http_request *r = *data;

    (void)arg;
    (void)connection;
    (void)why;
    if (!r)
        return;
    *data = NULL;
    if (r->begun && (!r->ended || r->data)) { /* with data, its handler refers to it */
        r->ended = true;
        if (r->slot.route->gone)
            r->slot.route->gone(r);
    }
    free_request(r);
}

static bool fits(const struct http_route *route, enum http_method method, const char *path)
{
    size_t len = strlen(route->path);

    if (route->method != method)
        return false;
    return len > 1 && route->path[len - 1] == '/' ? strncmp(path, route->path, len) == 0
                                                  : strcmp(path, route->path) == 0;
}

/* *ret_other: there is one for another method. */
static struct route_slot find_route(const struct http_server *s, const struct http_request *r,
                                    bool *ret_other)
{
    struct route_slot found = {0};
    int i, m;

    *ret_other = false;
    for (i = 0; i < s->n_routes; i++) {
        for (m = HTTP_GET; m <= HTTP_DELETE; m++)
            *ret_other = *ret_other || fits(s->routes[i].route, (enum http_method)m, r->path);
        if (fits(s->routes[i].route, r->method, r->path) &&
            (!found.route || strlen(s->routes[i].route->path) > strlen(found.route->path)))
            found = s->routes[i];
    }
    return found;
}

static bool read_method(const char *name, enum http_method *ret)
{
    if (strcmp(name, "GET") == 0 || strcmp(name, "HEAD") == 0)
        *ret = HTTP_GET; /* libmicrohttpd leaves out the body of the answer to HEAD */
    else if (strcmp(name, "POST") == 0)
        *ret = HTTP_POST;
    else if (strcmp(name, "DELETE") == 0)
        *ret = HTTP_DELETE;
    else
        return false;
    return true;
}

/* Of the body that is announced; one without a length is counted as it comes. */
static bool is_too_large(const struct http_request *r)
{
    const char *length = http_header(r, "Content-Length");

    return length && strtoull(length, NULL, 10) > r->slot.route->body_max;
}

/* Routes to a handler, or answers. */
static void begin(struct http_request *r, const char *method)
{
    struct http_server *s = r->server;
    bool other;

    if (!read_method(method, &r->method)) {
        http_fail(r, RPC_UNIMPLEMENTED, "only GET, HEAD, POST and DELETE are served");
        return;
    }
    if (r->has_nul) {
        http_fail(r, RPC_INVALID_ARGUMENT, "the address must have no NUL");
        return;
    }
    r->slot = find_route(s, r, &other);
    if (!http_is_allowed(r))
        return;
    if (!r->slot.route)
        http_fail(r, other ? RPC_UNIMPLEMENTED : RPC_NOT_FOUND,
                  other ? "this address is not served for this method" : "no such address");
    else if (s->stopping)
        http_fail(r, RPC_UNAVAILABLE, "dashd is shutting down");
    else if (is_too_large(r))
        http_fail(r, RPC_INVALID_ARGUMENT, "the body of the request is too large");
    else if (!r->slot.route->begin || r->slot.route->begin(r))
        r->begun = true;
}

static enum MHD_Result queue_answer(struct http_request *r)
{
    enum MHD_Result rc = MHD_queue_response(r->mhd, (unsigned)r->status, r->response);

    MHD_destroy_response(r->response);
    r->response = NULL;
    return rc;
}

enum MHD_Result http_suspend(struct http_request *r)
{
    if (r->server->stopping)
        return MHD_NO;
    if (!r->suspended)
        MHD_suspend_connection(r->mhd);
    r->suspended = true;
    return MHD_YES;
}

static void take_piece(struct http_request *r, const char *bytes, size_t len)
{
    struct http_server *s = r->server;

    if (r->slot.route->in_pieces) {
        r->slot.route->body(r, bytes, len);
        return;
    }
    if (s->body_bytes + len > BODIES_MAX) {
        http_fail(r, RPC_RESOURCE_EXHAUSTED, "dashd reads too many requests now");
        return;
    }
    s->body_bytes -= r->body.len;
    buf_append(&r->body, bytes, len);
    s->body_bytes += r->body.len;
    if (r->body.failed)
        http_fail(r, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
}

/* Of an answered request the rest of the body is dropped. */
static enum MHD_Result take_some(struct http_request *r, const char *bytes, size_t *size)
{
    if (r->answered) {
        *size = 0;
        return MHD_YES;
    }
    if (r->paused)
        return http_suspend(r);
    if (*size > r->slot.route->body_max - r->came)
        return MHD_NO; /* it has no length, or another one */
    r->came += *size;
    take_piece(r, bytes, *size);
    *size = 0;
    return r->paused && !r->answered ? http_suspend(r) : MHD_YES;
}

static enum MHD_Result on_access(void *arg, struct MHD_Connection *connection, const char *url,
                                 const char *method, const char *version, const char *bytes,
                                 size_t *size, void **data)
{
    struct http_request *r = *data;

    (void)arg;
    (void)connection;
    (void)version;
    if (!r || r->abandoned)
        return MHD_NO;
    if (!r->path) { /* the head has come */
        r->path = strdup(url);
        if (!r->path)
            return MHD_NO;
        begin(r, method);
        return r->answered ? queue_answer(r) : MHD_YES;
    }
    if (*size > 0)
        return take_some(r, bytes, size);
    if (r->paused && !r->answered)
        return http_suspend(r);
    if (!r->whole && !r->answered) {
        r->whole = true;
        r->slot.route->done(r);
    }
    return r->answered ? queue_answer(r) : http_suspend(r);
}

void http_wake(struct http_request *r)
{
    if (r->suspended) {
        r->suspended = false;
        MHD_resume_connection(r->mhd);
    }
    run_soon(r->server);
}

static bool has_gone(const struct http_request *r)
{
    struct pollfd fd = {.fd = fd_of(r->mhd), .events = POLLRDHUP};

    return poll(&fd, 1, 0) > 0 && (fd.revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL));
}

/* libmicrohttpd misses the end of a body that ends too early while its connection is suspended. */
static bool is_cut_off(const struct http_request *r)
{
    char byte;

    return r->begun && !r->whole && !r->answered &&
           recv(fd_of(r->mhd), &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static bool is_late(const struct http_request *r)
{
    uint64_t age = uv_now(r->server->loop) - r->began_ms;

    if (!r->path)
        return age > HEAD_MS;
    return !r->whole && !r->answered && !r->slot.route->in_pieces && age > REQUEST_MS;
}

static void on_sweep(uv_timer_t *timer)
{
    struct http_server *s = timer->data;
    struct http_request *r;

    for (r = s->requests; r; r = r->next) {
        if (r->caller.name[0] && !r->ended && !auth_still_holds(s->options.auth, &r->caller))
            r->abandoned = true;
        if (r->suspended && (r->abandoned || has_gone(r))) {
            r->abandoned = true;
            http_wake(r);
        } else if (is_late(r) || (!r->suspended && is_cut_off(r))) {
            listener_end(r->connection);
        } else if (r->keep_alive && uv_now(s->loop) - r->wrote_ms >= ALIVE_MS) {
            http_write(r, r->keep_alive, strlen(r->keep_alive));
        }
    }
}

/* ---- the server ---- */

static void quiet(void *arg, const char *format, va_list values)
{
    (void)arg;
    (void)format;
    (void)values;
}

static int start_mhd(struct http_server *s, struct err *err)
{
    const union MHD_DaemonInfo *info;

    s->mhd = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0,
        NULL, NULL, on_access, s, MHD_OPTION_EXTERNAL_LOGGER, quiet, NULL,
        MHD_OPTION_URI_LOG_CALLBACK, on_uri, s, MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS + 64, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_S,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
    info = s->mhd ? MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
    if (!info || uv_poll_init(s->loop, &s->poll, info->epoll_fd) < 0)
        return err_set(err, ERR_IO, "the HTTP server cannot be started");
    s->open_handles++;
    return 0;
}

static void hand_over(void *arg, int fd)
{
    struct http_server *s = arg;
    struct sockaddr_storage nobody = {.ss_family = AF_INET};

    /* on failure fd is closed */
    MHD_add_connection(s->mhd, fd, (struct sockaddr *)&nobody, sizeof(struct sockaddr_in));
    run_soon(s);
}

int http_open(uv_loop_t *loop, const struct http_options *options, struct http_server **ret_server,
              struct err *err)
{
    struct http_server *s = calloc(1, sizeof(*s));
    const struct listener_limits limits = {.connections = CONNECTIONS,
                                           .connections_of_peer = CONNECTIONS_OF_PEER,
                                           .tls = options->tls,
                                           .is_http = true,
                                           .sender = HTTP2_NONE};
    int rc;

    if (!s)
        return err_nomem(err, sizeof(*s));
    s->loop = loop;
    s->options = *options;
    rc = listener_open(loop, &limits, hand_over, s, &s->listener, err);
    if (rc < 0) {
        free(s);
        return rc;
    }
    uv_timer_init(loop, &s->timer);
    uv_timer_init(loop, &s->sweep);
    s->open_handles = 2;
    s->timer.data = s->sweep.data = s->poll.data = s;
    rc = start_mhd(s, err);
    if (rc < 0) {
        http_close(s);
        return rc;
    }
    *ret_server = s;
    return 0;
}

int http_add_routes(struct http_server *s, const struct http_route *routes, int n, void *service,
                    struct err *err)
{
    struct route_slot *slots;
    int i;

    slots = realloc(s->routes, (size_t)(s->n_routes + n) * sizeof(*slots));
    if (!slots)
        return err_nomem(err, (size_t)(s->n_routes + n) * sizeof(*slots));
    s->routes = slots;
    for (i = 0; i < n; i++)
        s->routes[s->n_routes++] = (struct route_slot){&routes[i], service};
    return 0;
}

int http_listen(struct http_server *s, const char *address, int *ret_port, struct err *err)
{
    int rc = listener_add(s->listener, address, ret_port, err);

    if (rc == 0)
        s->port = *ret_port;
    return rc;
}

void http_start(struct http_server *s)
{
    uv_poll_start(&s->poll, UV_READABLE, on_poll);
    uv_timer_start(&s->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
    listener_start(s->listener);
}

void http_stop(struct http_server *s)
{
    struct http_request *r;

    if (!s || s->stopping)
        return;
    s->stopping = true;
    listener_stop(s->listener);
    for (r = s->requests; r; r = r->next) /* those that wait get no answer any more */
        if (r->suspended) {
            r->abandoned = true;
            r->suspended = false;
            MHD_resume_connection(r->mhd);
        }
    if (s->mhd) {
        MHD_run(s->mhd);
        uv_poll_stop(&s->poll);
        MHD_stop_daemon(s->mhd);
    }
    s->mhd = NULL;
    uv_timer_stop(&s->timer);
    uv_timer_stop(&s->sweep);
}

static void on_closed(uv_handle_t *handle)
{
    struct http_server *s = handle->data;

    if (--s->open_handles > 0)
        return;
    free(s->routes);
    free(s);
}

void http_close(struct http_server *s)
{
    bool has_poll;

    if (!s)
        return;
    has_poll = s->open_handles > 2;
    http_stop(s);
    listener_close(s->listener);
    uv_close((uv_handle_t *)&s->timer, on_closed);
    uv_close((uv_handle_t *)&s->sweep, on_closed);
    if (has_poll)
        uv_close((uv_handle_t *)&s->poll, on_closed);
}
