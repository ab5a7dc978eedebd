/* daemon/service/http2_limits.h - how many frames of a kind an HTTP/2 client may send (RFC 9113).
 *
 * A stream that is opened and reset at once costs its sender 50 bytes and a gRPC server kilobytes
 * (CVE-2023-44487); pings, settings and frames without data are as cheap. This reads the frames'
 * headers of what a client sends, and nothing else of it.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct http2_limits { /* zero-initialise */
    bool proved;    /* its sender is known: calls may follow one another for as long as it likes */
    size_t preface; /* bytes of the connection's preface that have come */
    unsigned char header[9]; /* of the frame that is arriving */
    size_t in_header, in_payload;
    double calls, resets, others; /* sent, less what time has forgiven */
    uint64_t at_ms;
};

/* Looks at the next bytes that the client has sent, at now_ms of any clock that goes forward. False
 * once it has sent more than it may: its connection is to be ended. */
bool http2_limits_allow(struct http2_limits *l, const void *bytes, size_t len, uint64_t now_ms);
