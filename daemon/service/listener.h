/* daemon/service/listener.h - the sockets that dashd listens on and the connections that it has
 * accepted, for gRPC or for the HTTP port, either of which is "gRPC" here.
 *
 * gRPC 1.51 stops accepting for good once accept() has failed for lack of a descriptor
 * (CVE-2023-4785), and limits neither connections nor what one peer may do. So dashd accepts
 * itself, within limits, and hands each connection to gRPC.
 *
 * Where strangers can connect, there is TLS, and proof is asked for: all bytes go through a relay
 * (relay.h) that decrypts them and counts frames before gRPC meets them. A connection that has not
 * proved who it is (listener_prove()) makes room for a newer one when a limit is reached, the
 * oldest first; so whoever can prove it is always let in. Without TLS, only connections without an
 * open call make room. One that opens calls and resets them at a high rate is ended, and so is one
 * whose calls are refused (listener_refused()) again and again.
 *
 * All functions run on the loop's thread.
 */
#pragma once
#include "core/err.h"
#include "daemon/service/peer.h"
#include "daemon/service/tls.h"
#include "daemon/service/http2_limits.h"
#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>

struct listener;
struct connection;

struct listener_limits {
    int connections;          /* in all; fewer where the descriptors do not suffice */
    int connections_of_peer;  /* from one TCP address; 0: no limit */
    struct tls_context *tls;  /* NULL: plain text, and no proof is asked for */
    bool is_http;             /* proof is asked for without TLS, too */
    enum http2_sender sender; /* with TLS */
    const gid_t *group; /* whose members may use unix sockets; NULL: this user and root alone */
};

/* accepted() takes over fd: a connected socket that does not block. */
int listener_open(uv_loop_t *loop, const struct listener_limits *limits,
                  void (*accepted)(void *arg, int fd), void *arg, struct listener **ret_listener,
                  struct err *err);
/* Binds and listens: "unix:/path" (for this user, or the group), "host:port" or "[host]:port". A
 * host that is an address is bound alone; a name, with every address that it has. *ret_port is the
 * TCP port, else 0. Nothing is accepted yet. */
int listener_add(struct listener *l, const char *address, int *ret_port, struct err *err);
/* Begins to accept. */
void listener_start(struct listener *l);
/* Stops accepting; what was accepted stays open. */
void listener_stop(struct listener *l);
void listener_close(struct listener *l); /* NULL-safe; ends all connections */

/* A call was opened on the connection whose descriptor, as gRPC names it, is fd. The result is the
 * call's to give back by listener_call_closed(); NULL where the connection is not known. */
struct connection *listener_call_opened(struct listener *l, int fd);
/* reset: the client gave it up before it was answered. c may be NULL. */
void listener_call_closed(struct listener *l, struct connection *c, bool reset);
void listener_prove(struct connection *c); /* NULL-safe */
void listener_end(struct connection *c);   /* NULL-safe: both sides see its end */
/* A call on it was refused, since nobody knows its caller. c may be NULL. */
void listener_refused(struct listener *l, struct connection *c);
/* Who is at its other side. */
void listener_peer(const struct connection *c, struct peer *ret_peer);
