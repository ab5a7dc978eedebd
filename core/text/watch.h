/* core/text/watch.h - the time that a text may take, whatever the files of a model make of it: time
 * of the CPU, so that neither a busy machine nor a suspended one counts.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct watch {
    int64_t until_ns; /* of the thread's CPU time */
    size_t work;      /* since the last look at the clock */
};

/* Starts: 2 seconds and a microsecond for each byte. Ordinary files take a fiftieth of that. */
void watch_start(struct watch *w, size_t text_len);
/* Whether the time is used up. To be called in loops, with the number of small steps since the last
 * call. */
bool watch_is_late(struct watch *w, size_t work);
/* The seconds that a text of this length may take. */
double watch_seconds(size_t text_len);
