/* worker/main.c - dash-worker: a rank of a job, or, called as `dash-worker generate`, the model
 * answering prompts, as `dash-worker eval`, the model being measured, or, as `dash-worker probe`, a
 * check of the nodes. This file is compiled for
 * every CPU of the architecture: it reports that the rest is for another. */
#include "core/build.h"
#include "core/slurm/environment.h"
#include "core/cpu.h"
#include "core/log.h"
#include "proto/ranks.h"
#include "worker/chat.h"
#include "worker/eval.h"
#include "worker/generate.h"
#include "worker/spectrum.h"
#include "worker/probe.h"
#include "worker/worker.h"
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* SIGTERM, SIGINT and SIGUSR1 are the coordinator's business: it finishes the step, and for that it
 * needs its workers. */
static int serve(int argc, char **argv)
{
    struct ranks *ranks = NULL;
    struct err err;

    log_init("worker", LOG_INFO);
    signal(SIGUSR1, SIG_IGN);
    if (ranks_open(&argc, &argv, RANK_WORKER, &ranks, &err) < 0) {
        log_error("%s", err.text);
        return EXIT_FAILURE;
    }
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    if (worker_serve(ranks, &err) < 0) {
        log_error("rank %d: %s", ranks_index(ranks), err.text);
        ranks_abort(ranks, EXIT_FAILURE);
    }
    ranks_close(ranks);
    return EXIT_SUCCESS;
}

/* Without it the process would die of SIGILL, sooner or later. */
static bool cpu_is_right(void)
{
    const char *lacking = cpu_lacks();
    char model[128], node[128];

    if (!lacking)
        return true;
    cpu_model(model, sizeof(model));
    environment_node(node, sizeof(node));
    fprintf(stderr,
            "dash-worker: the CPU of %s (%s) has no %s: built for another CPU: build with "
            "-DDASH_MARCH=x86-64-v3, or what all nodes have\n",
            node, model, lacking);
    return false;
}

/* A rank is started without arguments: any are a person's. */
static void handle_options(int argc, char **argv)
{
    static const struct argp argp = {
        .args_doc = "\ngenerate --model PATH [PROMPT...]\neval [FOLDER]\nprobe --folder FOLDER",
        .doc = "A rank of a fine-tuning job, which dashd or a batch script starts by mpirun or "
               "srun; `generate` lets a model answer prompts, `eval` measures it, `probe` examines "
               "nodes. `dash-worker generate --help`, `dash-worker eval --help` and `dash-worker "
               "probe --help` describe them.",
    };
    static char version[100];

    snprintf(version, sizeof(version), "dash-worker build %s\ndash-worker %s", build_identity,
             DASH_VERSION);
    argp_program_version = version;
    argp_err_exit_status = 2;
    argp_parse(&argp, argc, argv, 0, NULL, NULL);
}

int main(int argc, char **argv)
{
    if (!cpu_is_right())
        return EXIT_FAILURE;
    spectrum_init();
    if (argc > 1 && strcmp(argv[1], "generate") == 0)
        return generate_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "eval") == 0)
        return eval_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "chat") == 0)
        return chat_main(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "probe") == 0)
        return probe_main(argc - 1, argv + 1);
    handle_options(argc, argv);
    return serve(argc, argv);
}
