/* core/job/job_plan_limits.c - a plan held against the limits of its job (limits.memory and
 * limits.disk). Time cannot be known beforehand: the coordinator measures it. */
#include "core/job/job_check.h"
#include "core/job/job_keys.h"
#include "core/job/job_units.h"

static void check_memory(const struct job *job, const struct job_plan *plan,
                         struct problems *problems)
{
    char limit[UNIT_TEXT_MAX];

    if (job->limits.memory == 0 || plan->machine_bytes <= COST_MEMORY_USED * job->limits.memory)
        return;
    bytes_print(job->limits.memory, limit);
    problems_add(problems, job->file, job_line(job, "limits.memory"),
                 "limits.memory is %s (%.0f MB), but the processes of the job on one machine need "
                 "about %.0f MB: %.0f MB by the plan, and a tenth for what it does not count; give "
                 "more, more stages, or a lower training.micro_batch_tokens",
                 limit, job->limits.memory / 1e6, plan->machine_bytes / COST_MEMORY_USED / 1e6,
                 plan->machine_bytes / 1e6);
}

static void check_disk(const struct job *job, const struct job_plan *plan,
                       struct problems *problems)
{
    double bytes = plan->output_bytes + plan->cache_bytes;
    char limit[UNIT_TEXT_MAX];

    if (job->limits.disk == 0 || bytes <= job->limits.disk)
        return;
    bytes_print(job->limits.disk, limit);
    problems_add(problems, job->file, job_line(job, "limits.disk"),
                 "limits.disk is %s (%.1f MB), but by the plan the output folder may need %.1f MB "
                 "and decompositions in the cache %.1f MB: give more, a lower lora.rank, or a "
                 "lower cache.max_bytes",
                 limit, job->limits.disk / 1e6, plan->output_bytes / 1e6, plan->cache_bytes / 1e6);
}

void job_plan_limits(const struct job *job, struct job_plan *plan, struct problems *problems)
{
    struct buf limits = {0};

    job_limits_print(&job->limits, &limits);
    if (limits.len && !limits.failed)
        job_plan_add(plan,
                     "limits: %s; by the plan about %.0f MB of memory on one machine and up to "
                     "%.0f MB of disk",
                     limits.data, plan->machine_bytes / 1e6,
                     (plan->output_bytes + plan->cache_bytes) / 1e6);
    buf_free(&limits);
    check_memory(job, plan, problems);
    check_disk(job, plan, problems);
}
