/* client/cmd_doctor.c - dashctl doctor: checks a site, and suggests fixes. doctor/doctor.h
 * describes its parts. */
#include "client/client.h"
#include "client/doctor/doctor.h"
#include "client/interrupt.h"
#include "core/paths.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_PARTITION = 256, OPTION_ACCOUNT, OPTION_CPUS, OPTION_FOLDER, OPTION_TIMEOUT };
enum { NODES_MAX = 4096, CPUS_MAX = 4096, TIMEOUT_MAX = 7 * 24 * 3600 };

static const struct argp_option options[] = {
    {"local", 'l', NULL, 0, "Check only this machine, even if Slurm is installed", 0},
    {"partition", OPTION_PARTITION, "NAME", 0, "Slurm's partition (default: Slurm's own)", 1},
    {"account", OPTION_ACCOUNT, "NAME", 0, "Slurm's account (default: Slurm's own)", 1},
    {"nodes", 'n', "N", 0, "Number of nodes to check (default 2)", 1},
    {"cpus-per-task", OPTION_CPUS, "N", 0,
     "Cores on each node (default: whole nodes, for this job alone)", 1},
    {"folder", OPTION_FOLDER, "FOLDER", 0,
     "Folder that all nodes should share (default: the current one)", 1},
    {"timeout", OPTION_TIMEOUT, "SECONDS", 0,
     "How long the job may be pending (default 300); then it is cancelled", 1},
    {0},
};

static int whole_number(struct argp_state *state, const char *what, const char *arg, int most)
{
    char *end;
    long n = strtol(arg, &end, 10);

    if (end == arg || *end || n < 1 || n > most)
        argp_error(state, "%s must be an integer from 1 to %d, not '%s'", what, most, arg);
    return (int)n;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct doctor *d = state->input;

    switch (key) {
    case 'l':
        d->local = true;
        return 0;
    case OPTION_PARTITION:
        d->partition = arg;
        return 0;
    case OPTION_ACCOUNT:
        d->account = arg;
        return 0;
    case 'n':
        d->nodes = whole_number(state, "--nodes", arg, NODES_MAX);
        return 0;
    case OPTION_CPUS:
        d->cpus_per_task = whole_number(state, "--cpus-per-task", arg, CPUS_MAX);
        return 0;
    case OPTION_FOLDER:
        d->folder = arg;
        return 0;
    case OPTION_TIMEOUT:
        d->timeout_s = whole_number(state, "--timeout", arg, TIMEOUT_MAX);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

struct both {
    struct client *client;
    struct doctor *doctor;
};

static error_t parse_both(int key, char *arg, struct argp_state *state)
{
    struct both *b = state->input;

    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = b->client;
        state->child_inputs[1] = b->doctor;
        return 0;
    }
    if (key == ARGP_KEY_ARG)
        argp_error(state, "doctor takes no argument, but got '%s'?", arg);
    return ARGP_ERR_UNKNOWN;
}

/* ---- the command ---- */

static int examine(struct doctor *d)
{
    struct err err;

    if (paths_programs(&d->programs, &err) < 0)
        return client_fail(&err);
    interrupt_catch();
    check_programs(d);
    if (d->local)
        check_machine(d);
    else
        check_slurm(d);
    findings_finish(&d->findings);
    if (d->was_interrupted)
        return client_fail_with("interrupted");
    if (d->findings.failed)
        return client_fail_with("out of memory: findings are missing");
    return findings_have_problem(&d->findings) ? EXIT_FAILED : EXIT_OK;
}

int cmd_doctor(struct client *c, int argc, char **argv)
{
    const struct argp own = {.options = options, .parser = parse};
    const struct argp_child children[] = {{&client_argp, 0, NULL, 0}, {&own, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .parser = parse_both,
        .doc = "Check this machine and cluster, and suggest fixes: the programs, MPI, cores and "
               "their speed; where Slurm is installed, a job of a few seconds on some nodes also "
               "checks what connects them. Exit status 1: there is a PROBLEM.",
        .children = children};
    struct doctor d = {.folder = ".", .nodes = 2, .timeout_s = 300, .findings = {.out = stdout}};
    struct both both = {c, &d};
    char *folder;
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &both);
    d.findings.json = c->json;
    folder = realpath(d.folder, NULL);
    if (folder) /* if it is missing, meeting_create() reports it */
        d.folder = folder;
    d.local |= !paths_has_program("sbatch");
    status = examine(&d);
    findings_free(&d.findings);
    free(d.programs);
    free(folder);
    return status;
}
