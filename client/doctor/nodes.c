/* client/doctor/nodes.c - what each rank found on its node. A node that deviates has a line of its
 * own; where none does, one line stands for all. */
#include "client/doctor/doctor.h"
#include <string.h>

static const double idle_core = 0.5;        /* cores */
static const double memory_least_mb = 1000; /* less than that holds no model */

/* Extends a range by a number; 0 is none. */
static void extend(double *least, double *most, double number)
{
    if (number > 0 && (*least == 0 || number < *least))
        *least = number;
    if (number > *most)
        *most = number;
}

/* ---- cpu ---- */

void check_cpus(struct findings *f, const struct probed *p)
{
    const struct probed_rank *first = NULL;
    bool same = true;
    size_t i;

    for (i = 0; i < p->n; i++) {
        const struct probed_rank *rank = &p->ranks[i];
        if (!rank->cpu[0])
            continue;
        if (!first)
            first = rank;
        if (strcmp(first->cpu, rank->cpu) == 0)
            continue;
        same = false;
        report_finding(f, "cpu", VERDICT_WARNING,
                       "choose nodes of one kind (slurm.constraint or slurm.partition): the bits "
                       "of a result are the same on one kind of CPU only",
                       "%s has another CPU (%s) than %s (%s)", rank->node, rank->cpu, first->node,
                       first->cpu);
    }
    if (same && first)
        report_finding(f, "cpu", VERDICT_OK, NULL, "%s, which this build supports", first->cpu);
}

/* ---- cores ---- */

/* Whether a rank may use the cores that Slurm allotted. */
static bool check_rank_cores(struct findings *f, const struct probed_rank *r)
{
    if (r->allotted == 0 || r->cores >= r->allotted)
        return true;
    if (r->cores == 1)
        report_finding(
            f, "cores", VERDICT_PROBLEM,
            "look at TaskPlugin in slurm.conf and at cgroup.conf, and unset SLURM_CPU_BIND",
            "%s: a rank is bound to 1 core though Slurm gave the job %d", r->node, r->allotted);
    else if (r->cores == r->online)
        report_finding(f, "cores", VERDICT_WARNING,
                       "ask an administrator to correct CPUs in slurm.conf",
                       "%s: Slurm gave the job %d cores, and the node has only %d", r->node,
                       r->allotted, r->online);
    else
        report_finding(f, "cores", VERDICT_WARNING, "name --cpus-per-task, or look at cgroup.conf",
                       "%s: a rank may use %d cores of the %d that Slurm gave the job", r->node,
                       r->cores, r->allotted);
    return false;
}

void check_cores(struct findings *f, const struct probed *p)
{
    double least = 0, most = 0;
    bool right = true;
    char nodes[300];
    size_t i;

    for (i = 0; i < p->n; i++) {
        right &= check_rank_cores(f, &p->ranks[i]);
        extend(&least, &most, p->ranks[i].threads);
    }
    if (right && least == most)
        report_finding(f, "cores", VERDICT_OK, NULL, "%.0f for %s", most,
                       probed_all_nodes(p, nodes, sizeof(nodes)));
    else if (right)
        report_finding(f, "cores", VERDICT_OK, NULL, "%.0f to %.0f for a rank", least, most);
}

/* ---- threads ---- */

/* Whether the threads have run as they should. That all ran on one core is not an error where no
 * other core was idle. */
static bool check_rank_threads(struct findings *f, const struct probed_rank *r)
{
    if (r->ran_on < 0 || r->threads == 1 || (r->ran_on > 1 && r->ran_on >= r->threads / 2))
        return true;
    if (r->ran_on == 0)
        report_finding(f, "threads", VERDICT_PROBLEM, "look at `ulimit -u`",
                       "%s: %d threads cannot be started", r->node, r->threads);
    else if (r->ran_on == 1 && r->idle > idle_core)
        report_finding(f, "threads", VERDICT_PROBLEM,
                       "something binds them: look at TaskPlugin in slurm.conf, at cgroups, and at "
                       "isolcpus in /proc/cmdline",
                       "%s: %d threads all ran on one core, and others were idle", r->node,
                       r->threads);
    else
        report_finding(f, "threads", VERDICT_WARNING,
                       "check whether other jobs use the node: dash needs its cores for itself",
                       "%s: %d threads ran on %d %s only; the others were busy", r->node,
                       r->threads, r->ran_on, r->ran_on == 1 ? "core" : "cores");
    return false;
}

void check_threads(struct findings *f, const struct probed *p)
{
    bool right = true;
    size_t i;

    for (i = 0; i < p->n; i++)
        right &= check_rank_threads(f, &p->ranks[i]);
    if (right)
        report_finding(f, "threads", VERDICT_OK, NULL,
                       "the threads of a rank run on cores of their own");
}

/* ---- memory ---- */

static bool check_rank_memory(struct findings *f, const struct probed_rank *r)
{
    double of_job = r->memory_allotted_mb > 0 ? r->memory_allotted_mb : r->memory_mb;

    if (r->memory_mb == 0 || of_job >= memory_least_mb)
        return true;
    report_finding(f, "memory", VERDICT_WARNING,
                   "request more in the job file (slurm.mem), or whole nodes",
                   "%s: a job has %.0f MB of %.0f MB", r->node, of_job, r->memory_mb);
    return false;
}

void check_memory(struct findings *f, const struct probed *p)
{
    double least = 0, most = 0, least_allotted = 0, most_allotted = 0;
    bool right = true;
    char nodes[300];
    size_t i;

    for (i = 0; i < p->n; i++) {
        right &= check_rank_memory(f, &p->ranks[i]);
        extend(&least, &most, p->ranks[i].memory_mb);
        extend(&least_allotted, &most_allotted, p->ranks[i].memory_allotted_mb);
    }
    if (right && least_allotted > 0)
        report_finding(f, "memory", VERDICT_OK, NULL, "a job has %.0f MB of a node's %.0f MB",
                       least_allotted, least);
    else if (right)
        report_finding(f, "memory", VERDICT_OK, NULL, "%.0f MB for %s", least,
                       probed_all_nodes(p, nodes, sizeof(nodes)));
}
