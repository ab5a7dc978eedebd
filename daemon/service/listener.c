/* daemon/service/listener.c - see listener.h.
 *
 * Each connection has two descriptors of one socket: gRPC's, which gRPC closes when it likes, and a
 * duplicate, by which the connection can be ended at any time (shutdown(2)). gRPC's has been closed
 * once its number no longer leads to the same socket; that is looked for once a second, and where a
 * limit would end or refuse a connection, but then not for each of a flood (LOOK_MS).
 *
 * A call is found by the number of gRPC's descriptor, which is how gRPC names its peer. That number
 * is its connection's as long as the call lives: gRPC closes the descriptor when the last call on
 * it has been destroyed. So of several entries with one number the newest is meant, and a call is
 * never taken for one of another peer.
 *
 * A failed accept (no descriptor, no memory) pauses accepting for a moment; connections wait in the
 * kernel's queue until then. Descriptors are kept in reserve for the store and for jobs.
 */
#include "daemon/service/listener.h"
#include "core/log.h"
#include "daemon/service/address.h"
#include "daemon/service/descriptors.h"
#include "daemon/service/relay.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    SOCKETS_MAX = 16,
    BACKLOG = SOMAXCONN, /* gRPC clients take a refusal by a full queue for a connection */
    ACCEPTS_A_TURN = 32, /* then those that are there are served */
    SWEEP_MS = 1000,
    LOOK_MS = 20,
    PAUSE_MS = 250,
    LOG_EVERY_MS = 60000,
    CLOSING_MAX = 128, /* connections that have ended but for their calls */
    RELAYED_FDS = 3,   /* descriptors of a connection: the client's, and a pair */
    DIRECT_FDS = 2,
    PUNISHED_MAX = 64,
    PUNISHED_MS = 1000,
    RESETS_BURST = 100, /* calls that a connection may reset at once, and then a second */
    RESETS_A_SECOND = 20,
    REFUSALS_BURST = 20, /* calls of unknown callers, likewise */
    REFUSALS_A_SECOND = 1,
};

struct bucket { /* events, less what time has forgiven */
    double n;
    uint64_t at_ms;
};

struct connection {
    struct connection *next;
    struct listener *listener;
    int grpc_fd;         /* the number of gRPC's */
    struct relay *relay; /* where strangers can connect, or NULL */
    int fd;              /* ours, without a relay */
    ino_t socket;
    unsigned char peer[16]; /* the TCP address: of IPv6 the network's half; all 0: unix */
    struct peer who;
    bool proved, closed; /* closed: by gRPC */
    int calls;           /* open */
    struct bucket resets, refusals;
};

struct listening {
    struct listener *listener;
    uv_poll_t poll;
    int fd;
    char *unix_path; /* NULL: TCP */
    ino_t file;      /* of unix_path */
};

struct listener {
    uv_loop_t *loop;
    struct listener_limits limits;
    void (*accepted)(void *arg, int fd);
    void *arg;
    struct listening sockets[SOCKETS_MAX];
    int n_sockets, open_handles;
    bool pausing;
    struct connection *entries;          /* for all that there can be: an accept needs no memory */
    struct connection *unused;           /* of them */
    struct connection *oldest, **newest; /* in the order of their accept */
    int n;
    struct relay_group relays; /* with TLS: strangers can connect */
    uv_timer_t sweep, pause;
    uint64_t logged_at_ms, looked_at_ms;
    struct { /* peers whose connections were ended for abuse, and until when they are refused */
        unsigned char peer[16];
        uint64_t until_ms;
    } punished[PUNISHED_MAX];
    int next_punished;
};

static void on_pollable(uv_poll_t *poll, int status, int events);

int listener_open(uv_loop_t *loop, const struct listener_limits *limits,
                  void (*accepted)(void *arg, int fd), void *arg, struct listener **ret_listener,
                  struct err *err)
{
    struct listener *l = calloc(1, sizeof(*l));

    int n = descriptors_connections(limits->tls ? RELAYED_FDS : DIRECT_FDS), i;

    if (n > limits->connections)
        n = limits->connections;
    n += CLOSING_MAX;

