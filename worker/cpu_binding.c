/* worker/cpu_binding.c - see cpu_binding.h. Each worker computes the same division of the sockets,
 * and takes its part; nothing is agreed upon. */
#include "worker/cpu_binding.h"
#include "core/file.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

/* The package with the next higher number than `after`; -1: none. */
static int next_package(const int *package, int n_cpus, int after)
{
    int next = -1, cpu;

    for (cpu = 0; cpu < n_cpus; cpu++)
        if (package[cpu] > after && (next < 0 || package[cpu] < next))
            next = package[cpu];
    return next;
}

bool cpu_binding_choose(const int *package, int n_cpus, int index, int n, bool *wanted)
{
    int packages = 0, at = -1, mine, cpu;

    while ((at = next_package(package, n_cpus, at)) >= 0)
        packages++;
    if (packages < 2 || n < packages)
        return false;
    mine = index * packages / n;
    for (at = next_package(package, n_cpus, -1); mine > 0; mine--)
        at = next_package(package, n_cpus, at);
    for (cpu = 0; cpu < n_cpus; cpu++)
        wanted[cpu] = package[cpu] == at;
    return true;
}

static int read_package(int cpu)
{
    char path[100], *text = NULL;
    size_t len;
    int package = -1;

    snprintf(path, sizeof(path), "/sys/devices/system/cpu/cpu%d/topology/physical_package_id", cpu);
    if (file_read(path, FILE_SMALL_MAX, &text, &len, NULL) == 0)
        package = atoi(text);
    free(text);
    return package;
}

void cpu_binding_apply(int index, int n)
{
    int package[CPU_SETSIZE], cpu;
    bool wanted[CPU_SETSIZE];
    cpu_set_t set;

    if (n < 2 || sched_getaffinity(0, sizeof(set), &set) < 0)
        return;
    for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
        package[cpu] = CPU_ISSET(cpu, &set) ? read_package(cpu) : -1;
    if (!cpu_binding_choose(package, CPU_SETSIZE, index, n, wanted))
        return;
    for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (!wanted[cpu])
            CPU_CLR(cpu, &set);
    sched_setaffinity(0, sizeof(set), &set);
}
