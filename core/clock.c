/* core/clock.c - see clock.h: the system's clocks, none of which can fail. */
#include "core/clock.h"
#include <time.h>

static int64_t read_ns(clockid_t which)
{
    struct timespec t = {0};

    clock_gettime(which, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double clock_s(void)
{
    return (double)read_ns(CLOCK_MONOTONIC) * 1e-9;
}

int64_t clock_ms(void)
{
    return read_ns(CLOCK_MONOTONIC) / 1000000;
}

int64_t clock_unix_ms(void)
{
    return read_ns(CLOCK_REALTIME) / 1000000;
}

int64_t clock_thread_ns(void)
{
    return read_ns(CLOCK_THREAD_CPUTIME_ID);
}

const char *clock_today(char text[16])
{
    time_t now = time(NULL);
    struct tm tm;

    localtime_r(&now, &tm);
    strftime(text, 16, "%Y-%m-%d", &tm);
    return text;
}