    if (l)
        l->entries = calloc((size_t)n, sizeof(*l->entries));
    if (!l || !l->entries) {
        free(l);
        return err_nomem(err, (size_t)n * sizeof(*l->entries));
    }
    for (i = 0; i < n; i++) {
        l->entries[i].next = l->unused;
        l->unused = &l->entries[i];
    }
    l->loop = loop;
    l->limits = *limits;
    l->limits.connections = n - CLOSING_MAX;
    l->accepted = accepted;
    l->arg = arg;
    l->newest = &l->oldest;
    l->relays.loop = loop;
    uv_timer_init(loop, &l->sweep);
    uv_timer_init(loop, &l->pause);
    l->sweep.data = l->pause.data = l;
    *ret_listener = l;
    return 0;
}

/* ---- connections ---- */

static void remove_connection(struct listener *l, struct connection *c)
{
    struct connection **link = &l->oldest;

    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    if (l->newest == &c->next)
        l->newest = link;
    l->n--;
    if (c->relay)
        relay_end(c->relay);
    if (c->fd >= 0)
        close(c->fd);
    c->next = l->unused;
    l->unused = c;
}

/* Of one without a relay, whose end is reported. */
static bool is_open_in_grpc(const struct connection *c)
{
    struct stat st;

    if (c->fd < 0)
        return true;
    return fstat(c->grpc_fd, &st) == 0 && S_ISSOCK(st.st_mode) && st.st_ino == c->socket;
}

/* All, or those of a peer that have not proved who they are. */
static int count(const struct listener *l, const unsigned char *peer)
{
    const struct connection *c;
    int n = 0;

    for (c = l->oldest; c; c = c->next)
        n += !c->closed && (!peer || (!c->proved && memcmp(c->peer, peer, sizeof(c->peer)) == 0));
    return n;
}

static void log_now_and_then(struct listener *l, const char *what)
{
    uint64_t now = uv_now(l->loop);

    if (l->logged_at_ms && now - l->logged_at_ms < LOG_EVERY_MS)
        return;
    l->logged_at_ms = now ? now : 1;
    log_warn("%s (%d connections, %d descriptors at most)", what, count(l, NULL),
             descriptors_limit());
}

static bool is_punished(const struct listener *l, const unsigned char *peer)
{
    int i;

    for (i = 0; i < PUNISHED_MAX; i++)
        if (l->punished[i].until_ms > uv_now(l->loop) &&
            memcmp(l->punished[i].peer, peer, sizeof(l->punished[i].peer)) == 0)
            return true;
    return false;
}

/* Its next connections are refused for a moment, which makes abuse slow. Unix sockets are spared.
 */
static void punish(struct listener *l, const unsigned char *peer)
{
    static const unsigned char none[16];

    if (memcmp(peer, none, sizeof(none)) == 0 || is_punished(l, peer))
        return;
    memcpy(l->punished[l->next_punished].peer, peer, sizeof(none));
    l->punished[l->next_punished].until_ms = uv_now(l->loop) + PUNISHED_MS;
    l->next_punished = (l->next_punished + 1) % PUNISHED_MAX;
    log_now_and_then(l, "a connection is ended: its client sends more than it may");
}

/* Asks the kernel about each: dear where there are many. */
static void look_for_closed(struct listener *l)
{
    struct connection *c;

    l->looked_at_ms = uv_now(l->loop);
    for (c = l->oldest; c; c = c->next)
        if (!c->closed && !is_open_in_grpc(c))
            c->closed = true;
}

/* Drops what has been closed, as far as no call refers to it. */
static void drop_closed(struct listener *l)
{
    struct connection *c, *next;

    for (c = l->oldest; c; c = next) {
        next = c->next;
        if (c->closed && c->calls == 0)
            remove_connection(l, c);
    }
    if (l->n == 0)
        uv_timer_stop(&l->sweep);
}

static void on_sweep(uv_timer_t *timer)
{
    struct listener *l = timer->data;

    look_for_closed(l);
    relay_end_late(&l->relays);
    drop_closed(l);
}

/* Both sides see the end of the connection; gRPC then closes it. */
static void end_connection(struct connection *c)
{
    if (c->relay)
        relay_end(c->relay); /* on_relay_ended() does the rest */
    else if (c->fd >= 0)
        shutdown(c->fd, SHUT_RDWR);
    c->closed = true; /* no longer counts */
}

