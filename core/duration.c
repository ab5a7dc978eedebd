/* core/duration.c - see duration.h. */
#include "core/duration.h"
#include <stdio.h>

void duration_words(double seconds, char *out, size_t size)
{
    long s = seconds > 0 && seconds < 1e12 ? (long)(seconds + 0.5) : 0;

    if (s < 60)
        snprintf(out, size, "%lds", s);
    else if (s < 3600)
        snprintf(out, size, "%ldm%02lds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(out, size, "%ldh%02ldm", s / 3600, s % 3600 / 60);
    else
        snprintf(out, size, "%ldd%02ldh", s / 86400, s % 86400 / 3600);
}
