/* core/slurm/environment.c - see environment.h. Slurm, PMIx and Open MPI describe a job in
 * variables; a process that starts another job must not hand them on. */
#include "core/slurm/environment.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void environment_node(char *ret, size_t size)
{
    const char *name = getenv("SLURMD_NODENAME");

    memset(ret, 0, size);
    if (name && *name)
        snprintf(ret, size, "%s", name);
    else if (gethostname(ret, size - 1) < 0 || !ret[0])
        snprintf(ret, size, "?");
}

long environment_number(const char *name)
{
    const char *text = getenv(name);
    long n = text ? strtol(text, NULL, 10) : 0;

    return n > 0 ? n : 0;
}

bool environment_is_of_job(const char *variable)
{
    static const char *const starts[] = {"SLURM_", "SQUEUE_", "SCANCEL_",
                                         "PMI_",   "PMIX_",   "OMPI_COMM_WORLD_"};
    size_t i;

    for (i = 0; i < sizeof(starts) / sizeof(starts[0]); i++)
        if (strncmp(variable, starts[i], strlen(starts[i])) == 0)
            return true;
    return false;
}
