/* daemon/coordinator/main.c - dash-coordinator, rank 0 of a job. Exit codes: 0 the adapter is
 * written, 3 stopped after a checkpoint, 1 failed. SIGTERM, SIGINT and SIGUSR1, which srun and
 * mpirun pass on to all ranks: finish the step, write a checkpoint, end. */
#include "core/build.h"
#include "core/log.h"
#include "daemon/coordinator/train.h"
#include "proto/ranks.h"
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>

enum { EXIT_STOPPED = 3 };

static volatile sig_atomic_t stop;

static void on_signal(int number)
{
    (void)number;
    stop = 1;
}

enum { OPTION_OUTPUT = 1, OPTION_REPORT };

static const struct argp_option options[] = {
    {"output", OPTION_OUTPUT, "FOLDER", 0, "the job's output folder; it holds job.yaml", 0},
    {"report", OPTION_REPORT, "FILE", 0,
     "where dashd is and what proves that this is its job, as dashd wrote it; without it only "
     "files are written",
     0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct train_options *o = state->input;

    switch (key) {
    case OPTION_OUTPUT:
        o->output = arg;
        return 0;
    case OPTION_REPORT:
        o->contact = arg;
        return 0;
    case ARGP_KEY_END:
        if (!o->output)
            argp_error(state, "--output is missing");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

int main(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Rank 0 of a fine-tuning job. dashd starts it; it is rarely run by hand.",
    };
    struct train_options o = {.stop = &stop};
    enum train_outcome outcome = TRAIN_DONE;
    struct ranks *ranks = NULL;
    char *output, version[100];
    struct err err;

    log_init("coordinator", LOG_INFO);
    snprintf(version, sizeof(version), "dash-coordinator build %s\ndash-coordinator %s",
             build_identity, DASH_VERSION);
    argp_program_version = version;
    argp_parse(&argp, argc, argv, 0, NULL, &o);
    output = realpath(o.output, NULL);
    if (output) /* if it is missing, load_job() reports it */
        o.output = output;
    catch_signals();
    if (ranks_open(&argc, &argv, RANK_COORDINATOR, &ranks, &err) < 0) {
        train_refuse(&o, &err);
        free(output);
        return EXIT_FAILURE;
    }
    if (train_run(ranks, &o, &outcome, &err) < 0)
        ranks_abort(ranks, EXIT_FAILURE);
    ranks_close(ranks);
    free(output);
    return outcome == TRAIN_STOPPED ? EXIT_STOPPED : EXIT_SUCCESS;
}
