/* daemon/service/http2_limits.c - see http2_limits.h. A frame is 3 bytes of length, its type, its
 * flags and 4 bytes of stream, then the payload. Counts shrink with time, so that each is a limit
 * on bursts and on the rate. */
#include "daemon/service/http2_limits.h"

enum { PREFACE_BYTES = 24, HEADER_BYTES = 9 };
enum frame_type { FRAME_DATA = 0, FRAME_HEADERS = 1, FRAME_RST_STREAM = 3 };
enum {
    CALLS_UNPROVED = 8, /* a coordinator makes one call */
    CALLS_BURST = 100,
    CALLS_A_SECOND = 10,
    OTHERS_BURST = 1000, /* settings, pings, windows, and data of nothing */
    OTHERS_A_SECOND = 200
};

static double forgive(double count, double seconds, double a_second)
{
    count -= seconds * a_second;
    return count > 0 ? count : 0;
}

static void pass_time(struct http2_limits *l, uint64_t now_ms)
{
    double seconds = l->at_ms ? (double)(now_ms - l->at_ms) / 1000 : 0;

    l->at_ms = now_ms;
    l->others = forgive(l->others, seconds, OTHERS_A_SECOND);
    if (!l->proved)
        return;
    l->calls = forgive(l->calls, seconds, CALLS_A_SECOND);
    l->resets = forgive(l->resets, seconds, CALLS_A_SECOND);
}

static bool count_frame(struct http2_limits *l)
{
    int most = l->proved ? CALLS_BURST : CALLS_UNPROVED;

    switch (l->header[3]) {
    case FRAME_HEADERS:
        return ++l->calls <= most;
    case FRAME_RST_STREAM:
        return ++l->resets <= most;
    case FRAME_DATA:
        return l->in_payload > 0 || ++l->others <= OTHERS_BURST;
    default:
        return ++l->others <= OTHERS_BURST;
    }
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
