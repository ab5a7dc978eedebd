/* daemon/service/run_memory.c - see run_memory.h. */
#include "daemon/service/run_memory.h"
#include "core/job/job_read.h"
#include "core/job/job_units.h"
#include "core/log.h"
#include "daemon/service/memory_group.h"
#include <stdio.h>
#include <string.h>

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
        run->runs->groups_left = true;
    }
}

bool run_memory_end(struct run *run)
{
    const char *parent = run->runs->options.groups;

    if (!parent || !run->row.mark[0])
        return false;
    run->runs->groups_left = true;
    runs_arm(run->runs);
    return memory_group_killed(parent, run->row.mark);
}

static bool is_used(const void *arg, const char *mark)
{
    const struct runs *r = arg;

    for (int i = 0; i < r->n; i++)
        if (r->items[i]->launch && strcmp(r->items[i]->row.mark, mark) == 0)
            return true;
    return false;
}

bool run_memory_sweep(struct runs *r)
{
    return r->options.groups && memory_groups_sweep(r->options.groups, is_used, r);
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
