/* daemon/service/http2_limits.c - see http2_limits.h. A frame is 3 bytes of length, its type, its
 * flags and 4 bytes of stream, then the payload. Counts shrink with time, so that each is a limit
 * on bursts and on the rate. */
#include "daemon/service/http2_limits.h"

enum { PREFACE_BYTES = 24, HEADER_BYTES = 9 };
enum frame_type { FRAME_DATA = 0, FRAME_HEADERS = 1, FRAME_RST_STREAM = 3, FRAME_PING = 6 };
enum {
    BYTES_UNPROVED = 16384,
    DATA_COUNTED = 1024 /* bytes: larger frames of data cost their sender */
};

/* How many of a kind: in all while the client is not proved; then at once, and a second. */
static const struct kind {
    int unproved, burst, a_second;
} calls = {8, 100, 10}, pings = {8, 50, 1}, others = {100, 1000, 200};

static double forgive(double count, double seconds, const struct kind *kind)
{
    count -= seconds * kind->a_second;
    return count > 0 ? count : 0;
}

static void pass_time(struct http2_limits *l, uint64_t now_ms)
{
    double seconds = l->at_ms ? (double)(now_ms - l->at_ms) / 1000 : 0;

    l->at_ms = now_ms;
    if (!l->proved)
        return;
    l->calls = forgive(l->calls, seconds, &calls);
    l->resets = forgive(l->resets, seconds, &calls);
    l->pings = forgive(l->pings, seconds, &pings);
    l->others = forgive(l->others, seconds, &others);
}

static bool count(const struct http2_limits *l, double *n, const struct kind *kind)
{
    return ++*n <= (l->proved ? kind->burst : kind->unproved);
}

static bool count_frame(struct http2_limits *l)
{
    switch (l->header[3]) {
    case FRAME_HEADERS:
        return count(l, &l->calls, &calls);
    case FRAME_RST_STREAM:
        return count(l, &l->resets, &calls);
    case FRAME_PING:
        return count(l, &l->pings, &pings);
    case FRAME_DATA: /* a known client's reports are small, and many after a break */
        return (l->proved && l->in_payload > 0) || l->in_payload > DATA_COUNTED ||
               count(l, &l->others, &others);
    default:
        return count(l, &l->others, &others);
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
    if (l->bytes > BYTES_UNPROVED)
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
