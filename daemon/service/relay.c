/* daemon/service/relay.c - see relay.h. Each direction is one buffer that is read into, then
 * written out; only then is it read into again. */
#include "daemon/service/relay.h"
#include "daemon/service/http2_limits.h"
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BUFFER_BYTES = 16384, CLIENT = 0, SERVER = 1, CLOSING_MS = 2000 };

struct direction { /* from a side to the other one */
    uv_stream_t *from, *to;
    uv_write_t write;
    uv_shutdown_t shutdown;
    bool ended;
    char buffer[BUFFER_BYTES];
};

struct relay {
    struct relay_group *group;
    struct relay *next, **prev;
    uv_pipe_t sides[2]; /* sockets of whatever family */
    relay_fn *ended;
    void *arg;
    uint64_t end_at_ms; /* loop time; 0: neither side has ended */
    struct direction ways[2];
    struct http2_limits limits;
    int open_handles;
};

static void on_closed(uv_handle_t *handle)
{
    struct relay *r = handle->data;

    if (--r->open_handles == 0)
        free(r);
}

static void end(struct relay *r, bool abused)
{
    relay_fn *ended = r->ended;
    int i;

    if (r->prev) {
        *r->prev = r->next;
        if (r->next)
            r->next->prev = r->prev;
        r->prev = NULL;
    }
    for (i = 0; i < 2; i++)
        if (!uv_is_closing((uv_handle_t *)&r->sides[i]))
            uv_close((uv_handle_t *)&r->sides[i], on_closed);
    r->ended = NULL;
    if (ended)
        ended(r->arg, abused);
}

static struct direction *way_from(struct relay *r, const uv_stream_t *from)
{
    return &r->ways[from == (const uv_stream_t *)&r->sides[CLIENT] ? CLIENT : SERVER];
}

static void provide_buffer(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    struct direction *d = way_from(handle->data, (uv_stream_t *)handle);

    (void)wanted;
    *buf = uv_buf_init(d->buffer, BUFFER_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf);

static void on_written(uv_write_t *write, int status)
{
    struct relay *r = write->handle->data;
    struct direction *d = write->data;

    if (status < 0)
        end(r, false);
    else if (!uv_is_closing((uv_handle_t *)d->from))
        uv_read_start(d->from, provide_buffer, on_read);
}

static void on_shut(uv_shutdown_t *shutdown, int status)
{
    struct relay *r = shutdown->handle->data;

    if (status < 0 || r->ways[SERVER].ended) /* all that gRPC wrote has been passed on */
        end(r, false);
}

static void pass_end(struct relay *r, struct direction *d)
{
    d->ended = true;
    uv_read_stop(d->from);
    if (!r->end_at_ms)
        r->end_at_ms = uv_now(r->group->loop) + CLOSING_MS;
    if (uv_is_closing((uv_handle_t *)d->to) || uv_shutdown(&d->shutdown, d->to, on_shut) < 0)
        end(r, false);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct relay *r = stream->data;
    struct direction *d = way_from(r, stream);
    uv_buf_t out = uv_buf_init(buf->base, n > 0 ? (unsigned int)n : 0);

    if (n == 0)
        return;
    if (n == UV_EOF) {
        pass_end(r, d);
        return;
    }
    if (n < 0) {
        end(r, false);
        return;
    }
    if (d == &r->ways[CLIENT] &&
        !http2_limits_allow(&r->limits, buf->base, (size_t)n, uv_now(r->group->loop))) {
        end(r, true);
        return;
    }
    uv_read_stop(stream);
    if (uv_write(&d->write, d->to, &out, 1, on_written) < 0)
        end(r, false);
}

static int open_sides(struct relay *r, int fd, int mine, struct err *err)
{
    int i;

    for (i = 0; i < 2; i++) {
        uv_pipe_init(r->group->loop, &r->sides[i], 0);
        r->sides[i].data = r;
        r->open_handles++;
        r->ways[i].from = (uv_stream_t *)&r->sides[i];
        r->ways[i].to = (uv_stream_t *)&r->sides[1 - i];
        r->ways[i].write.data = &r->ways[i];
    }
    if (uv_pipe_open(&r->sides[CLIENT], fd) < 0) {
        close(fd);
        close(mine);
        return err_set(err, ERR_IO, "the connection cannot be read");
    }
    if (uv_pipe_open(&r->sides[SERVER], mine) < 0) {
        close(mine);
        return err_set(err, ERR_IO, "the connection cannot be read");
    }
    for (i = 0; i < 2; i++)
        uv_read_start(r->ways[i].from, provide_buffer, on_read);
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

int relay_start(struct relay_group *g, int fd, relay_fn *ended, void *arg, struct relay **ret_relay,
                int *ret_other, struct err *err)
{
    struct relay *r = calloc(1, sizeof(*r));
    int pair[2], rc;

    if (!r || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
        rc = r ? err_errno(err, "cannot make a pair of sockets") : err_nomem(err, sizeof(*r));
        free(r);
        close(fd);
        return rc;
    }
    r->group = g;
    detect_death(fd);
    rc = open_sides(r, fd, pair[0], err);
    if (rc < 0) {
        close(pair[1]);
        end(r, false);
        return rc;
    }
    r->ended = ended;
    r->arg = arg;
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
