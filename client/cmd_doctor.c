/* client/cmd_doctor.c - dashctl doctor: checks a site, and says what to fix. See doctor.h for its
 * parts. */
#include "client/doctor.h"
#include "client/printable.h"
#include "client/interrupt.h"
#include "core/paths.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPTION_PARTITION = 256, OPTION_ACCOUNT, OPTION_CPUS, OPTION_FOLDER, OPTION_TIMEOUT };
enum { NODES_MAX = 4096, CPUS_MAX = 4096, TIMEOUT_MAX = 7 * 24 * 3600 };

static const struct argp_option options[] = {
    {"local", 'l', NULL, 0, "Look at this machine alone, Slurm or not", 0},
    {"partition", OPTION_PARTITION, "NAME", 0, "Slurm's partition (default: Slurm's own)", 1},
    {"account", OPTION_ACCOUNT, "NAME", 0, "Slurm's account (default: Slurm's own)", 1},
    {"nodes", 'n', "N", 0, "Nodes to look at (default 2)", 1},
    {"cpus-per-task", OPTION_CPUS, "N", 0, "Cores a node (default: all, and the node to itself)",
     1},
    {"folder", OPTION_FOLDER, "FOLDER", 0,
     "One that all nodes should share (default: the current one)", 1},
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
        argp_error(state, "doctor takes options only: what is '%s'?", arg);
    return ARGP_ERR_UNKNOWN;
}

/* ---- findings ---- */

static const char *const verdicts[] = {"ok", "warning", "PROBLEM"};

void report_finding(struct doctor *d, const char *check, enum doctor_verdict verdict,
                    const char *remedy, const char *fmt, ...)
{
    char words[2000], *at;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(words, sizeof(words), fmt, ap);
    va_end(ap);
    for (at = words; *at; at++) /* one line a check */
        if (*at == '\n' || *at == '\r')
            *at = ' ';
    d->has_problem |= verdict == DOCTOR_PROBLEM;
    if (d->json) {
        json_array_append_new(d->findings,
                              json_pack("{s:s, s:s, s:s, s:s?}", "check", check, "verdict",
                                        verdicts[verdict], "words", words, "remedy", remedy));
        return;
    }
    printf("%-8s %s: ", verdicts[verdict], check);
    printable_print(stdout, words);
    putchar('\n');
    if (remedy)
        printf("         %s\n", remedy);
    fflush(stdout);
}

void doctor_note(const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
}

/* ---- the command ---- */

static int examine(struct doctor *d)
{
    struct err err;

    if (paths_programs(&d->programs, &err) < 0)
        return client_fail(&err);
    interrupt_catch();
    doctor_programs(d);
    if (d->local)
        doctor_local(d);
    else
        doctor_slurm(d);
    if (d->json) {
        json_dumpf(d->findings, stdout, JSON_INDENT(1));
        puts("");
    }
    if (d->was_interrupted)
        return client_fail_with("interrupted");
    return d->has_problem ? EXIT_FAILED : EXIT_OK;
}

int cmd_doctor(struct client *c, int argc, char **argv)
{
    const struct argp own = {.options = options, .parser = parse};
    const struct argp_child children[] = {{&client_argp, 0, NULL, 0}, {&own, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .parser = parse_both,
        .doc = "Checks this site and says what to fix: the programs, MPI, cores and their "
               "speed; where there is Slurm, by a job of a few seconds on some nodes also what "
               "lies between them. Exit status 1: something is a PROBLEM.",
        .children = children};
    struct doctor d = {.folder = ".", .nodes = 2, .timeout_s = 300};
    struct both both = {c, &d};
    char *folder;
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &both);
    d.json = c->json;
    folder = realpath(d.folder, NULL);
    if (folder) /* if it is missing, doctor_meeting_make() reports it */
        d.folder = folder;
    d.local |= !paths_has_program("sbatch");
    d.findings = json_array();
    status = d.findings ? examine(&d) : client_fail_with("out of memory");
    json_decref(d.findings);
    free(d.programs);
    free(folder);
    return status;
}
