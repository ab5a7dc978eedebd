/* core/job/output_check.h - whether a job can have this output folder. */
#pragma once
#include "core/job/job.h"
#include "core/problems.h"

/* A new job's folder must be absent or empty, and one that can be created. A resumed one must hold
 * the same job, which must not be running. An existing folder must be the user's own and not
 * writable by everybody: whoever can write there can change what the job does. */
void output_check(struct job *job, bool resume, struct problems *problems);

/* A sentence where the existing folder can be written by its group; else NULL, also for lack of
 * memory. Caller frees. */
char *output_risk(const struct job *job);
