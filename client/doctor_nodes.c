/* client/doctor_nodes.c - see doctor.h: verdicts on what each node says of itself. A node that
 * deviates has a line of its own; where none does, one line stands for all. */
#include "client/doctor.h"
#include <stdio.h>
#include <string.h>

static const double rate_least = 0.5;       /* of what the CPU should give */
static const double idle_core = 0.5;        /* cores */
static const double memory_least_mb = 1000; /* less than that holds no model */

/* "n1", or "each of 4 nodes". */
static const char *all_of(const json_t *ranks, char *ret, size_t size)
{
    size_t n = json_array_size(ranks);

    if (n == 1)
        snprintf(ret, size, "%s", doctor_text(json_array_get(ranks, 0), "node"));
    else
        snprintf(ret, size, "each of %zu nodes", n);
    return ret;
}

/* A rank's cores; whether they are as they should be. */
static bool cores_are_right(struct doctor *d, const json_t *rank)
{
    const char *node = doctor_text(rank, "node");
    int cores = (int)doctor_number(rank, "cores"), online = (int)doctor_number(rank, "online"),
        allotted = (int)doctor_number(rank, "allotted");

    if (allotted == 0 || cores >= allotted)
        return true;
    if (cores == 1)
        report_finding(
            d, "cores", DOCTOR_PROBLEM,
            "look at TaskPlugin in slurm.conf and at cgroup.conf, and unset SLURM_CPU_BIND",
            "%s: a rank is bound to 1 core though Slurm gave the job %d", node, allotted);
    else if (cores == online)
        report_finding(
            d, "cores", DOCTOR_WARNING, "let an administrator correct CPUs in slurm.conf",
            "%s: Slurm gave the job %d cores, and the node has only %d", node, allotted, online);
    else
        report_finding(d, "cores", DOCTOR_WARNING, "name --cpus-per-task, or look at cgroup.conf",
                       "%s: a rank may use %d cores of the %d that Slurm gave the job", node, cores,
                       allotted);
    return false;
}

void doctor_cores(struct doctor *d, const json_t *ranks)
{
    const json_t *rank;
    bool right = true;
    int least = 0, most = 0;
    char who[300];
    size_t i;

    json_array_foreach(ranks, i, rank)
    {
        int cores = (int)doctor_number(rank, "threads");
        if (!doctor_has(rank, "threads"))
            continue;
        right &= cores_are_right(d, rank);
        least = least == 0 || cores < least ? cores : least;
        most = cores > most ? cores : most;
    }
    if (right && least == most)
        report_finding(d, "cores", DOCTOR_OK, NULL, "%d for %s", most,
                       all_of(ranks, who, sizeof(who)));
    else if (right)
        report_finding(d, "cores", DOCTOR_OK, NULL, "%d to %d for a rank", least, most);
}

/* Whether the threads have run as they should. That all ran on one core is nobody's fault where no
 * other core was idle. */
static bool threads_are_right(struct doctor *d, const json_t *rank)
{
    int threads = (int)doctor_number(rank, "threads"), on = (int)doctor_number(rank, "ran_on");
    const char *node = doctor_text(rank, "node");

    if (threads == 1 || (on > 1 && on >= threads / 2))
        return true;
    if (on == 0)
        report_finding(d, "threads", DOCTOR_PROBLEM, "look at `ulimit -u`",
                       "%s: %d threads cannot be started", node, threads);
    else if (on == 1 && doctor_number(rank, "idle") > idle_core)
        report_finding(d, "threads", DOCTOR_PROBLEM,
                       "something binds them: look at TaskPlugin in slurm.conf, at cgroups, and at "
                       "isolcpus in "
                       "/proc/cmdline",
                       "%s: %d threads all ran on one core, and others were idle", node, threads);
    else
        report_finding(d, "threads", DOCTOR_WARNING,
                       "check whether other jobs use the node: dash needs its cores to itself",
                       "%s: %d threads ran on %d %s only; the others were busy", node, threads, on,
                       on == 1 ? "core" : "cores");
    return false;
}

void doctor_threads(struct doctor *d, const json_t *ranks)
{
    const json_t *rank;
    bool right = true;
    size_t i;

    json_array_foreach(ranks, i, rank) if (doctor_has(rank, "ran_on")) right &=
        threads_are_right(d, rank);
    if (right)
        report_finding(d, "threads", DOCTOR_OK, NULL, "a rank's threads run on cores of their own");
}

