/* daemon/service/http/metrics_memory.h - how much memory the processes of jobs on this machine
 * have.
 *
 * All processes of a login node are looked through, once for each job that runs, which takes tens
 * of milliseconds with thousands of them: a thread of the pool does it, one look at a time, and
 * what it found is good for METRICS_MEMORY_MS.
 */
#pragma once
#include "core/buf.h"
#include "daemon/service/http/http.h"
#include "daemon/service/runs.h"

enum { METRICS_MEMORY_MS = 2000 };

struct memory_look;

struct metrics_memory {
    struct memory_look *last, *now; /* NULL: none */
    uint64_t taken_ms;              /* loop time of the last */
};

/* True: a look has begun, whose end calls done(r), unless r goes away: metrics_memory_gone().
 * False: what is known is to do. */
bool metrics_memory_look(struct metrics_memory *m, const struct runs *runs, struct http_request *r,
                         void (*done)(struct http_request *r));
void metrics_memory_gone(struct metrics_memory *m, const struct http_request *r);
/* The lines of the last look. */
void metrics_memory_put(const struct metrics_memory *m, struct buf *b);
/* Bytes of a process in RAM, and its name. False: it is not there. */
bool metrics_resident(long pid, char name[32], double *ret_bytes);
void metrics_memory_close(struct metrics_memory *m);
