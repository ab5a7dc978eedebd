/* daemon/service/http2_limits.h - how much an HTTP/2 client may send (RFC 9113).
 *
 * A stream that is opened and reset at once costs its sender 50 bytes and a gRPC server kilobytes
 * (CVE-2023-44487); pings, settings and frames of little data are as cheap, and messages that never
 * end fill a server's memory. This reads the frames' headers of what a client sends, and nothing
 * else of it. A client that has not shown who it is may send little; one that has, at a rate.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum http2_sender {
    HTTP2_COORDINATOR = 0, /* has one call */
    HTTP2_PROGRAM,         /* a person's: any number of short calls, large jobs, many watches */
    HTTP2_NONE             /* it speaks another protocol, which is limited elsewhere */
};

struct http2_limits { /* zero-initialise but for the sender */
    enum http2_sender sender;
    bool proved;             /* its sender is known */
    size_t preface;          /* bytes of the connection's preface that have come */
    unsigned char header[9]; /* of the frame that is arriving */
    size_t in_header, in_payload;
    size_t bytes;                        /* while it is not proved */
    double calls, resets, pings, others; /* sent, less what time has forgiven */
    uint64_t at_ms;
};

void http2_limits_prove(struct http2_limits *l);
/* Looks at the next bytes that the client has sent, at now_ms of any clock that goes forward. False
 * once it has sent more than it may: its connection is to be ended. */
bool http2_limits_allow(struct http2_limits *l, const void *bytes, size_t len, uint64_t now_ms);
