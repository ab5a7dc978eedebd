/* daemon/service/main.c - dashd: options, the order in which things are opened and closed, signals.
 *
 * SIGTERM, SIGINT, SIGHUP: take no more calls, leave the jobs running (--stop-jobs: stop them
 * first; a second signal kills them) and exit with 0.
 */
#include "core/file.h"
#include "core/log.h"
#include "core/paths.h"
#include "daemon/service/address.h"
#include "daemon/service/coordination.h"
#include "daemon/service/descriptors.h"
#include "daemon/service/fine_tuning.h"
#include "daemon/service/health.h"
#include "daemon/service/launch_local.h"
#include "core/host_addresses.h"
#include "daemon/service/reflection.h"
#include "daemon/service/slurm.h"
#include "daemon/service/watch.h"
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LISTEN_MAX = 8,
    SIGNALS = 3,
    OPTION_STATE = 256,
    OPTION_LISTEN,
    OPTION_MAX_RUNNING,
    OPTION_PROGRAMS,
    OPTION_STOP_JOBS,
    OPTION_STOP_GRACE,
    OPTION_RESTART_DELAY,
    OPTION_INSECURE_TCP,
    OPTION_REPORTS,
    OPTION_SLURM_POLL,
    OPTION_CHECK_MEMORY,
    OPTION_CHECK_TIME
};

struct options {
    char *state, *programs;
    const char *listen[LISTEN_MAX];
    char *default_address;
    int n_listen;
    const char *reports; /* "none", an address, or NULL: any */
    int max_running, stop_grace_s, restart_delay_ms, slurm_poll_s;
    struct check_limits check;
    bool stop_jobs, insecure_tcp;
};

struct dashd {
    struct options options;
    uv_loop_t loop;
    uv_signal_t signals[SIGNALS];
    struct store *store;
    struct runs *runs;
    struct rpc_server *rpc;
    struct rpc_server *reports; /* for coordinators on other nodes alone; NULL: none */
    char *served;               /* the first address, as coordinators here dial it */
    char **node_addresses;      /* those that coordinators on other nodes try */
    int stopping;               /* servers that have not stopped yet */
};

static const struct argp_option option_list[] = {
    {"state", OPTION_STATE, "DIR", 0,
     "Folder of the job store (default: $XDG_STATE_HOME/dash or "
     "~/.local/state/dash)",
     0},
    {"listen", OPTION_LISTEN, "ADDRESS", 0,
     "unix:/path or host:port; may be repeated (default: "
     "unix:STATE/dashd.sock)",
     0},
    {"max-running", OPTION_MAX_RUNNING, "N", 0, "Jobs that run at the same time (default: 1)", 0},
    {"programs", OPTION_PROGRAMS, "DIR", 0,
     "Folder of dash-coordinator and dash-worker (default: "
     "that of dashd)",
     0},
    {"stop-jobs", OPTION_STOP_JOBS, NULL, 0,
     "When dashd ends, stop running jobs after a checkpoint; the "
     "next dashd continues with them",
     0},
    {"stop-grace", OPTION_STOP_GRACE, "SECONDS", 0,
     "How long a job that is to stop may take before it is "
     "killed (default: 60)",
     0},
    {"restart-delay", OPTION_RESTART_DELAY, "MS", 0,
     "How long a job whose launch died waits before the next, in milliseconds; doubled with each "
     "death without progress (default: 1000)",
     0},
    {"insecure-tcp", OPTION_INSECURE_TCP, NULL, 0,
     "Listen on TCP addresses, loopback included: there is no authentication, so every user who "
     "reaches the port can run jobs as you",
     0},
    {"reports", OPTION_REPORTS, "ADDRESS", 0,
     "host:port at which coordinators on Slurm's nodes reach this dashd; it listens on this "
     "address alone, and answers no other call than theirs, which need a token. none: it does not "
     "listen, and reads their output folders (default: a free port of all addresses, where there "
     "is Slurm)",
     0},
    {"slurm-poll", OPTION_SLURM_POLL, "SECONDS", 0,
     "Longest time between two queries of Slurm's queue, one for all jobs (default: 30)", 0},
    {"check-memory", OPTION_CHECK_MEMORY, "MB", 0,
     "Memory that the check of a submitted job may use (default: a quarter of the machine's)", 0},
    {"check-time", OPTION_CHECK_TIME, "SECONDS", 0,
     "How long the check of a submitted job may take (default: 600)", 0},
    {0},
};

static int parse_count(struct argp_state *state, const char *text, const char *what)
{
    char *end;
    long n = strtol(text, &end, 10);

    if (end == text || *end || n < 1 || n > 1000000)
        argp_error(state, "%s must be a number from 1 on, not '%s'", what, text);
    return (int)n;
}

