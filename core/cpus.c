/* core/cpus.c - see cpus.h. */
#include "core/cpus.h"
#include <sched.h>

int cpus_allowed(void)
{
    cpu_set_t set;

    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}
