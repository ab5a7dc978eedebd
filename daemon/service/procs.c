/* daemon/service/procs.c - see procs.h. Processes come and go while /proc is read: whatever cannot
 * be read is not there. */
#include "daemon/service/procs.h"
#include "core/file.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct process {
    char state;
    long session;
    uint64_t start;
};

/* Without allocating: a process that is there must not seem gone for lack of memory. Returns bytes.
 */
static size_t read_start(const char *path, char *to, size_t cap)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t n;

    while (fd >= 0 && len < cap - 1 && (n = read(fd, to + len, cap - 1 - len)) > 0)
        len += (size_t)n;
    if (fd >= 0)
        close(fd);
    to[len] = '\0';
    return len;
}

/* /proc/PID/stat: "pid (command) state ppid pgrp session ..."; a command may hold blanks and
 * brackets. */
static bool read_stat(long pid, struct process *ret)
{
    char path[64], text[1024], *at;
    unsigned long long start;

    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    if (!read_start(path, text, sizeof(text)))
        return false;
    at = strrchr(text, ')');
    if (!at || sscanf(at + 1,
                      " %c %*d %*d %ld %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
                      "%llu",
                      &ret->state, &ret->session, &start) != 3)
        return false;
    ret->start = start;
    return true;
}

static bool is_alive(const struct process *p)
{
    return p->state != 'Z' && p->state != 'X';
}

bool procs_start_time(long pid, uint64_t *ret_start)
{
    struct process p;

    if (pid <= 0 || !read_stat(pid, &p) || !is_alive(&p))
        return false;
    *ret_start = p.start;
    return true;
}

int procs_boot_id(char ret_id[40], struct err *err)
{
    char *text = NULL;
    size_t len;
    int rc;

    rc = file_read("/proc/sys/kernel/random/boot_id", FILE_SMALL_MAX, &text, &len, err);
    if (rc < 0)
        return rc;
    text[strcspn(text, "\n")] = '\0';
    snprintf(ret_id, 40, "%s", text);
    free(text);
    return 0;
}

static bool is_equal(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

static bool has_base_name(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');

    return strcmp(slash ? slash + 1 : path, name) == 0;
}

/* The NUL-separated strings of a file, through a buffer. */
struct strings {
    int fd;
    char text[8192];
    size_t at, len;
};

/* NULL after the last. What is longer than the buffer is dropped but for its end: a mark and a
 * program's name are shorter. */
static const char *next_string(struct strings *s)
{
    const char *string, *end;
    ssize_t n;

    while (!(end = memchr(s->text + s->at, '\0', s->len - s->at))) {
        s->len -= s->at;
        memmove(s->text, s->text + s->at, s->len);
        s->at = 0;
        if (s->len == sizeof(s->text))
            s->len = 0;
        n = read(s->fd, s->text + s->len, sizeof(s->text) - s->len);
        if (n <= 0)
            return NULL;
        s->len += (size_t)n;
    }
    string = s->text + s->at;
    s->at = (size_t)(end - s->text) + 1;
    return string;
}

/* True if any of the first `most` (0: all) strings of /proc/PID/`what` satisfies. */
static bool any_string(long pid, const char *what, int most,
                       bool (*satisfies)(const char *, const char *), const char *wanted)
{
    struct strings strings = {.at = 0};
    const char *string;
    bool found = false;
    char path[64];
    int fd, n;

    snprintf(path, sizeof(path), "/proc/%ld/%s", pid, what);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    strings.fd = fd;
    for (n = 0; !found && (!most || n < most) && (string = next_string(&strings)); n++)
        found = satisfies(string, wanted);
    close(fd);
    return found;
}

int procs_of_session(long session, const char *mark, const char *program, long *pids, int max)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    struct process p;
    int n = 0;
    long pid;

    if (!proc)
        return -1;
    while ((void)(errno = 0), (entry = readdir(proc))) {
        if (!isdigit((unsigned char)entry->d_name[0]))
            continue;
        pid = atol(entry->d_name);
        if (!read_stat(pid, &p) || p.session != session || !is_alive(&p))
            continue;
        if (!any_string(pid, "environ", 0, is_equal, mark))
            continue;
        if (program && !any_string(pid, "cmdline", 2, has_base_name, program))
            continue;
        if (n < max)
            pids[n] = pid;
        n++;
    }
    if (errno)
        n = -1;
    closedir(proc);
    return n < max ? n : max;
}
