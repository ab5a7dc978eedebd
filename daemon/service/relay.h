/* daemon/service/relay.h - carries bytes between a client's socket and gRPC, and ends connections
 * whose client sends more frames than it may (http2_limits.h).
 *
 * gRPC gets one end of a socket pair. A side that reads slowly holds up the other: no more than a
 * buffer waits in each direction. The end of one side is passed to the other.
 */
#pragma once
#include "core/err.h"
#include <uv.h>

struct relay;

struct relay_group { /* of one owner; zero-initialise but for the loop */
    uv_loop_t *loop;
    struct relay *first;
};

/* Takes over fd, which is closed on failure too. *ret_other is gRPC's end, the caller's. */
int relay_start(struct relay_group *g, int fd, int *ret_other, struct err *err);
/* The client whose connection has this other end is known. */
void relay_prove(struct relay_group *g, int other);
void relay_end_all(struct relay_group *g);
