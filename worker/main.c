/* worker/main.c - dash-worker: a rank of a job, or, called as `dash-worker generate`, the model answering prompts. */
#include "core/log.h"
#include "proto/ranks.h"
#include "worker/generate.h"
#include "worker/ops/gemm.h"
#include "worker/worker.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* SIGTERM, SIGINT and SIGUSR1 are the coordinator's business: it finishes the step, and for that it needs its workers. */
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

int main(int argc, char **argv)
{
    gemm_init();
    if (argc > 1 && strcmp(argv[1], "generate") == 0)
        return generate_main(argc - 1, argv + 1);
    return serve(argc, argv);
}
