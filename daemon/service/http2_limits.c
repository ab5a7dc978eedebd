/* daemon/service/http2_limits.c - see http2_limits.h. A frame is 3 bytes of length, its type, its
 * flags and 4 bytes of stream, then the payload. Counts shrink with time, so that each is a limit
 * on bursts and on the rate. */
#include "daemon/service/http2_limits.h"

enum { PREFACE_BYTES = 24, HEADER_BYTES = 9 };
enum frame_type { FRAME_DATA = 0, FRAME_HEADERS = 1, FRAME_RST_STREAM = 3, FRAME_PING = 6 };
enum { DATA_COUNTED = 1024 /* bytes: larger frames of data cost their sender */ };

struct kind { /* while the client is not proved: at once, and a second; then the same when it is */
    int unproved, unproved_a_second, burst, a_second;
};

/* A program's first call may be a large job: as much of it as HTTP/2's first window lets through
 * comes before dashd has looked at the call's token. */
static const struct rates {
    size_t bytes_unproved;
    struct kind calls, pings, others;
} rates[] = {
    [HTTP2_COORDINATOR] = {.bytes_unproved = 16384,
                           .calls = {8, 0, 100, 10},
                           .pings = {8, 0, 50, 1},
                           .others = {100, 0, 1000, 200}},
    [HTTP2_PROGRAM] = {.bytes_unproved = (size_t)128 * 1024,
                       .calls = {100, 5, 1000, 300},
                       .pings = {20, 1, 50, 1},
                       .others = {400, 10, 5000, 2000}},
};

static double forgive(const struct http2_limits *l, double count, double seconds,
                      const struct kind *kind)
{
    count -= seconds * (l->proved ? kind->a_second : kind->unproved_a_second);
    return count > 0 ? count : 0;
}

static void pass_time(struct http2_limits *l, uint64_t now_ms)
{
    double seconds = l->at_ms ? (double)(now_ms - l->at_ms) / 1000 : 0;
    const struct rates *r = &rates[l->sender];

    l->at_ms = now_ms;
    l->calls = forgive(l, l->calls, seconds, &r->calls);
    l->resets = forgive(l, l->resets, seconds, &r->calls);
    l->pings = forgive(l, l->pings, seconds, &r->pings);
    l->others = forgive(l, l->others, seconds, &r->others);
}

static bool count(const struct http2_limits *l, double *n, const struct kind *kind)
{
    return ++*n <= (l->proved ? kind->burst : kind->unproved);
}

static bool count_frame(struct http2_limits *l)
{
    const struct rates *r = &rates[l->sender];

    switch (l->header[3]) {
    case FRAME_HEADERS:
        return count(l, &l->calls, &r->calls);
    case FRAME_RST_STREAM:
        return count(l, &l->resets, &r->calls);
    case FRAME_PING:
        return count(l, &l->pings, &r->pings);
    case FRAME_DATA: /* a known client's reports are small, and many after a break */
        return (l->proved && l->in_payload > 0) || l->in_payload > DATA_COUNTED ||
               count(l, &l->others, &r->others);
    default:
        return count(l, &l->others, &r->others);
    }
}

void http2_limits_prove(struct http2_limits *l)
{
    l->proved = true;
    l->calls = l->resets = l->pings = l->others = 0;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

bool http2_limits_allow(struct http2_limits *l, const void *bytes, size_t len, uint64_t now_ms)
{
    const unsigned char *at = bytes, *end = at + len;
    size_t skip = least(PREFACE_BYTES - l->preface, len);

    pass_time(l, now_ms);
    l->bytes += l->proved ? 0 : len;
    if (l->bytes > rates[l->sender].bytes_unproved)
        return false;
    l->preface += skip;
    at += skip;
    while (at < end) {
        skip = least(l->in_payload, (size_t)(end - at));
        l->in_payload -= skip;
        at += skip;
        while (at < end && l->in_header < HEADER_BYTES)
            l->header[l->in_header++] = *at++;
        if (l->in_header < HEADER_BYTES)
            continue;
        l->in_header = 0;
        l->in_payload = (size_t)l->header[0] << 16 | (size_t)l->header[1] << 8 | l->header[2];
        if (!count_frame(l))
            return false;
    }
    return true;
}
