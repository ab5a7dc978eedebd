/* daemon/service/run_memory.c - see run_memory.h. */
#include "daemon/service/run_memory.h"
#include "core/job/job_read.h"
#include "core/job/job_units.h"
#include "core/log.h"
#include "daemon/service/memory_group.h"
#include <stdio.h>

double run_memory_limit(const struct run *run)
{
    struct job *job = NULL;
    double bytes = 0;

    if (run->row.kind != RUN_EVALUATION && job_from_yaml(run->row.job_yaml, &job, NULL) == 0)
        bytes = job->limits.memory;
    job_free(job);
    return bytes;
}

void run_memory_begin(struct run *run, long pid)
{
    const char *parent = run->runs->options.groups;
    double bytes = parent ? run_memory_limit(run) : 0;
    struct err err;
    int rc;

    if (bytes == 0)
        return;
    rc = memory_group_make(parent, run->row.mark, bytes, &err);
    if (rc == 0)
        rc = memory_group_join(parent, run->row.mark, pid, &err);
    if (rc < 0) {
        log_warn("job %ld has no control group: %s", run->row.id, err.text);
        memory_group_remove(parent, run->row.mark);
    }
}

bool run_memory_end(struct run *run)
{
    const char *parent = run->runs->options.groups;

    return parent && run->row.mark[0] && memory_group_remove(parent, run->row.mark);
}

char *run_memory_explain(const struct run *run)
{
    char limit[UNIT_TEXT_MAX], plan[80] = "", *words;

    bytes_print(run_memory_limit(run), limit);
    if (run->row.memory_bytes)
        snprintf(plan, sizeof(plan), " (the plan says about %.0f MB for all processes)",
                 (double)run->row.memory_bytes / 1e6);
    if (asprintf(&words,
                 "limits.memory of %s was exceeded, and the kernel ended the processes of the "
                 "job%s: resume it with a greater limit (--set limits.memory=...), or with more "
                 "stages",
                 limit, plan) < 0)
        return NULL;
    return words;
}
