/* daemon/service/launch_local.c - see launch_local.h. A process is known by its start time and its
 * mark, since its number may be another's later; /proc is asked for the ranks, whose mpirun may
 * have died before them. */
#include "daemon/service/launch_local.h"
#include "core/slurm/environment.h"
#include "core/file.h"
#include "daemon/service/descriptors.h"
#include "daemon/service/procs.h"
#include "proto/contact.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

extern char **environ;

enum { ARGS_MAX = 40, POLL_MS = 200, KILL_AGAIN_MS = 100, GATE_GO = 'g' };
enum {
    RANKS_MS = 2000,    /* between looks for living ranks */
    LOOKS_WITHOUT = 5,  /* that many without any, after there were some: mpirun hangs */
    LOOKS_AT_START = 60 /* before there were any */
};

struct local {
    struct launch base; /* first: a struct launch of this kind is one of these */
    uv_loop_t *loop;
    long pid; /* of mpirun, which leads its session */
    uint64_t start;
    char mark[LOCAL_MARK_BYTES]; /* DASH_LAUNCH=...: in the environment of all its processes */
    launch_end_fn *on_end;
    void *arg;
    struct launch_end end;

    uv_process_t process; /* a child of ours */
    uv_pipe_t gate;
    uv_write_t go;
    uv_poll_t poll; /* an adopted one, through a pidfd; else the timer looks */
    int pidfd;
    uv_timer_t timer, ranks;
    bool had_ranks;
    int looks_without;
    bool has_process, has_gate, has_poll;
    int open_handles;
};

static void on_handle_closed(uv_handle_t *handle)
{
    struct local *l = handle->data;

    if (--l->open_handles > 0)
        return;
    if (l->pidfd >= 0)
        close(l->pidfd);
    free(l);
}

static void close_handle(struct local *l, uv_handle_t *handle, bool is_open)
{
    if (!is_open)
        return;
    handle->data = l;
    uv_close(handle, on_handle_closed);
}

static void forget(struct launch *launch)
{
    struct local *l = (struct local *)launch;

    l->open_handles = 2 + l->has_process + l->has_gate + l->has_poll;
    close_handle(l, (uv_handle_t *)&l->process, l->has_process);
    close_handle(l, (uv_handle_t *)&l->gate, l->has_gate);
    close_handle(l, (uv_handle_t *)&l->poll, l->has_poll);
    close_handle(l, (uv_handle_t *)&l->timer, true);
    close_handle(l, (uv_handle_t *)&l->ranks, true);
}

/* Kills what is left of the session; true when nothing is. */
static bool session_is_empty(struct local *l)
{
    long pids[64];
    int n = procs_of_session(l->pid, l->mark, NULL, pids, 64), i;

    for (i = 0; i < n; i++)
        kill((pid_t)pids[i], SIGKILL);
    return n == 0;
}

static void settle(uv_timer_t *timer)
{
    struct local *l = timer->data;
    launch_end_fn *on_end = l->on_end;
    struct launch_end end = l->end;
    void *arg = l->arg;

    if (!session_is_empty(l)) {
        uv_timer_start(&l->timer, settle, KILL_AGAIN_MS, 0);
        return;
    }
    forget(&l->base);
    on_end(arg, &end);
}

static void on_exit_of_child(uv_process_t *process, int64_t status, int signal)
{
    struct local *l = process->data;

    l->end.known = true;
    l->end.status = (int)status;
    l->end.signal = signal;
    uv_timer_start(&l->timer, settle, 0, 0);
}

static bool is_running(const struct local *l)
{
    uint64_t start;

    return procs_start_time(l->pid, &start) && start == l->start;
}

static void look_again(uv_timer_t *timer)
{
    struct local *l = timer->data;

    if (is_running(l)) {
        uv_timer_start(&l->timer, look_again, POLL_MS, 0);
        return;
    }
    if (l->has_poll)
        uv_poll_stop(&l->poll);
    settle(&l->timer);
}

static void on_pidfd(uv_poll_t *poll, int status, int events)
{
    struct local *l = poll->data;

    (void)status;
    (void)events;
    uv_poll_stop(&l->poll);
    look_again(&l->timer);
}

static void stop(struct launch *launch)
{
    struct local *l = (struct local *)launch;
    long pids[4];
    int n = procs_of_session(l->pid, l->mark, "dash-coordinator", pids, 4), i;

    /* mpirun names the coordinator in its arguments too, but not as one of its first two. */
    for (i = 0; i < n; i++)
        kill((pid_t)pids[i], SIGTERM);
    if (n == 0 && is_running(l))
        kill((pid_t)l->pid, SIGTERM);
}

static void kill_all(struct launch *launch)
{
    struct local *l = (struct local *)launch;

    if (is_running(l))
        kill((pid_t)l->pid, SIGKILL);
    session_is_empty(l);
}

static const struct launch_ops local_ops = {stop, kill_all, forget, 5000};

void local_mark(const char *mark, char ret[LOCAL_MARK_BYTES])
{
    snprintf(ret, LOCAL_MARK_BYTES, "DASH_LAUNCH=%s", mark);
}

