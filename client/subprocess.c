/* client/subprocess.c - see subprocess.h. The child leads a process group of its own, by which it
 * is killed, and which a terminal's Ctrl-C passes by. That it could not become the program it says
 * through a third pipe, which exec closes. */
#include "client/subprocess.h"
#include "core/clock.h"
#include "client/interrupt.h"
#include "core/buf.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OUT, ERR, FAILURE, PIPES };
enum { LOOK_MS = 100, REST_MS = 500 };

struct child {
    pid_t pid;
    int ends[PIPES]; /* -1: closed */
    struct buf said[PIPES];
};

static void close_ends(int ends[PIPES])
{
    int i;

    for (i = 0; i < PIPES; i++)
        if (ends[i] >= 0)
            close(ends[i]);
}

static void become(const struct subprocess *p, const int ends[PIPES])
{
    int null = open("/dev/null", O_RDONLY), failed;
    ssize_t ignored;

    setpgid(0, 0);
    dup2(null, STDIN_FILENO);
    dup2(ends[OUT], STDOUT_FILENO);
    dup2(ends[ERR], STDERR_FILENO);
    execvpe(p->argv[0], (char *const *)p->argv, p->env ? p->env : environ);
    failed = errno;
    ignored = write(ends[FAILURE], &failed, sizeof(failed));
    _exit(ignored == sizeof(failed) ? 127 : 126);
}

static int start(const struct subprocess *p, struct child *c, struct err *err)
{
    int theirs[PIPES] = {-1, -1, -1}, i, rc = 0;

    for (i = 0; i < PIPES && rc == 0; i++) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0) {
            rc = err_errno(err, "cannot create a pipe");
        } else {
            c->ends[i] = ends[0];
            theirs[i] = ends[1];
        }
    }
    if (rc == 0 && (c->pid = fork()) == 0)
        become(p, theirs);
    if (rc == 0 && c->pid < 0)
        rc = err_errno(err, "cannot start a process");
    if (rc == 0)
        setpgid(c->pid, c->pid); /* whoever is first */
    close_ends(theirs);
    return rc;
}

/* Takes what has come through a pipe, which is closed at its end. */
static void take(struct child *c, int i)
{
    char bytes[4096];
    ssize_t n = read(c->ends[i], bytes, sizeof(bytes));

    if (n > 0) {
        buf_append(&c->said[i], bytes, (size_t)n);
    } else if (n == 0 || errno != EINTR) {
        close(c->ends[i]);
        c->ends[i] = -1;
    }
}

static void listen_for(struct child *c, int ms)
{
    struct pollfd fds[PIPES];
    int i;

    for (i = 0; i < PIPES; i++)
        fds[i] = (struct pollfd){c->ends[i], POLLIN, 0};
    if (poll(fds, PIPES, ms) <= 0)
        return;
    for (i = 0; i < PIPES; i++)
        if (c->ends[i] >= 0 && fds[i].revents)
            take(c, i);
}

/* Whether it has ended; *ret_status is as waitpid() says. */
static bool has_ended(struct child *c, int *ret_status)
{
    pid_t pid = waitpid(c->pid, ret_status, WNOHANG);

    return pid == c->pid || (pid < 0 && errno != EINTR);
}

static int status_of(int waited)
{
    return WIFSIGNALED(waited) ? SUBPROCESS_SIGNAL + WTERMSIG(waited) : WEXITSTATUS(waited);
}

static bool all_closed(const struct child *c)
{
    return c->ends[OUT] < 0 && c->ends[ERR] < 0;
}

/* Its end, and then the rest of its words: a grandchild may hold the pipes open, and is not waited
 * for. */
static int follow(const struct subprocess *p, struct child *c)
{
    long end = clock_ms() + p->timeout_ms;
    int waited = 0, interrupts = interrupt_count(), killed = 0;

    while (!has_ended(c, &waited)) {
        if (!killed && p->until_interrupt && interrupt_count() > interrupts)
            killed = SUBPROCESS_INTERRUPTED;
        else if (!killed && clock_ms() >= end)
            killed = SUBPROCESS_LATE;
        if (killed)
            kill(-c->pid, SIGKILL);
        listen_for(c, all_closed(c) ? 0 : LOOK_MS);
        if (all_closed(c))
            interrupt_sleep_ms(5);
    }
    end = clock_ms() + REST_MS;
    while (!all_closed(c) && clock_ms() < end)
        listen_for(c, LOOK_MS);
    return killed ? killed : status_of(waited);
}

static char *words(struct buf *b)
{
    buf_puts(b, "");
    return buf_take(b);
}

int subprocess_run(const struct subprocess *p, struct subprocess_said *ret_said, struct err *err)
{
    struct child c = {.ends = {-1, -1, -1}};
    struct subprocess_said said = {0};
    int rc = start(p, &c, err), failed, i;

    if (rc == 0) {
        said.status = follow(p, &c);
        if (c.said[FAILURE].len == sizeof(failed)) {
            memcpy(&failed, c.said[FAILURE].data, sizeof(failed));
            errno = failed;
            rc = err_errno(err, "%s cannot be started", p->argv[0]);
        }
    }
    if (rc == 0) {
        said.out = words(&c.said[OUT]);
        said.err = words(&c.said[ERR]);
        if (!said.out || !said.err)
            rc = err_nomem(err, c.said[OUT].cap);
    }
    close_ends(c.ends);
    for (i = 0; i < PIPES; i++)
        buf_free(&c.said[i]);
    if (rc == 0)
        *ret_said = said;
    else
        subprocess_free(&said);
    return rc;
}

void subprocess_free(struct subprocess_said *said)
{
    free(said->out);
    free(said->err);
    said->out = said->err = NULL;
}
