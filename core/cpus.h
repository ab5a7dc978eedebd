/* core/cpus.h - the CPUs that this process may use. */
#pragma once

/* How many it may run on (sched_setaffinity(2), Slurm's binding); 1 where that cannot be learned.
 */
int cpus_allowed(void);
