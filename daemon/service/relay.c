/* daemon/service/relay.c - see relay.h.
 *
 *   client ──cipher──► tls_feed() ─ tls_read() ──► limits ──► `in`  ──► gRPC
 *   client ◄──`out`─── tls_take() ─ tls_write() ◄──────────── `read` ◄── gRPC
 *
 * Each direction goes round in one circle: read, pass on, and only when all of it is written, read
 * again. What TLS itself has to say (the handshake, alerts) leaves by `out`, too, so one write to
 * the client is under way at any time, whoever asked for it. gRPC is read when the handshake is
 * done.
 */
#include "daemon/service/relay.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    BUFFER_BYTES = 16384,
    PENDING_MAX = 8 * BUFFER_BYTES, /* of TLS's own words, to a client that does not read them */
    CLOSING_MS = 2000,
    HANDSHAKE_MS = 10000
};

struct relay {
    struct relay_group *group;
    struct relay *next, **prev;
    uv_pipe_t client, server; /* sockets of whatever family */
    struct tls *tls;
    relay_fn *ended;
    void *arg;
    uint64_t end_at_ms; /* loop time; 0: neither side has ended, and the handshake is done */
    struct http2_limits limits;
    bool ready;        /* the handshake is done */
    bool writing;      /* to the client: out */
    bool server_ended; /* when all is written, the client's side ends */
    bool broken;       /* the same, and nothing more is read */
    uv_write_t write_in, write_out;
    uv_shutdown_t shut_client, shut_server;
    char cipher[BUFFER_BYTES], in[BUFFER_BYTES], read[BUFFER_BYTES], out[BUFFER_BYTES];
    int open_handles;
};

static void on_closed(uv_handle_t *handle)
{
    struct relay *r = handle->data;

    if (--r->open_handles > 0)
        return;
    tls_close(r->tls);
    free(r);
}

static void close_side(uv_pipe_t *side)
{
    if (!uv_is_closing((uv_handle_t *)side))
        uv_close((uv_handle_t *)side, on_closed);
}

static void end(struct relay *r, bool abused)
{
    relay_fn *ended = r->ended;

    if (r->prev) {
        *r->prev = r->next;
        if (r->next)
            r->next->prev = r->prev;
        r->prev = NULL;
    }
    close_side(&r->client);
    close_side(&r->server);
    r->ended = NULL;
    if (ended)
        ended(r->arg, abused);
}

static bool is_over(const struct relay *r)
{
    return uv_is_closing((const uv_handle_t *)&r->client);
}

static void end_soon(struct relay *r)
{
    r->end_at_ms = uv_now(r->group->loop) + CLOSING_MS;
}

/* ---- to the client ---- */

static void read_server(struct relay *r);

static void on_client_shut(uv_shutdown_t *shutdown, int status)
{
    (void)status;
    end(shutdown->handle->data, false);
}

static void flush(struct relay *r);

static void on_out_written(uv_write_t *write, int status)
{
    struct relay *r = write->handle->data;

    r->writing = false;
    if (status < 0)
        end(r, false);
    else
        flush(r);
}

/* Sends what waits; when nothing does, whatever follows. */
static void flush(struct relay *r)
{
    uv_buf_t buf = uv_buf_init(r->out, 0);

    if (r->writing || is_over(r))
        return;
    buf.len = tls_take(r->tls, r->out, sizeof(r->out));
    if (buf.len > 0) {
        r->writing = true;
        if (uv_write(&r->write_out, (uv_stream_t *)&r->client, &buf, 1, on_out_written) < 0)
            end(r, false);
    } else if (r->server_ended || r->broken) {
        if (uv_shutdown(&r->shut_client, (uv_stream_t *)&r->client, on_client_shut) < 0)
            end(r, false);
        r->writing = true; /* nothing follows */
    } else if (r->ready) {
        read_server(r);
    }
}

static void provide_read(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    struct relay *r = handle->data;

    (void)wanted;
    *buf = uv_buf_init(r->read, sizeof(r->read));
}

static void on_server_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct relay *r = stream->data;

    if (n == 0)
        return;
    uv_read_stop(stream);
    if (n == UV_EOF) {
        r->server_ended = true;
        tls_finish(r->tls);
        end_soon(r);
    } else if (n < 0 || !tls_write(r->tls, buf->base, (size_t)n)) {
        end(r, false);
        return;
    }
    flush(r);
}

static void read_server(struct relay *r)
{
    uv_read_start((uv_stream_t *)&r->server, provide_read, on_server_read);
}

/* ---- from the client ---- */

static void provide_cipher(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    struct relay *r = handle->data;

    (void)wanted;
    *buf = uv_buf_init(r->cipher, sizeof(r->cipher));
}

static void on_client_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);
static void pass_in(struct relay *r);

static void on_in_written(uv_write_t *write, int status)
{
    struct relay *r = write->handle->data;

    if (status < 0)
        end(r, false);
    else
        pass_in(r);
}

static void on_server_shut(uv_shutdown_t *shutdown, int status)
{
    if (status < 0)
        end(shutdown->handle->data, false);
}