static bool makes_room(const struct listener *l, const struct connection *c)
{
    return !c->closed && !c->proved && (l->limits.tls || l->limits.is_http || c->calls == 0);
}

/* Ends the oldest connection that may be ended; of `peer` unless that is NULL. */
static bool make_room(struct listener *l, const unsigned char *peer)
{
    struct connection *c;

    for (c = l->oldest; c; c = c->next) {
        if (!makes_room(l, c) || (peer && memcmp(c->peer, peer, sizeof(c->peer)) != 0))
            continue;
        end_connection(c);
        return true;
    }
    return false;
}

/* Of a peer, or in all (NULL). One that its client has closed counts until that is seen. */
static bool is_full(struct listener *l, const unsigned char *peer, int limit)
{
    if (count(l, peer) < limit)
        return false;
    if (uv_now(l->loop) - l->looked_at_ms < LOOK_MS)
        return true;
    look_for_closed(l);
    return count(l, peer) >= limit;
}

static bool is_within_limits(struct listener *l, const unsigned char *peer, bool is_tcp)
{
    int in_all = l->limits.connections, of_peer = is_tcp ? l->limits.connections_of_peer : 0;

    if (of_peer && is_full(l, peer, of_peer) && !make_room(l, peer)) {
        log_now_and_then(l, "a connection is refused: there are too many from its address");
        return false;
    }
    if (is_full(l, NULL, in_all) && !make_room(l, NULL)) {
        log_now_and_then(l, "a connection is refused: there are too many");
        return false;
    }
    return true;
}

static void read_peer(const struct sockaddr_storage *a, unsigned char peer[16])
{
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)a;
    const struct sockaddr_in *four = (const struct sockaddr_in *)a;

    memset(peer, 0, 16);
    if (a->ss_family == AF_INET) {
        memset(peer + 10, 0xff, 2);
        memcpy(peer + 12, &four->sin_addr, 4);
    } else if (a->ss_family == AF_INET6) {
        memcpy(peer, &six->sin6_addr, IN6_IS_ADDR_V4MAPPED(&six->sin6_addr) ? 16 : 8);
    }
}

/* A socket for IPv6 shows addresses of IPv4 as "::ffff:10.1.0.4". */
static void describe_tcp(const struct sockaddr_storage *a, struct peer *who)
{
    socklen_t size =
        a->ss_family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
    char text[48] = "", port[8] = "", *host = text;

    getnameinfo((const struct sockaddr *)a, size, text, sizeof(text), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    if (strncmp(host, "::ffff:", 7) == 0)
        host += 7;
    snprintf(who->address, sizeof(who->address), strchr(host, ':') ? "[%s]:%s" : "%s:%s", host,
             port);
}

/* False where the connection is not let in. Of a unix socket the kernel says who has connected; the
 * file's mode and its folder's keep others out already. */
static bool describe(const struct listener *l, int fd, const struct sockaddr_storage *from,
                     bool is_tcp, struct peer *who)
{
    struct ucred user = {.uid = (uid_t)-1};
    socklen_t size = sizeof(user);

    *who = (struct peer){.kind = l->limits.tls       ? PEER_TLS
                                 : l->limits.is_http ? PEER_HTTP
                                                     : PEER_TCP};
    if (is_tcp) {
        describe_tcp(from, who);
        return true;
    }
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &size) < 0)
        return false;
    who->kind = PEER_UNIX;
    who->uid = user.uid;
    strcpy(who->address, "unix");
    return l->limits.group || user.uid == geteuid() || user.uid == 0;
}

static void start_sweeping(struct listener *l)
{
    if (!uv_is_active((uv_handle_t *)&l->sweep))
        uv_timer_start(&l->sweep, on_sweep, SWEEP_MS, SWEEP_MS);
}

/* The entry goes with the next sweep: calls may refer to it, and this may come from within one. */
static void on_relay_ended(void *arg, bool abused)
{
    struct connection *c = arg;

    c->relay = NULL;
    c->closed = true;
    if (abused)
        punish(c->listener, c->peer);
}