static bool rate_is_right(struct doctor *d, const json_t *rank, const char *key,
                          const char *expected_key, const char *with)
{
    double rate = doctor_number(rank, key), expected = doctor_number(rank, expected_key);

    if (rate >= rate_least * expected)
        return true;
    report_finding(
        d, "rate", DOCTOR_WARNING,
        "are there other jobs on the node? an OpenBLAS without this CPU's kernels? a power "
        "cap?",
        "%s: matrices are multiplied at %.0f GFLOP/s with %s; this CPU should give about "
        "%.0f",
        doctor_text(rank, "node"), rate, with, expected);
    return false;
}

static void print_rate(struct doctor *d, const json_t *rank, bool is_slowest)
{
    int threads = (int)doctor_number(rank, "threads");
    char all[100] = "";

    if (threads > 1)
        snprintf(all, sizeof(all), ", %.0f with all %d (about %.0f)", doctor_number(rank, "all"),
                 threads, doctor_number(rank, "all_expected"));
    report_finding(
        d, "rate", DOCTOR_OK, NULL,
        "%s multiplies matrices at %.0f GFLOP/s with one thread (should be about %.0f)%s",
        is_slowest ? "the slowest node" : doctor_text(rank, "node"), doctor_number(rank, "one"),
        doctor_number(rank, "one_expected"), all);
}

void doctor_rates(struct doctor *d, const json_t *ranks)
{
    const json_t *rank, *slowest = NULL;
    bool right = true;
    size_t i;

    json_array_foreach(ranks, i, rank)
    {
        if (!doctor_has(rank, "one"))
            continue;
        right &= rate_is_right(d, rank, "one", "one_expected", "one thread");
        right &= rate_is_right(d, rank, "all", "all_expected", "all threads");
        if (!slowest || doctor_number(rank, "all") < doctor_number(slowest, "all"))
            slowest = rank;
    }
    if (right && slowest)
        print_rate(d, slowest, json_array_size(ranks) > 1);
}

void doctor_cpus(struct doctor *d, const json_t *ranks)
{
    const json_t *first = NULL, *rank;
    bool same = true;
    size_t i;

    json_array_foreach(ranks, i, rank)
    {
        if (!doctor_has(rank, "cpu"))
            continue;
        if (!first)
            first = rank;
        if (strcmp(doctor_text(first, "cpu"), doctor_text(rank, "cpu")) == 0)
            continue;
        same = false;
        report_finding(
            d, "cpu", DOCTOR_WARNING,
            "choose nodes of one kind (slurm.constraint or slurm.partition): the bits of a "
            "result are the same on one kind of CPU only",
            "%s has another CPU (%s) than %s (%s)", doctor_text(rank, "node"),
            doctor_text(rank, "cpu"), doctor_text(first, "node"), doctor_text(first, "cpu"));
    }
    if (same && first)
        report_finding(d, "cpu", DOCTOR_OK, NULL, "%s, for which this build is made",
                       doctor_text(first, "cpu"));
}

void doctor_memory(struct doctor *d, const json_t *ranks)
{
    double least = 0, least_allotted = 0;
    const json_t *rank;
    bool right = true;
    char who[300];
    size_t i;

    json_array_foreach(ranks, i, rank)
    {
        double all = doctor_number(rank, "memory"),
               allotted = doctor_number(rank, "memory_allotted");
        if (!doctor_has(rank, "memory"))
            continue;
        least = least == 0 || all < least ? all : least;
        if (allotted > 0 && (least_allotted == 0 || allotted < least_allotted))
            least_allotted = allotted;
        if ((allotted > 0 ? allotted : all) >= memory_least_mb)
            continue;
        right = false;
        report_finding(d, "memory", DOCTOR_WARNING,
                       "ask for more in the job file (slurm.mem), or for whole nodes",
                       "%s: a job has %.0f MB of %.0f MB", doctor_text(rank, "node"),
                       allotted > 0 ? allotted : all, all);
    }
    if (right && least_allotted > 0)
        report_finding(d, "memory", DOCTOR_OK, NULL, "a job has %.0f MB of a node's %.0f MB",
                       least_allotted, least);
    else if (right)
        report_finding(d, "memory", DOCTOR_OK, NULL, "%.0f MB for %s", least,
                       all_of(ranks, who, sizeof(who)));
}