/* gRPC sees the end, and ends its side. */
static void end_client(struct relay *r)
{
    uv_read_stop((uv_stream_t *)&r->client);
    end_soon(r);
    if (!r->ready || uv_is_closing((uv_handle_t *)&r->server) ||
        uv_shutdown(&r->shut_server, (uv_stream_t *)&r->server, on_server_shut) < 0)
        end(r, false);
}

static void note_ready(struct relay *r)
{
    if (r->ready || !tls_is_ready(r->tls))
        return;
    r->ready = true;
    r->end_at_ms = 0;
}

/* The alert that says why goes out first. */
static void break_off(struct relay *r)
{
    r->broken = true;
    end_soon(r);
    flush(r);
}

/* Passes on what has been decrypted, a buffer at a time, then reads more. */
static void pass_in(struct relay *r)
{
    uv_buf_t buf = uv_buf_init(r->in, 0);
    int n;

    if (is_over(r) || r->broken)
        return;
    n = tls_read(r->tls, r->in, sizeof(r->in));
    note_ready(r);
    if (n > 0) {
        buf.len = (size_t)n;
        if (r->limits.sender != HTTP2_NONE &&
            !http2_limits_allow(&r->limits, r->in, (size_t)n, uv_now(r->group->loop)))
            end(r, true);
        else if (uv_write(&r->write_in, (uv_stream_t *)&r->server, &buf, 1, on_in_written) < 0)
            end(r, false);
        return;
    }
    if (n == TLS_BROKEN) {
        break_off(r);
    } else if (n == TLS_END) {
        end_client(r);
    } else if (tls_pending(r->tls) > PENDING_MAX) {
        end(r, true);
    } else {
        uv_read_start((uv_stream_t *)&r->client, provide_cipher, on_client_read);
        flush(r);
    }
}

static void on_client_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct relay *r = stream->data;

    if (n == 0)
        return;
    uv_read_stop(stream);
    if (n == UV_EOF)
        end_client(r);
    else if (n < 0 || tls_feed(r->tls, buf->base, (size_t)n) < 0)
        end(r, false);
    else
        pass_in(r);
}

/* ---- its beginning ---- */

static void open_side(struct relay *r, uv_pipe_t *side)
{
    uv_pipe_init(r->group->loop, side, 0);
    side->data = r;
    r->open_handles++;
}

static int open_sides(struct relay *r, int fd, int mine, struct err *err)
{
    open_side(r, &r->client);
    open_side(r, &r->server);
    if (uv_pipe_open(&r->client, fd) < 0) {
        close(fd);
        close(mine);
        return err_set(err, ERR_IO, "the connection cannot be read");
    }
    if (uv_pipe_open(&r->server, mine) < 0) {
        close(mine);
        return err_set(err, ERR_IO, "the connection cannot be read");
    }
    uv_read_start((uv_stream_t *)&r->client, provide_cipher, on_client_read);
    return 0;
}

/* A client whose machine dies sends nothing. */
static void detect_death(int fd)
{
    int one = 1, idle_s = 30, every_s = 10, probes = 3;

    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof(idle_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &every_s, sizeof(every_s));
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof(probes));
}

/* Closes what it cannot use. */
static int make(const struct relay_spec *spec, struct relay **ret_relay, int pair[2],
                struct err *err)
{
    struct relay *r = calloc(1, sizeof(*r));
    int rc = r ? tls_open(spec->tls, &r->tls, err) : err_nomem(err, sizeof(*r));

    if (rc == 0 && socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0)
        rc = err_errno(err, "cannot make a pair of sockets");
    if (rc < 0) {
        if (r)
            tls_close(r->tls);
        free(r);
        close(spec->fd);
        return rc;
    }
    *ret_relay = r;
    return 0;
}

int relay_start(struct relay_group *g, const struct relay_spec *spec, struct relay **ret_relay,
                int *ret_other, struct err *err)
{
    struct relay *r = NULL;
    int pair[2] = {-1, -1}, rc = make(spec, &r, pair, err);

    if (rc < 0)
        return rc;
    r->group = g;
    r->limits.sender = spec->sender;
    r->end_at_ms = uv_now(g->loop) + HANDSHAKE_MS;
    detect_death(spec->fd);
    rc = open_sides(r, spec->fd, pair[0], err);
    if (rc < 0) {
        close(pair[1]);
        end(r, false);
        return rc;
    }
    r->ended = spec->ended;
    r->arg = spec->arg;
    r->next = g->first;
    r->prev = &g->first;
    if (r->next)
        r->next->prev = &r->next;
    g->first = r;
    *ret_relay = r;
    *ret_other = pair[1];
    return 0;
}

void relay_prove(struct relay *r)
{
    http2_limits_prove(&r->limits);
}

void relay_client_name(const struct relay *r, char *ret_name, size_t size)
{
    tls_client_name(r->tls, ret_name, size);
}

void relay_end(struct relay *r)
{
    end(r, false);
}

void relay_end_late(struct relay_group *g)
{
    uint64_t now = uv_now(g->loop);
    struct relay *r, *next;

    for (r = g->first; r; r = next) {
        next = r->next;
        if (r->end_at_ms && now >= r->end_at_ms)
            end(r, false);
    }
}
