/* daemon/service/procs.c - see procs.h. Processes come and go while /proc is read: whatever cannot
 * be read is not there. */
#include "daemon/service/procs.h"
#include "core/file.h"
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct process {
    char state;
    long session;
    uint64_t start;
};

/* /proc/PID/stat: "pid (command) state ppid pgrp session ..."; a command may hold blanks and
 * brackets. */
static bool read_stat(long pid, struct process *ret)
{
    char path[64], *text = NULL, *at;
    unsigned long long start;
    size_t len;
    bool ok = false;

    snprintf(path, sizeof(path), "/proc/%ld/stat", pid);
    if (file_read(path, &text, &len, NULL) < 0)
        return false;
    at = strrchr(text, ')');
    if (at && sscanf(at + 1,
                     " %c %*d %*d %ld %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
                     "%llu",
                     &ret->state, &ret->session, &start) == 3) {
        ret->start = start;
        ok = true;
    }
    free(text);
    return ok;
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

    rc = file_read("/proc/sys/kernel/random/boot_id", &text, &len, err);
    if (rc < 0)
        return rc;
    text[strcspn(text, "\n")] = '\0';
    snprintf(ret_id, 40, "%s", text);
    free(text);
    return 0;
}

/* NUL-separated strings of /proc/PID/`what`; true if any of the first `most` (0: all) satisfies. */
static bool any_string(long pid, const char *what, int most,
                       bool (*satisfies)(const char *, const char *), const char *wanted)
{
    char path[64], *text = NULL, *at;
    size_t len;
    int n = 0;
    bool found = false;

    snprintf(path, sizeof(path), "/proc/%ld/%s", pid, what);
    if (file_read(path, &text, &len, NULL) < 0)
        return false;
    for (at = text; !found && at < text + len && (!most || n < most); at += strlen(at) + 1, n++)
        found = satisfies(at, wanted);
    free(text);
    return found;
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

int procs_of_session(long session, const char *mark, const char *program, long *pids, int max)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    struct process p;
    int n = 0;
    long pid;

    if (!proc)
        return 0;
    while ((entry = readdir(proc))) {
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
    closedir(proc);
    return n < max ? n : max;
}
