/* daemon/service/relay.h - carries bytes between a client's socket and gRPC, and ends connections
 * whose client sends more than it may (http2_limits.h).
 *
 * gRPC gets one end of a socket pair. A side that reads slowly holds up the other: no more than a
 * buffer waits in each direction. When gRPC ends its side, what it has written is passed on and the
 * client's side is closed, within a moment, whatever the client does; when the client ends its
 * side, gRPC sees it and does the same.
 */
#pragma once
#include "core/err.h"
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

/* Takes over fd, which is closed on failure too. *ret_other is gRPC's end, the caller's. */
int relay_start(struct relay_group *g, int fd, relay_fn *ended, void *arg, struct relay **ret_relay,
                int *ret_other, struct err *err);
/* The client is known: fewer limits hold. */
void relay_prove(struct relay *r);
/* Ends both sides at once. */
void relay_end(struct relay *r);
/* Ends those that have waited too long for their other side; to be called every second or so. */
void relay_end_late(struct relay_group *g);