/* Takes an entry for the socket fd, which it takes over on success. *ret_grpc: gRPC's. */
static bool add_connection(struct listener *l, int fd, const unsigned char *peer,
                           const struct peer *who, int *ret_grpc)
{
    struct connection *c = l->unused;
    struct relay_spec spec = {fd, l->limits.tls, l->limits.sender, on_relay_ended, c};
    struct stat st;

    if (!c)
        return false;
    *c = (struct connection){.next = c->next, .listener = l, .fd = -1, .who = *who};
    memcpy(c->peer, peer, sizeof(c->peer));
    if (l->limits.tls) {
        if (relay_start(&l->relays, &spec, &c->relay, &c->grpc_fd, NULL) < 0)
            return true; /* closed; there is nothing to hand over */
    } else {
        if (fstat(fd, &st) < 0 || (c->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)
            return false;
        c->grpc_fd = fd;
        c->socket = st.st_ino;
    }
    l->unused = c->next;
    c->next = NULL;
    *l->newest = c;
    l->newest = &c->next;
    l->n++;
    start_sweeping(l);
    *ret_grpc = c->grpc_fd;
    return true;
}

static bool has_descriptors(struct listener *l, int fd)
{
    if (descriptors_allow(fd))
        return true;
    make_room(l, NULL);
    log_now_and_then(l, "a connection is refused: few descriptors are left");
    return false;
}

/* Takes over fd. */
static void admit(struct listener *l, int fd, const struct sockaddr_storage *from, bool is_tcp)
{
    unsigned char peer[16];
    struct peer who;
    int grpc = -1, one = 1;

    read_peer(from, peer);
    if ((is_tcp && is_punished(l, peer)) || !has_descriptors(l, fd) ||
        !describe(l, fd, from, is_tcp, &who) || !is_within_limits(l, peer, is_tcp)) {
        close(fd);
        return;
    }
    if (is_tcp)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (!add_connection(l, fd, peer, &who, &grpc))
        close(fd);
    else if (grpc >= 0)
        l->accepted(l->arg, grpc);
}

/* ---- accepting ---- */

static void poll_all(struct listener *l, bool on)
{
    int i;

    for (i = 0; i < l->n_sockets; i++)
        if (on)
            uv_poll_start(&l->sockets[i].poll, UV_READABLE, on_pollable);
        else
            uv_poll_stop(&l->sockets[i].poll);
}

static void on_pause_over(uv_timer_t *timer)
{
    struct listener *l = timer->data;

    l->pausing = false;
    poll_all(l, true);
}

static void pause_accepting(struct listener *l)
{
    log_now_and_then(l, "connections cannot be accepted now");
    make_room(l, NULL);
    l->pausing = true;
    poll_all(l, false);
    uv_timer_start(&l->pause, on_pause_over, PAUSE_MS, 0);
}

static bool is_of_one_connection(int error)
{
    return error == EINTR || error == ECONNABORTED || error == EPROTO || error == EPERM ||
           error == ENETDOWN || error == EHOSTDOWN || error == EHOSTUNREACH ||
           error == ENETUNREACH || error == ETIMEDOUT;
}

static void on_pollable(uv_poll_t *poll, int status, int events)
{
    struct listening *s = poll->data;
    struct listener *l = s->listener;
    int turn, fd;

    (void)status;
    (void)events;
    drop_closed(l);
    for (turn = 0; turn < ACCEPTS_A_TURN && !l->pausing; turn++) {
        struct sockaddr_storage from = {0};
        socklen_t size = sizeof(from);
        fd = accept4(s->fd, (struct sockaddr *)&from, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            admit(l, fd, &from, !s->unix_path);
        else if (errno == EAGAIN || errno == EWOULDBLOCK)
            return;
        else if (!is_of_one_connection(errno))
            pause_accepting(l);
    }
}

/* 0: there is none. */
static ino_t file_number(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 ? st.st_ino : 0;
}

static int add_socket(struct listener *l, int fd, const char *unix_path, struct err *err)
{
    struct listening *s = &l->sockets[l->n_sockets];

    if (listen(fd, BACKLOG) < 0)
        return err_errno(err, "cannot listen");
    if (uv_poll_init(l->loop, &s->poll, fd) < 0)
        return err_set(err, ERR_IO, "cannot poll the socket");
    s->poll.data = s;
    s->listener = l;
    s->fd = fd;
    s->unix_path = unix_path ? strdup(unix_path) : NULL;
    s->file = unix_path ? file_number(unix_path) : 0;
    l->n_sockets++;
    return unix_path && !s->unix_path ? err_nomem(err, strlen(unix_path)) : 0;
}

int listener_add(struct listener *l, const char *address, int *ret_port, struct err *err)
{
    int fds[ADDRESS_SOCKETS_MAX], n = 0, i, rc;

    rc = address_bind(address, l->limits.group, fds, &n, ret_port, err);
    for (i = 0; i < n; i++) {
        if (rc == 0 && l->n_sockets == SOCKETS_MAX)
            rc = err_set(err, ERR_INVALID, "there are too many sockets");
        if (rc == 0)
            rc = add_socket(l, fds[i], address_is_unix(address) ? address + 5 : NULL, err);
        if (rc < 0 && (l->n_sockets == 0 || l->sockets[l->n_sockets - 1].fd != fds[i]))
            close(fds[i]);
    }
    return rc < 0 ? err_prefix(err, "%s", address) : 0;
}

void listener_start(struct listener *l)
{
    poll_all(l, true);
}

void listener_stop(struct listener *l)
{
    int i;

    uv_timer_stop(&l->pause);
    for (i = 0; i < l->n_sockets; i++) {
        struct listening *s = &l->sockets[i];
        if (s->fd < 0)
            continue;
        uv_poll_stop(&s->poll);
        if (s->unix_path && file_number(s->unix_path) == s->file)
            unlink(s->unix_path); /* unless another dashd has put its own there */
        close(s->fd);
        s->fd = -1;
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct listener *l =
        handle->type == UV_POLL ? ((struct listening *)handle->data)->listener : handle->data;
    int i;

    if (--l->open_handles > 0)
        return;
    for (i = 0; i < l->n_sockets; i++)
        free(l->sockets[i].unix_path);
    free(l->entries);
    free(l);
}

void listener_close(struct listener *l)
{
    int i;

    if (!l)
        return;
    listener_stop(l);
    while (l->oldest)
        remove_connection(l, l->oldest);
    l->open_handles = l->n_sockets + 2;
    for (i = 0; i < l->n_sockets; i++)
        uv_close((uv_handle_t *)&l->sockets[i].poll, on_closed);
    uv_close((uv_handle_t *)&l->sweep, on_closed);
    uv_close((uv_handle_t *)&l->pause, on_closed);
}

/* ---- calls ---- */

struct connection *listener_call_opened(struct listener *l, int fd)
{
    struct connection *c, *found = NULL;

    for (c = l->oldest; c; c = c->next) /* the newest: numbers come again */
        if (c->grpc_fd == fd)
            found = c;
    if (!found || found->closed) /* of an older one nobody may have seen yet that it is closed */
        return NULL;
    found->calls++;
    return found;
}

/* One more event. True where there have been too many. */
static bool overflows(struct bucket *b, uint64_t now, int burst, int a_second)
{
    b->n -= (double)(now - b->at_ms) / 1000 * a_second;
    b->n = (b->n > 0 ? b->n : 0) + 1;
    b->at_ms = now;
    return b->n > burst;
}

static void end_abuser(struct listener *l, struct connection *c, const char *why)
{
    log_now_and_then(l, why);
    punish(l, c->peer);
    end_connection(c);
}

void listener_call_closed(struct listener *l, struct connection *c, bool reset)
{
    if (!c)
        return;
    c->calls--;
    if (reset && !c->closed &&
        overflows(&c->resets, uv_now(l->loop), RESETS_BURST, RESETS_A_SECOND))
        end_abuser(l, c, "a connection is ended: it resets its calls at a high rate");
}

void listener_refused(struct listener *l, struct connection *c)
{
    if (c && !c->closed &&
        overflows(&c->refusals, uv_now(l->loop), REFUSALS_BURST, REFUSALS_A_SECOND))
        end_abuser(l, c, "a connection is ended: dashd knows none of its callers");
}

void listener_peer(const struct connection *c, struct peer *ret_peer)
{
    *ret_peer = c->who;
    if (c->relay)
        relay_client_name(c->relay, ret_peer->certificate, sizeof(ret_peer->certificate));
}

void listener_end(struct connection *c)
{
    if (c)
        end_connection(c);
}

void listener_prove(struct connection *c)
{
    if (!c)
        return;
    c->proved = true;
    if (c->relay)
        relay_prove(c->relay);
}
