/* daemon/service/main.c - dashd: its commands, the order in which things are opened and closed,
 * signals.
 *
 * SIGTERM, SIGINT, SIGHUP: take no more calls, leave the jobs running (--stop-jobs: stop them
 * first; a second signal kills them) and exit with 0. Their handles stay until the process has
 * ended: libuv gives a signal whose last handle is closed its default action back, and one that
 * came then would end dashd before its store is closed.
 */
#include "core/log.h"
#include "core/memory.h"
#include "daemon/service/after/follow_ups.h"
#include "daemon/service/descriptors.h"
#include "daemon/service/launch_local.h"
#include "daemon/service/memory_group.h"
#include "daemon/service/operator.h"
#include "daemon/service/options.h"
#include "daemon/service/servers.h"
#include "daemon/service/watch.h"
#include "daemon/service/watch_list.h"
#include <argp.h>
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SIGNALS = 3 };

struct dashd {
    struct options options;
    uv_loop_t loop;
    uv_signal_t signals[SIGNALS];
    struct store *store;
    struct runs *runs;
    struct servers *servers;
    char *groups; /* memory_group_parent() */
};

static void on_servers_stopped(void *arg)
{
    struct dashd *d = arg;

    uv_stop(&d->loop);
}

static void on_jobs_left(void *arg)
{
    struct dashd *d = arg;

    servers_stop(d->servers, on_servers_stopped, d);
}

static void on_signal(uv_signal_t *signal, int number)
{
    struct dashd *d = signal->data;

    log_info("%s: dashd ends%s", strsignal(number),
             d->options.stop_jobs && runs_count(d->runs, false) ? " when its jobs have stopped"
                                                                : "");
    runs_stop(d->runs, d->options.stop_jobs, on_jobs_left, d);
}

static void on_late_signal(uv_signal_t *signal, int number)
{
    (void)signal;
    (void)number;
}

static void on_change(struct run *run)
{
    watch_wake(run);
    watch_list_wake(run->runs);
    if (run->runs->follow_ups)
        follow_ups_look(run->runs->follow_ups, run);
}

static void on_delete(struct run *run)
{
    watch_end(run);
    watch_list_wake(run->runs);
    if (run->runs->follow_ups)
        follow_ups_forget(run->runs->follow_ups, run);
}

static int open_follow_ups(struct dashd *d, struct err *err)
{
    int rc, i;

    assert(d->runs);
    rc = follow_ups_open(&d->loop, d->options.state, &d->runs->follow_ups, err);
    for (i = 0; rc == 0 && i < d->runs->n; i++)
        follow_ups_look(d->runs->follow_ups, d->runs->items[i]);
    return rc;
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

    rc = options_fill(&d->options, err);
    if (rc == 0)
        rc = store_open(d->options.state, &d->store, err);
    if (rc == 0)
        rc = servers_open(&d->loop, &d->options, &d->servers, err);
    umask(before);
    if (rc < 0)
        return rc;
    servers_addresses(d->servers, &options);
    options.programs = d->options.programs;
    options.user = d->options.user;
    options.slurm_poll_s = d->options.slurm_poll_s;
    options.max_running = d->options.max_running;
    options.memory_bytes =
        d->options.memory_mb ? (double)d->options.memory_mb * 1e6 : memory_total();
    d->groups = memory_group_parent("/sys/fs/cgroup");
    options.groups = d->groups;
    options.stop_grace_s = d->options.stop_grace_s;
    options.restart_delay_ms = d->options.restart_delay_ms;
    options.check = d->options.check;
    options.check.roots = &d->options.roots;
    options.on_change = on_change;
    options.on_delete = on_delete;
    return runs_open(&d->loop, d->store, &options, &d->runs, err);
}

static int serve(struct dashd *d, struct err *err)
{
    int rc;

    rc = open_private(d, err);
    if (rc == 0)
        rc = open_follow_ups(d, err);
    if (rc == 0)
        rc = watch_list_open(d->runs, err);
    if (rc == 0)
        rc = servers_register(d->servers, d->runs, err);
    if (rc < 0)
        return rc;
    watch_signals(d);
    rc = servers_start(d->servers, err);
    if (rc == 0)
        rc = runs_begin(d->runs, err);
    if (rc < 0) {
        on_jobs_left(d);
        uv_run(&d->loop, UV_RUN_DEFAULT);
        return rc;
    }
    printf("dashd %s serves %s (state %s, at most %d running job%s)\n", DASH_VERSION,
           servers_words(d->servers), d->options.state, d->options.max_running,
           d->options.max_running == 1 ? "" : "s");
    fflush(stdout);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    return 0;
}

static void close_all(struct dashd *d)
{
    int i;

    for (i = 0; i < SIGNALS && d->signals[i].data; i++) {
        uv_signal_start(&d->signals[i], on_late_signal, d->signals[i].signum);
        uv_unref((uv_handle_t *)&d->signals[i]);
    }
    if (d->runs) {
        follow_ups_close(d->runs->follow_ups);
        d->runs->follow_ups = NULL;
    }
    servers_close(d->servers);
    if (d->runs)
        watch_list_close(d->runs);
    runs_close(d->runs);
    uv_run(&d->loop, UV_RUN_DEFAULT);
    store_close(d->store);
    options_free(&d->options);
    free(d->groups);
}

int main(int argc, char **argv)
{
    static struct dashd d = {.options = {.max_running = 1,
                                         .stop_grace_s = 60,
                                         .restart_delay_ms = 1000,
                                         .slurm_poll_s = 30,
                                         .chat_models = 1,
                                         .chat_silence_s = 600,
                                         .check = {.seconds = 600}}};
    struct err err;
    int rc;

    if (argc > 2 && strcmp(argv[1], "--gate") == 0)
        return local_gate(argv + 2);
    if (argc > 1 && strcmp(argv[1], "--check") == 0)
        return check_process(argc - 2, argv + 2);
    argp_err_exit_status = 2;
    if (argc > 1 && strcmp(argv[1], "init") == 0)
        return operator_init(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "token") == 0)
        return operator_token(argc - 1, argv + 1);
    argp_program_version = "dashd " DASH_VERSION;
    options_parse(&d.options, argc, argv);
    log_init("dashd", LOG_INFO);
    descriptors_raise();
    uv_loop_init(&d.loop);
    rc = serve(&d, &err);
    if (rc < 0)
        log_error("%s", err.text);
    close_all(&d);
    return rc < 0 ? 1 : 0;
}
