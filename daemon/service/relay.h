/* daemon/service/relay.h - carries bytes between a client's socket and gRPC: decrypts them (tls.h),
 * and ends connections whose client sends more than it may (http2_limits.h), which is counted
 * behind TLS, where HTTP/2 is.
 *
 * gRPC gets one end of a socket pair, with plain text. A side that reads slowly holds up the other:
 * no more than a buffer waits in each direction. When gRPC ends its side, what it has written is
 * passed on and the client's side is closed, within a moment, whatever the client does; when the
 * client ends its side, gRPC sees it and does the same. A handshake that takes too long ends the
 * connection.
 */
#pragma once
#include "core/err.h"
#include "daemon/service/http2_limits.h"
#include "daemon/service/tls.h"
#include <stdbool.h>
#include <uv.h>

struct relay;

struct relay_group { /* of one owner; zero-initialise but for the loop */
    uv_loop_t *loop;
    struct relay *first;
};

/* Called once, when both sides are closed or about to be; abused: the client sent more than it may.
 * The relay is gone then. */
typedef void relay_fn(void *arg, bool abused);

struct relay_spec {
    int fd; /* the client's */
    struct tls_context *tls;
    enum http2_sender sender;
    relay_fn *ended;
    void *arg;
};

/* Takes over spec->fd, which is closed on failure too. *ret_other is gRPC's end, the caller's. */
int relay_start(struct relay_group *g, const struct relay_spec *spec, struct relay **ret_relay,
                int *ret_other, struct err *err);
/* The client is known: fewer limits hold. */
void relay_prove(struct relay *r);
/* As tls_client_name(). */
void relay_client_name(const struct relay *r, char *ret_name, size_t size);
/* Ends both sides at once. */
void relay_end(struct relay *r);
/* Ends those that have waited too long, for their other side or for the client's handshake; to be
 * called every second or so. */
void relay_end_late(struct relay_group *g);