static struct local *make(uv_loop_t *loop, const char *mark, launch_end_fn *on_end, void *arg)
{
    struct local *l = calloc(1, sizeof(*l));

    if (!l)
        return NULL;
    l->base.ops = &local_ops;
    l->loop = loop;
    l->on_end = on_end;
    l->arg = arg;
    l->pidfd = -1;
    local_mark(mark, l->mark);
    uv_timer_init(loop, &l->timer);
    l->timer.data = l;
    uv_timer_init(loop, &l->ranks);
    l->ranks.data = l;
    return l;
}

static bool has_ranks(const struct local *l)
{
    long pids[1];

    /* What cannot be found out (-1) does not count as gone. */
    return procs_of_session(l->pid, l->mark, "dash-coordinator", pids, 1) != 0 ||
           procs_of_session(l->pid, l->mark, "dash-worker", pids, 1) != 0;
}

static void look_for_ranks(uv_timer_t *timer)
{
    struct local *l = timer->data;

    if (!is_running(l)) {
        uv_timer_stop(timer);
    } else if (has_ranks(l)) {
        l->had_ranks = true;
        l->looks_without = 0;
    } else if (++l->looks_without >= (l->had_ranks ? LOOKS_WITHOUT : LOOKS_AT_START)) {
        l->end.hung = true;
        kill((pid_t)l->pid, SIGKILL);
    }
}

int local_adopt(uv_loop_t *loop, long pid, uint64_t start, bool same_boot, const char *mark,
                launch_end_fn *on_end, void *arg, struct launch **ret_launch, struct err *err)
{
    struct local *l = make(loop, mark, on_end, arg);

    if (!l)
        return err_nomem(err, sizeof(*l));
    l->pid = pid;
    l->start = same_boot ? start : 0; /* no process has start time 0 and our mark */
    l->pidfd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (l->pidfd >= 0 && is_running(l)) {
        fcntl(l->pidfd, F_SETFD, FD_CLOEXEC);
        l->has_poll = uv_poll_init(loop, &l->poll, l->pidfd) == 0;
        l->poll.data = l;
    }
    uv_timer_start(&l->ranks, look_for_ranks, RANKS_MS, RANKS_MS);
    if (l->has_poll)
        uv_poll_start(&l->poll, UV_READABLE, on_pidfd);
    else
        uv_timer_start(&l->timer, look_again, 0, 0);
    *ret_launch = &l->base;
    return 0;
}

/* What mpirun and all ranks write, launch after launch. */
/* mpirun holds the folder's lock as long as it lives: no two launches, of whatever dashd, share an
 * output folder. */
static int acquire_lock(const char *path, const char *output, int *ret_fd, struct err *err)
{
    int fd = -1, rc = file_open_lock(path, &fd, err);

    if (rc < 0)
        return rc;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK) {
        close(fd);
        return err_set(err, ERR_STATE, "a job of another dashd runs in %s", output);
    }
    *ret_fd = fd;
    return 0;
}

static int open_files(const char *output, int *ret_log, int *ret_lock, struct err *err)
{
    char *log = file_join(output, "logs/job.log"), *lock = file_join(output, "logs/.lock");
    int log_fd = -1, rc;

    rc = log && lock ? file_open_append(log, 0600, &log_fd, err) : err_nomem(err, strlen(output));
    if (rc == 0) {
        rc = acquire_lock(lock, output, ret_lock, err);
        if (rc == 0)
            *ret_log = log_fd;
        else
            close(log_fd);
    }
    free(log);
    free(lock);
    return rc;
}

struct arguments {
    char *argv[ARGS_MAX];
    int n;
    char coordinator[4096], worker[4096], workers[24];
};

static void add(struct arguments *a, const char *arg)
{
    a->argv[a->n++] = (char *)arg;
}

static void make_evaluation(const struct local_spec *spec, struct arguments *a)
{
    add(a, "dashd");
    add(a, "--gate");
    add(a, a->worker);
    add(a, "eval");
    add(a, "--queued");
    add(a, spec->output);
    add(a, NULL);
}

static void make_launch(const struct local_spec *spec, struct arguments *a)
{
    static const char *const first[] = {"dashd",     "--gate", "mpirun", "--oversubscribe",
                                        "--bind-to", "none",   "-x",     "DASH_LAUNCH",
                                        "-np",       "1"};
    size_t i;

    snprintf(a->coordinator, sizeof(a->coordinator), "%s/dash-coordinator", spec->programs);
    snprintf(a->workers, sizeof(a->workers), "%d", spec->workers);
    for (i = 0; i < sizeof(first) / sizeof(first[0]); i++)
        add(a, first[i]);
    add(a, a->coordinator);
    add(a, "--output");
    add(a, spec->output);
    add(a, "--report");
    add(a, CONTACT_FILE);
    add(a, ":");
    add(a, "-np");
    add(a, a->workers);
    add(a, a->worker);
    add(a, NULL);
}