static char *must_copy(struct argp_state *state, const char *text)
{
    char *copy = strdup(text);

    if (!copy)
        argp_failure(state, 1, 0, "out of memory");
    return copy;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct options *o = state->input;

    switch (key) {
    case OPTION_STATE:
        free(o->state);
        o->state = must_copy(state, arg);
        break;
    case OPTION_LISTEN:
        if (o->n_listen == LISTEN_MAX)
            argp_error(state, "at most %d --listen", LISTEN_MAX);
        o->listen[o->n_listen++] = arg;
        break;
    case OPTION_MAX_RUNNING:
        o->max_running = parse_count(state, arg, "--max-running");
        break;
    case OPTION_PROGRAMS:
        free(o->programs);
        o->programs = realpath(arg, NULL);
        if (!o->programs)
            argp_error(state, "--programs: '%s' is not a folder", arg);
        break;
    case OPTION_STOP_JOBS:
        o->stop_jobs = true;
        break;
    case OPTION_STOP_GRACE:
        o->stop_grace_s = parse_count(state, arg, "--stop-grace");
        break;
    case OPTION_RESTART_DELAY:
        o->restart_delay_ms = parse_count(state, arg, "--restart-delay");
        break;
    case OPTION_INSECURE_TCP:
        o->insecure_tcp = true;
        break;
    case OPTION_REPORTS:
        o->reports = arg;
        break;
    case OPTION_SLURM_POLL:
        o->slurm_poll_s = parse_count(state, arg, "--slurm-poll");
        break;
    case OPTION_CHECK_MEMORY:
        o->check.memory_mb = parse_count(state, arg, "--check-memory");
        break;
    case OPTION_CHECK_TIME:
        o->check.seconds = parse_count(state, arg, "--check-time");
        break;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s'", arg);
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static const struct argp parser = {
    .options = option_list,
    .parser = parse_option,
    .doc = "Runs fine-tuning jobs: queues them, launches them and reports their progress.\v"
           "dashctl is its client.",
};

static int fill_options(struct options *o, struct err *err)
{
    char *absolute;
    int rc = 0;

    if (!o->state)
        rc = paths_state(&o->state, err);
    if (rc == 0)
        rc = file_make_folders(o->state, err);
    if (rc < 0)
        return rc;
    absolute = realpath(o->state, NULL);
    if (!absolute)
        return err_errno(err, "%s", o->state);
    free(o->state);
    o->state = absolute;
    if (!o->n_listen) {
        rc = paths_address(o->state, &o->default_address, err);
        o->listen[o->n_listen++] = o->default_address;
    }
    if (rc == 0 && !o->programs)
        rc = paths_programs(&o->programs, err);
    return rc;
}

enum { JOB_MESSAGE_BYTES = 4 << 20, REPORT_BYTES = 64 << 10 };

/* Clients are this user's own programs. */
static const struct rpc_limits client_limits = {
    .connections = {.connections = 256, .connections_of_peer = 128},
    .calls_of_connection = 256,
    .message_bytes = JOB_MESSAGE_BYTES,
    .memory_bytes = 128 << 20,
    .idle_ms = 300000,
};

/* Anybody on the cluster's network can dial; a coordinator has one call. */
static const struct rpc_limits report_limits = {
    .connections = {.connections = 512, .connections_of_peer = 64, .asks_for_proof = true},
    .calls_of_connection = 4,
    .message_bytes = REPORT_BYTES,
    .memory_bytes = 32 << 20,
    .idle_ms = 20000,
};

static int listen_all(struct dashd *d, struct err *err)
{
    int port = 0, rc, i;

    for (i = 0; i < d->options.n_listen; i++) {
        const char *address = d->options.listen[i];
        char *served;
        rc = address_check(address, d->options.insecure_tcp, err);
        if (rc == 0)
            rc = rpc_listen(d->rpc, address, &port, err);
        if (rc < 0)
            return rc;
        served = address_for_clients(address, port);
        if (!served)
            return err_nomem(err, strlen(address));
        if (!address_is_unix(address))
            log_warn("%s has no authentication: whoever reaches it can run jobs as you", served);
        if (i == 0)
            d->served = served;
        else
            free(served);
    }
    return 0;
}

/* Its own server: what listens on the nodes' network knows no call but a coordinator's. */
static int listen_for_reports(struct dashd *d, struct err *err)
{
    const char *named = d->options.reports;
    int port = 0, rc = 0;
    char *whole;

    if (named ? strcmp(named, "none") == 0 : !slurm_is_here())
        return 0;
    if (named)
        rc = address_check_reach(named, err);
    if (rc == 0)
        rc = rpc_open(&d->loop, &report_limits, &d->reports, err);
    if (rc == 0 && named)
        rc = rpc_listen(d->reports, named, &port, err);
    else if (rc == 0 && rpc_listen(d->reports, "[::]:0", &port, err) < 0)
        rc = rpc_listen(d->reports, "0.0.0.0:0", &port, err); /* a machine without IPv6 */
    if (rc < 0)
        return err_prefix(err, "--reports");
    log_info("coordinators on other nodes report to port %d", port);
    if (!named || address_is_any(named))
        return host_addresses_all(port, &d->node_addresses, err);
    whole = address_for_clients(named, port);
    rc = whole ? host_addresses_one(whole, &d->node_addresses, err) : err_nomem(err, strlen(named));
    free(whole);
    return rc;
}

static int register_all(struct dashd *d, struct err *err)
{
    int rc;

    rc = fine_tuning_register(d->rpc, d->runs, err);
    if (rc == 0)
        rc = coordination_register(d->rpc, d->runs, err);
    if (rc == 0 && d->reports)
        rc = coordination_register(d->reports, d->runs, err);
    if (rc == 0)
        rc = health_register(d->rpc, err);
    if (rc == 0)
        rc = reflection_register(d->rpc, err);
    return rc;
}

static void on_rpc_stopped(void *arg)
{
    struct dashd *d = arg;

    if (--d->stopping == 0)
        uv_stop(&d->loop);
}

static void on_jobs_left(void *arg)
{
    struct dashd *d = arg;

    d->stopping = rpc_is_started(d->rpc) + rpc_is_started(d->reports);
    if (rpc_is_started(d->rpc))
        rpc_stop(d->rpc, on_rpc_stopped, d);
    if (rpc_is_started(d->reports))
        rpc_stop(d->reports, on_rpc_stopped, d);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct dashd *d = signal->data;

    log_info("%s: dashd ends%s", strsignal(number),
             d->options.stop_jobs && runs_count(d->runs, false) ? " when its jobs have stopped"
                                                                : "");
    runs_stop(d->runs, d->options.stop_jobs, on_jobs_left, d);
}

static void watch_signals(struct dashd *d)
{
    static const int numbers[SIGNALS] = {SIGTERM, SIGINT, SIGHUP};
    int i;

    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error of write(2) like others */
    for (i = 0; i < SIGNALS; i++) {
        uv_signal_init(&d->loop, &d->signals[i]);
        d->signals[i].data = d;
        uv_signal_start(&d->signals[i], on_signal, numbers[i]);
    }
}

/* Everything of the store and the sockets is the owner's alone; what jobs write has the user's
 * umask. */
static int open_private(struct dashd *d, struct err *err)
{
    mode_t before = umask(0077);
    struct runs_options options = {0};
    int rc;

    rc = fill_options(&d->options, err);
    if (rc == 0)
        rc = store_open(d->options.state, &d->store, err);
    if (rc == 0)
        rc = rpc_open(&d->loop, &client_limits, &d->rpc, err);
    if (rc == 0)
        rc = listen_all(d, err);
    if (rc == 0)
        rc = listen_for_reports(d, err);
    umask(before);
    if (rc < 0)
        return rc;
    options.programs = d->options.programs;
    options.server = d->served;
    options.node_addresses = d->node_addresses;
    options.slurm_poll_s = d->options.slurm_poll_s;
    options.max_running = d->options.max_running;
    options.stop_grace_s = d->options.stop_grace_s;
    options.restart_delay_ms = d->options.restart_delay_ms;
    options.check = d->options.check;
    options.on_change = watch_wake;
    return runs_open(&d->loop, d->store, &options, &d->runs, err);
}

static int serve(struct dashd *d, struct err *err)
{
    int rc;

    rc = open_private(d, err);
    if (rc == 0)
        rc = register_all(d, err);
    if (rc < 0)
        return rc;
    watch_signals(d);
    rc = rpc_start(d->rpc, err);
    if (rc == 0 && d->reports)
        rc = rpc_start(d->reports, err);
    if (rc == 0)
        rc = runs_begin(d->runs, err);
    if (rc < 0) {
        on_jobs_left(d);
        if (d->stopping > 0)
            uv_run(&d->loop, UV_RUN_DEFAULT);
        return rc;
    }
    printf("dashd %s serves %s (state %s, at most %d running job%s)\n", DASH_VERSION, d->served,
           d->options.state, d->options.max_running, d->options.max_running == 1 ? "" : "s");
    fflush(stdout);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    return 0;
}

static void close_all(struct dashd *d)
{
    int i;

    rpc_close(d->rpc);
    rpc_close(d->reports);
    host_addresses_free(d->node_addresses);
    runs_close(d->runs);
    for (i = 0; i < SIGNALS; i++)
        if (d->signals[i].data)
            uv_close((uv_handle_t *)&d->signals[i], NULL);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    uv_loop_close(&d->loop);
    store_close(d->store);
    free(d->served);
    free(d->options.state);
    free(d->options.programs);
    free(d->options.default_address);
}

int main(int argc, char **argv)
{
    struct dashd d = {.options = {.max_running = 1,
                                  .stop_grace_s = 60,
                                  .restart_delay_ms = 1000,
                                  .slurm_poll_s = 30,
                                  .check = {.seconds = 600}}};
    struct err err;
    int rc;

    if (argc > 2 && strcmp(argv[1], "--gate") == 0)
        return local_gate(argv + 2);
    if (argc > 1 && strcmp(argv[1], "--check") == 0)
        return check_process(argc - 2, argv + 2);
    argp_program_version = "dashd " DASH_VERSION;
    argp_err_exit_status = 2;
    argp_parse(&parser, argc, argv, 0, NULL, &d.options);
    log_init("dashd", LOG_INFO);
    descriptors_raise();
    uv_loop_init(&d.loop);
    rc = serve(&d, &err);
    if (rc < 0)
        log_error("%s", err.text);
    close_all(&d);
    return rc < 0 ? 1 : 0;
}
