/* client/plan_nodes.c - see plan_nodes.h. What is not known of other nodes is taken from this
 * machine or assumed, and the origin says so. */
#include "client/plan_nodes.h"
#include "client/node_rate.h"
#include "client/subprocess.h"
#include "core/cpus.h"
#include "core/job/job_read.h"
#include "core/job/job_slurm.h"
#include "core/memory.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SINFO_MS = 30 * 1000 };

static const double ASSUMED_GBITS = 10;

/* ---- options ---- */

static int fail_usage(const struct problems *problems, const struct err *err)
{
    client_fail_problems(problems, err);
    return EXIT_USAGE;
}

static int read_options(struct plan_nodes *n)
{
    struct problems problems = {0};
    struct err err = {0}, of_counts = {0};
    int rc = 0, status = EXIT_OK;

    if (n->node)
        rc = node_parse(n->node, &n->found.node, &problems, &err);
    if (n->counts && node_counts_parse(n->counts, n->found.counts, PLAN_COUNTS_MAX,
                                       &n->found.n_counts, &of_counts) < 0) {
        problems_add(&problems, NULL, 0, "%s", of_counts.text);
        rc = of_counts.code;
        err = of_counts;
    }
    if (rc < 0)
        status = fail_usage(&problems, &err);
    problems_free(&problems);
    if (n->node && n->found.n_counts == 0)
        n->found.counts[n->found.n_counts++] = 1;
    return status;
}

/* ---- this machine ---- */

static bool measure_machine(struct plan_nodes *n, struct node *ret)
{
    struct err err;

    *ret = (struct node){cpus_allowed(), memory_total(), 0, ASSUMED_GBITS};
    if (node_rate(&ret->gflops, &err) == 0)
        return true;
    snprintf(n->origin, sizeof(n->origin), "%.290s", err.text);
    return false;
}

static void find_machine(struct plan_nodes *n)
{
    struct node *node = &n->found.node;

    if (!measure_machine(n, node))
        return;
    if (n->found.n_counts == 0)
        snprintf(n->origin, sizeof(n->origin), "this machine, whose %d cores reach %.0f GFLOP/s",
                 node->cores, node->gflops);
    else
        snprintf(n->origin, sizeof(n->origin), "as this machine; the network is assumed");
}

/* ---- Slurm ---- */

bool plan_nodes_read_sinfo(const char *text, const char *partition, struct node *ret)
{
    struct node n = {0};
    const char *at, *end;

    for (at = text; at && *at; at = *end ? end + 1 : end) {
        char name[256], is_default = '\0';
        double cores, megabytes;
        size_t len;
        end = at + strcspn(at, "\n");
        if (sscanf(at, "%255s %lf %lf", name, &cores, &megabytes) != 3 || cores < 1)
            continue;
        len = strlen(name);
        if (name[len - 1] == '*') {
            is_default = '*';
            name[len - 1] = '\0';
        }
        if (partition ? strcmp(name, partition) != 0 : !is_default)
            continue;
        if (n.cores == 0 || cores < n.cores)
            n.cores = (int)cores;
        if (n.bytes == 0 || megabytes * (1 << 20) < n.bytes)
            n.bytes = megabytes * (1 << 20);
    }
    if (n.cores > 0)
        *ret = n;
    return n.cores > 0;
}

static bool ask_sinfo(const char *partition, struct node *ret)
{
    const char *const argv[] = {"sinfo", "-h", "-N", "-o", "%P %c %m", NULL};
    const struct subprocess p = {.argv = argv, .timeout_ms = SINFO_MS, .until_interrupt = true};
    struct subprocess_said said;
    struct err ignored;
    bool found;

    if (subprocess_run(&p, &said, &ignored) < 0)
        return false;
    found = said.status == 0 && plan_nodes_read_sinfo(said.out, partition, ret);
    subprocess_free(&said);
    return found;
}

static void find_partition(struct plan_nodes *n, const struct job_slurm *slurm)
{
    double allotted = job_slurm_memory(slurm);
    struct node machine, *node = &n->found.node;

    if (!ask_sinfo(slurm->partition, node)) {
        *node = (struct node){.cores = 1};
        snprintf(n->origin, sizeof(n->origin),
                 "sinfo names no nodes of %s%.100s: describe one with --node",
                 slurm->partition ? "partition " : "a default partition",
                 slurm->partition ? slurm->partition : "");
        return;
    }
    if (allotted > 0 && allotted < node->bytes)
        node->bytes = allotted;
    if (!measure_machine(n, &machine))
        return;
    node->gflops = machine.gflops / machine.cores * node->cores;
    node->gbits = ASSUMED_GBITS;
    snprintf(n->origin, sizeof(n->origin),
             "nodes of %s%.100s with %d cores that are as fast as one here, %.0f GFLOP/s a node, "
             "and an assumed network of %.0f Gbit/s",
             slurm->partition ? "partition " : "the default partition",
             slurm->partition ? slurm->partition : "", node->cores, node->gflops, node->gbits);
}

/* ---- the choice ---- */

static bool is_elsewhere(const struct client *c)
{
    return client_has_dashd(c) && strncmp(c->server, "unix:", 5) != 0;
}

static void find_for_job(struct plan_nodes *n, const struct job_file *f)
{
    struct problems ignored = {0}; /* the check reports them */
    struct job *job = NULL;
    struct err err;

    if (job_read(f->text, f->path, f->directory, (const char *const *)f->sets.items, f->sets.n,
                 &job, &ignored, &err) == 0 &&
        job->launcher == LAUNCHER_SLURM)
        find_partition(n, &job->slurm);
    else
        find_machine(n);
    job_free(job);
    problems_free(&ignored);
}

int plan_nodes_find(struct client *c, const struct job_file *f, struct plan_nodes *n)
{
    int status = read_options(n);

    n->found.origin = n->origin;
    if (status != EXIT_OK)
        return status;
    if (n->node) {
        snprintf(n->origin, sizeof(n->origin), "as described");
    } else if (is_elsewhere(c)) {
        n->found.node = (struct node){.cores = 1};
        snprintf(n->origin, sizeof(n->origin),
                 "dashd may be on another machine: describe its nodes with --node");
    } else {
        find_for_job(n, f);
    }
    return EXIT_OK;
}
