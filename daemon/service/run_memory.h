/* daemon/service/run_memory.h - limits.memory of jobs that run on this machine: a control group for
 * each launch, where dashd may make them (memory_group.h); else the job's own coordinator limits
 * its processes. */
#pragma once
#include "daemon/service/run_table.h"

/* The job's limits.memory; 0: none. */
double run_memory_limit(const struct run *run);
/* Puts a process that waits at its gate into a group of its launch. Where that fails the
 * coordinator sees no group. */
void run_memory_begin(struct run *run, long pid);
/* The launch is over. Whether the kernel has ended processes of its group for lack of memory. */
bool run_memory_end(struct run *run);
/* Removes the groups of launches that are over. Whether some are left, to be removed later. */
bool run_memory_sweep(struct runs *r);
/* Why such a launch has ended, in words; NULL for lack of memory. Caller frees. */
char *run_memory_explain(const struct run *run);
