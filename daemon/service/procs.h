/* daemon/service/procs.h - other processes, as /proc shows them.
 *
 * A process is known by (boot, pid, start time): pids come again, that triple does not.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stdint.h>

/* The start time of a living process (zombies are not), in clock ticks since boot. */
bool procs_start_time(long pid, uint64_t *ret_start);

int procs_boot_id(char ret_id[40], struct err *err);

/* The processes of session `session` that have `mark` ("NAME=value") in their environment: the mark
 * distinguishes a job's ranks from those of a later session of the same number. Writes up to max
 * pids and returns how many there are, at most max; -1 where that cannot be found out. With program
 * != NULL only those whose command line names it (a base name of argv[0] or argv[1]). */
int procs_of_session(long session, const char *mark, const char *program, long *pids, int max);
