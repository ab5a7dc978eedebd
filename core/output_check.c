/* core/output_check.c - see output_check.h. */
#include "core/output_check.h"
#include "core/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* 1: empty, 0: not, -1: cannot be read. */
static int is_empty(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int empty = 1;

    if (!dir)
        return -1;
    while (empty && (entry = readdir(dir)))
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(dir);
    return empty;
}

/* The nearest ancestor that is there decides whether the folder can be made. */
static void check_can_be_made(const char *output, struct problems *problems)
{
    char *path = strdup(output), *slash;
    struct stat st;

    while (path && (slash = strrchr(path, '/')) && slash != path) {
        *slash = '\0';
        if (stat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR))
            continue;
        if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
            problems_add(problems, NULL, 0, "output: %s cannot be made: %s is no folder", output,
                         path);
        else if (access(path, W_OK | X_OK) < 0)
            problems_add(problems, NULL, 0, "output: %s cannot be made: %s: %s", output, path,
                         strerror(errno));
        break;
    }
    free(path);
}

/* The lock that a coordinator holds, wherever it runs (file_lock()). */
static bool has_coordinator(const char *output)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    char *path = file_join(output, "lock");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    bool locked = fd >= 0 && fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;

    if (fd >= 0)
        close(fd);
    free(path);
    return locked;
}

static bool is_running_elsewhere(const char *output)
{
    char *path = file_join(output, "logs/.lock");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;

    if (fd >= 0)
        close(fd);
    free(path);
    return locked;
}

static void check_is_this_job(const struct job *job, struct problems *problems)
{
    char *path = file_join(job->output, "job.yaml"), *text = NULL, is[33], was[33];
    struct problems ignored = {0};
    struct job *old = NULL;
    struct err err;
    size_t len;

    if (!path || file_read(path, &text, &len, &err) < 0) {
        problems_add(problems, NULL, 0,
                     "output: %s holds no job.yaml: there is nothing to go on with", job->output);
    } else if (job_parse(text, path, job->output, NULL, 0, &old, &ignored, &err) < 0) {
        problems_add(problems, path, 0, "cannot be read as a job: %s", err.text);
    } else {
        job_identity(job, is);
        job_identity(old, was);
        if (strcmp(is, was) != 0)
            problems_add(
                problems, NULL, 0,
                "output: %s holds another job: its job.yaml differs in what decides the numbers",
                job->output);
    }
    problems_free(&ignored);
    job_free(old);
    free(text);
    free(path);
}

void output_check(const struct job *job, bool resume, struct problems *problems)
{
    int empty = is_empty(job->output);
    bool missing = empty < 0 && (errno == ENOENT || errno == ENOTDIR);

    if (missing && resume)
        problems_add(problems, NULL, 0, "output: %s is not there: there is nothing to go on with",
                     job->output);
    else if (missing)
        check_can_be_made(job->output, problems);
    else if (empty < 0)
        problems_add(problems, NULL, 0, "output: %s: %s", job->output, strerror(errno));
    else if (is_running_elsewhere(job->output) || has_coordinator(job->output))
        problems_add(problems, NULL, 0, "output: a job runs in %s: cancel it first, or wait",
                     job->output);
    else if (resume)
        check_is_this_job(job, problems);
    else if (!empty)
        problems_add(problems, NULL, 0,
                     "output: %s is not empty: choose another folder, or remove it (--resume goes "
                     "on with a job that was begun there)",
                     job->output);
}
