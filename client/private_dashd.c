/* client/private_dashd.c - see private_dashd.h. dashd gets a state folder and a session of its own,
 * and a signal when dashctl dies. Its greeting, one line on standard output, means that it serves.
 */
#include "client/private_dashd.h"
#include "client/printable.h"
#include "core/file.h"
#include "core/paths.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FOLDERS_OPEN = 16, TMPDIR_MAX = 70, LOG_MAX = 64 << 20 };

/* In the child. Only what is safe between fork and exec of a process with one thread. */
static void become_dashd(const char *program, const struct private_dashd *d, int out, int log,
                         pid_t parent)
{
    char *const argv[] = {(char *)"dashd",
                          (char *)"--state",
                          (char *)d->folder,
                          (char *)"--stop-jobs",
                          (char *)"--http",
                          (char *)"none",
                          NULL};
    int null = open("/dev/null", O_RDONLY);

    setsid();
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(1);
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execv(program, argv);
    dprintf(STDERR_FILENO, "%s cannot be started: %s\n", program, strerror(errno));
    _exit(127);
}

/* Its greeting is one line; without it, its log says why. */
static int wait_until_it_serves(struct private_dashd *d, int out, const char *log_path,
                                struct err *err)
{
    char greeting[512], *log = NULL;
    ssize_t n;
    size_t len;

    do
        n = read(out, greeting, sizeof(greeting));
    while (n < 0 && errno == EINTR);
    if (n > 0)
        return 0;
    waitpid(d->pid, NULL, 0);
    d->pid = 0;
    if (file_read(log_path, LOG_MAX, &log, &len, NULL) == 0 && len && log[len - 1] == '\n')
        log[len - 1] = '\0';
    err_set(err, ERR_PEER, "a private dashd did not start: %s", log ? log : "it printed nothing");
    free(log);
    return ERR_PEER;
}

static int start_in(struct private_dashd *d, const char *program, struct err *err)
{
    char log_path[128];
    pid_t parent = getpid();
    int out[2], log, rc;

    snprintf(log_path, sizeof(log_path), "%s/dashd.log", d->folder);
    log = open(log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log < 0)
        return err_errno(err, "%s cannot be made", log_path);
    if (pipe2(out, O_CLOEXEC) < 0) {
        close(log);
        return err_errno(err, "cannot create a pipe");
    }
    d->pid = fork();
    if (d->pid == 0)
        become_dashd(program, d, out[1], log, parent);
    close(out[1]);
    close(log);
    if (d->pid < 0) {
        d->pid = 0;
        rc = err_errno(err, "cannot start a process");
    } else {
        rc = wait_until_it_serves(d, out[0], log_path, err);
    }
    close(out[0]);
    return rc;
}

int private_dashd_start(struct private_dashd *d, struct err *err)
{
    const char *tmp = getenv("TMPDIR");
    char *program = NULL;
    int rc;

    *d = (struct private_dashd){.pid = 0};
    if (!tmp || tmp[0] != '/' || strlen(tmp) > TMPDIR_MAX)
        tmp = "/tmp"; /* a unix socket's path is short */
    snprintf(d->folder, sizeof(d->folder), "%s/dash-run-XXXXXX", tmp);
    if (!mkdtemp(d->folder)) {
        d->folder[0] = '\0';
        return err_errno(err, "cannot create a temporary folder in %s", tmp);
    }
    snprintf(d->address, sizeof(d->address), "unix:%s/dashd.sock", d->folder);
    rc = paths_sibling("dashd", &program, err);
    if (rc == 0)
        rc = start_in(d, program, err);
    free(program);
    if (rc < 0)
        private_dashd_end(d);
    return rc;
}

void private_dashd_terminate(struct private_dashd *d)
{
    /* Two equal signals in a row may arrive as one. */
    if (d->pid > 0)
        kill(d->pid, d->terminations++ % 2 ? SIGINT : SIGTERM);
}

void private_dashd_explain(const struct private_dashd *d)
{
    char path[128], *log = NULL;
    size_t len;

    snprintf(path, sizeof(path), "%s/dashd.log", d->folder);
    if (file_read(path, LOG_MAX, &log, &len, NULL) == 0)
        fprintf(stderr, "the dashd of this run has ended; its log:\n");
    if (log)
        printable_print(stderr, log);
    free(log);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    (void)at;
    remove(path);
    return 0;
}

void private_dashd_end(struct private_dashd *d)
{
    while (d->pid > 0 && waitpid(d->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    d->pid = 0;
    if (d->folder[0])
        nftw(d->folder, remove_one, FOLDERS_OPEN, FTW_DEPTH | FTW_PHYS);
    d->folder[0] = '\0';
}
