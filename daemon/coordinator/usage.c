/* daemon/coordinator/usage.c - see usage.h. The line has one length, so that writing it over never
 * leaves a part of an older one. */
#include "daemon/coordinator/usage.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/job/job_units.h"
#include <fcntl.h>
#include <fts.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE "%20.3f %20.0f\n"
enum { LINE_BYTES = 42 };

static bool read_line(struct usage *u)
{
    char line[LINE_BYTES + 1] = "";
    double seconds, bytes;

    if (pread(u->fd, line, LINE_BYTES, 0) != LINE_BYTES ||
        sscanf(line, "%lf %lf", &seconds, &bytes) != 2 || !(seconds >= 0) || !isfinite(seconds) ||
        !(bytes >= 0) || !isfinite(bytes))
        return false;
    u->seconds = seconds;
    u->cache_bytes = bytes;
    return true;
}

/* Not O_APPEND, with which pwrite() adds to the end. */
static int open_line(const char *path, struct usage *u, bool *ret_lost, struct err *err)
{
    int64_t size = 0;
    int fd = -1, rc = file_open_append(path, 0600, &fd, err);

    if (rc < 0)
        return rc;
    size = lseek(fd, 0, SEEK_END);
    if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_APPEND) < 0)
        rc = err_errno(err, "%s cannot be written", path);
    u->fd = fd;
    *ret_lost = size > 0 && !read_line(u);
    return rc;
}

int usage_open(const char *output, struct usage *ret, bool *ret_lost, struct err *err)
{
    char *logs = file_join(output, "logs"), *path = file_join(output, "logs/used");
    struct usage u = {.output = output, .fd = -1, .started = clock_s()};
    int rc = logs && path ? file_make_private_folder(logs, err) : err_nomem(err, strlen(output));

    if (rc == 0)
        rc = open_line(path, &u, ret_lost, err);
    free(logs);
    free(path);
    if (rc < 0)
        usage_close(&u);
    *ret = u;
    return rc;
}

void usage_close(struct usage *u)
{
    if (u->fd >= 0)
        close(u->fd);
    u->fd = -1;
}

double usage_seconds(const struct usage *u)
{
    return u->seconds + clock_s() - u->started;
}

int usage_save(const struct usage *u, struct err *err)
{
    char line[LINE_BYTES + 1];

    snprintf(line, sizeof(line), LINE, usage_seconds(u), u->cache_bytes + u->cached);
    if (pwrite(u->fd, line, LINE_BYTES, 0) != LINE_BYTES)
        return err_errno(err, "%s/logs/used cannot be written", u->output);
    return 0;
}

bool usage_is_out_of_time(const struct usage *u, const struct job_limits *limits)
{
    return limits->seconds > 0 && usage_seconds(u) >= limits->seconds;
}

int usage_refuse_time(const struct job_limits *limits, int step, struct err *err)
{
    char limit[UNIT_TEXT_MAX];

    duration_print(limits->seconds, limit);
    return err_set(err, ERR_INVALID,
                   "limits.time of %s is reached after step %d; resume it with a greater limit "
                   "(--set limits.time=...)",
                   limit, step);
}

/* A file that is renamed or removed meanwhile is not counted. */
static double folder_bytes(const char *folder)
{
    char *roots[] = {(char *)folder, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    double bytes = 0;
    FTSENT *at;

    while (walk && (at = fts_read(walk)))
        if (at->fts_info == FTS_F)
            bytes += (double)at->fts_statp->st_size;
    if (walk)
        fts_close(walk);
    return bytes;
}

int usage_check_disk(const struct usage *u, const struct job_limits *limits, int step,
                     struct err *err)
{
    double cache = u->cache_bytes + u->cached, output;
    char limit[UNIT_TEXT_MAX];

    if (limits->disk == 0)
        return 0;
    output = folder_bytes(u->output);
    if (output + cache <= limits->disk)
        return 0;
    bytes_print(limits->disk, limit);
    return err_set(err, ERR_INVALID,
                   "limits.disk of %s is exceeded after step %d: the output folder has %.1f MB, "
                   "and the job has added %.1f MB to the cache; resume it with a greater limit "
                   "(--set limits.disk=...)",
                   limit, step, output / 1e6, cache / 1e6);
}
