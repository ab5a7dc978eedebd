/* daemon/coordinator/usage.h - what a job has used so far, over all its launches, and the limits of
 * that (limits.time, limits.disk).
 *
 * It is kept in <output>/logs/used, a line that is written over after each step: seconds of running
 * time, and bytes that the job's workers have added to the cache. After a crash of the machine it
 * may be a few steps old. The coordinator alone watches these limits, so that they hold without a
 * dashd, too.
 */
#pragma once
#include "core/err.h"
#include "core/job/job.h"
#include <stdbool.h>

struct usage {
    const char *output;          /* borrowed */
    int fd;                      /* -1: not open */
    double seconds, cache_bytes; /* of earlier launches */
    double started;              /* clock_s() of this one */
    double cached;               /* of this one */
};

/* What is there and cannot be read counts as nothing; *ret_lost says so. */
int usage_open(const char *output, struct usage *ret, bool *ret_lost, struct err *err);
void usage_close(struct usage *u);
int usage_save(const struct usage *u, struct err *err);

double usage_seconds(const struct usage *u);
/* Whether limits.time is reached. */
bool usage_is_out_of_time(const struct usage *u, const struct job_limits *limits);
/* ERR_INVALID in words, after that step. */
int usage_refuse_time(const struct job_limits *limits, int step, struct err *err);
/* The same where the job is beyond limits.disk. Looks at each file of the output folder. */
int usage_check_disk(const struct usage *u, const struct job_limits *limits, int step,
                     struct err *err);