static void make_arguments(const struct local_spec *spec, struct arguments *a)
{
    snprintf(a->worker, sizeof(a->worker), "%s/dash-worker", spec->programs);
    if (spec->evaluation)
        make_evaluation(spec, a);
    else
        make_launch(spec, a);
}

/* dashd may itself have been started inside a job of Slurm's or of mpirun's, whose variables would
 * send the ranks elsewhere. */
static bool is_of_another_job(const char *variable)
{
    return strncmp(variable, "DASH_LAUNCH=", 12) == 0 || environment_is_of_job(variable);
}

/* Our environment with a few settings more. Caller frees the array only. */
static char **make_environment(const struct local *l)
{
    static const char *const settings[] = {
        "OMPI_MCA_orte_base_help_aggregate=0",           /* the words of every rank */
        "OMPI_MCA_btl_vader_single_copy_mechanism=none", /* containers refuse it */
        "OMPI_ALLOW_RUN_AS_ROOT=1",                      /* as root only: the last two */
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
    };
    int n_settings = geteuid() == 0 ? 4 : 2, n = 0, i;
    char **env;

    while (environ[n])
        n++;
    env = calloc((size_t)n + (size_t)n_settings + 2, sizeof(*env));
    if (!env)
        return NULL;
    env[0] = (char *)l->mark;
    for (i = 0; i < n_settings; i++)
        env[1 + i] = (char *)settings[i];
    for (n = 1 + n_settings, i = 0; environ[i]; i++)
        if (!is_of_another_job(environ[i]))
            env[n++] = environ[i];
    return env;
}

static int spawn(struct local *l, const struct local_spec *spec, int log, int lock, struct err *err)
{
    struct arguments args = {.n = 0};
    uv_stdio_container_t stdio[4] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&l->gate},
        {.flags = UV_INHERIT_FD, .data.fd = log},
        {.flags = UV_INHERIT_FD, .data.fd = log},
        {.flags = UV_INHERIT_FD, .data.fd = lock},
    };
    uv_process_options_t options = {
        .exit_cb = on_exit_of_child,
        .file = "/proc/self/exe",
        .args = args.argv,
        .cwd = spec->output,
        .flags = UV_PROCESS_DETACHED,
        .stdio_count = 4,
        .stdio = stdio,
    };
    int rc;

    make_arguments(spec, &args);
    options.env = make_environment(l);
    if (!options.env)
        return err_nomem(err, sizeof(char *));
    uv_pipe_init(l->loop, &l->gate, 0);
    l->has_gate = true;
    l->process.data = l;
    rc = descriptors_spawn(l->loop, &l->process, &options);
    l->has_process = true; /* its handle is there to be closed, spawned or not */
    free(options.env);
    if (rc < 0)
        return err_set(err, ERR_IO, "cannot start a process: %s", uv_strerror(rc));
    l->pid = uv_process_get_pid(&l->process);
    if (!procs_start_time(l->pid, &l->start)) {
        kill((pid_t)l->pid, SIGKILL); /* it must not hold the folder's lock */
        return err_set(err, ERR_INTERNAL, "/proc has no entry of process %ld", l->pid);
    }
    return 0;
}

int local_start(uv_loop_t *loop, const struct local_spec *spec, launch_end_fn *on_end, void *arg,
                struct launch **ret_launch, long *ret_pid, uint64_t *ret_start, struct err *err)
{
    struct local *l = make(loop, spec->mark, on_end, arg);
    int log = -1, lock = -1, rc;

    if (!l)
        return err_nomem(err, sizeof(*l));
    rc = open_files(spec->output, &log, &lock, err);
    if (rc < 0) {
        forget(&l->base);
        return rc;
    }
    rc = spawn(l, spec, log, lock, err);
    close(log);
    close(lock);
    if (rc < 0) {
        forget(&l->base);
        return rc;
    }
    *ret_pid = l->pid;
    *ret_start = l->start;
    *ret_launch = &l->base;
    return 0;
}

static void on_gone_through(uv_write_t *req, int status)
{
    (void)status; /* a process that ended at the gate is reported by its exit */
    (void)req;
}

void local_go(struct launch *launch)
{
    struct local *l = (struct local *)launch;
    static char go = GATE_GO;
    uv_buf_t buf = uv_buf_init(&go, 1);

    uv_write(&l->go, (uv_stream_t *)&l->gate, &buf, 1, on_gone_through);
    uv_timer_start(&l->ranks, look_for_ranks, RANKS_MS, RANKS_MS);
}

int local_gate(char **argv)
{
    char byte = 0;
    int null;

    if (read(STDIN_FILENO, &byte, 1) != 1 || byte != GATE_GO)
        return 0;
    null = open("/dev/null", O_RDONLY);
    if (null < 0 || dup2(null, STDIN_FILENO) < 0)
        return 1;
    close(null);
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[0], argv);
    fprintf(stderr, "%s cannot be started: %s%s\n", argv[0], strerror(errno),
            errno == ENOENT ? " (on Debian: apt-get install openmpi-bin)" : "");
    return 127;
}
