/* core/job/output_check.c - see output_check.h. Everything is read without following links or
 * waiting for FIFOs: the folder may be one that others can write. */
#include "core/job/output_check.h"
#include "core/job/job_keys.h"
#include "core/job/job_read.h"
#include "core/file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ENTRY_BYTES = 16384 }; /* of /etc/passwd and /etc/group */

/* 1: empty, 0: not, -1: cannot be read. */
static int is_empty(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int empty = 1, why;

    if (!dir)
        return -1;
    while ((void)(errno = 0), empty && (entry = readdir(dir)))
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    why = errno;
    closedir(dir);
    errno = why;
    return empty && why ? -1 : empty;
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
            problems_add(problems, NULL, 0, "output: %s cannot be created: %s is not a folder",
                         output, path);
        else if (access(path, W_OK | X_OK) < 0)
            problems_add(problems, NULL, 0, "output: %s cannot be created: %s: %s", output, path,
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
    int fd = path ? open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
    bool locked = fd >= 0 && fcntl(fd, F_OFD_GETLK, &whole) == 0 && whole.l_type != F_UNLCK;

    if (fd >= 0)
        close(fd);
    free(path);
    return locked;
}

static bool is_running_elsewhere(const char *output)
{
    char *path = file_join(output, "logs/.lock");
    int fd = path ? open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC) : -1;
    bool locked = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;

    if (fd >= 0)
        close(fd);
    free(path);
    return locked;
}

/* Each key that differs is a problem. */
static void compare_jobs(const struct job *was, const struct job *is, struct problems *problems)
{
    struct buf lines = {0};
    char *at, *end;

    job_differences(was, is, &lines);
    for (at = lines.data; at && (end = strchr(at, '\n')); at = end + 1)
        problems_add(problems, NULL, 0, "output: %s holds another job: %.*s", is->output,
                     (int)(end - at), at);
    buf_free(&lines);
}

static void check_is_this_job(struct job *job, struct problems *problems)
{
    char *path = file_join(job->output, "job.yaml"), *text = NULL;
    struct problems ignored = {0};
    struct job *old = NULL;
    struct err err;
    size_t len;

    if (!path || file_read_no_link(path, JOB_FILE_MAX, &text, &len, &err) < 0) {
        problems_add(problems, NULL, 0, "output: %s has no job.yaml: there is nothing to resume",
                     job->output);
    } else if (job_parse(text, path, job->output, NULL, 0, &old, &ignored, &err) < 0) {
        problems_add(problems, path, 0, "cannot be read as a job: %s", err.text);
    } else {
        if (!job_is_given(job, "data.date") && old->data.date) { /* it was taken at the beginning */
            free(job->data.date);
            job->data.date = strdup(old->data.date);
        }
        compare_jobs(old, job, problems);
    }
    problems_free(&ignored);
    job_free(old);
    free(text);
    free(path);
}

/* False where the folder is there and cannot be used. */
static bool check_folder(const char *output, const struct stat *st, struct problems *problems)
{
    if (!S_ISDIR(st->st_mode))
        problems_add(problems, NULL, 0, "output: %s exists but is not a folder", output);
    else if (st->st_uid != geteuid())
        problems_add(problems, NULL, 0,
                     "output: %s belongs to another user (uid %ld): choose a folder of your own",
                     output, (long)st->st_uid);
    else if (st->st_mode & S_IWOTH)
        problems_add(problems, NULL, 0,
                     "output: everybody can write to %s and change the job: chmod o-w %s", output,
                     output);
    else
        return true;
    return false;
}

static void check_existing(struct job *job, bool resume, struct problems *problems)
{
    int empty = is_empty(job->output);

    if (empty < 0)
        problems_add(problems, NULL, 0, "output: %s: %s", job->output, strerror(errno));
    else if (is_running_elsewhere(job->output) || has_coordinator(job->output))
        problems_add(problems, NULL, 0, "output: a job runs in %s: cancel it first, or wait",
                     job->output);
    else if (resume)
        check_is_this_job(job, problems);
    else if (!empty)
        problems_add(problems, NULL, 0,
                     "output: %s is not empty: choose another folder, or remove it (--resume "
                     "continues a job that was started there)",
                     job->output);
}

void output_check(struct job *job, bool resume, struct problems *problems)
{
    struct stat st;

    if (stat(job->output, &st) == 0) {
        if (check_folder(job->output, &st, problems))
            check_existing(job, resume, problems);
    } else if (errno != ENOENT && errno != ENOTDIR) {
        problems_add(problems, NULL, 0, "output: %s: %s", job->output, strerror(errno));
    } else if (resume) {
        problems_add(problems, NULL, 0, "output: %s does not exist: there is nothing to resume",
                     job->output);
    } else {
        check_can_be_made(job->output, problems);
    }
}

/* Many systems give every user a group of the same name that has no other members. */
static bool is_own_group(gid_t gid)
{
    char user_text[ENTRY_BYTES], group_text[ENTRY_BYTES];
    struct passwd user, *of_user = NULL;
    struct group group, *of_group = NULL;

    if (getpwuid_r(geteuid(), &user, user_text, sizeof(user_text), &of_user) != 0 || !of_user ||
        of_user->pw_gid != gid)
        return false;
    if (getgrgid_r(gid, &group, group_text, sizeof(group_text), &of_group) != 0 || !of_group)
        return false;
    return strcmp(of_group->gr_name, of_user->pw_name) == 0 && !of_group->gr_mem[0];
}

char *output_risk(const struct job *job)
{
    char *text = NULL;
    struct stat st;

    if (stat(job->output, &st) < 0 || !(st.st_mode & S_IWGRP) || is_own_group(st.st_gid))
        return NULL;
    if (asprintf(&text,
                 "the group of %s (gid %ld) can write to it, and so change the job: chmod g-w %s",
                 job->output, (long)st.st_gid, job->output) < 0)
        return NULL;
    return text;
}
