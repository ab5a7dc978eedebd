/* core/memory.c - see memory.h. Every control group above this process may have a limit: the
 * tightest counts (cgroups(7); of version 1, the hierarchy of the memory controller). */
#include "core/memory.h"
#include "core/file.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct group_files {
    const char *root, *limit, *usage;
};
static const struct group_files V2 = {"/sys/fs/cgroup", "memory.max", "memory.current"};
static const struct group_files V1 = {"/sys/fs/cgroup/memory", "memory.limit_in_bytes",
                                      "memory.usage_in_bytes"};

static char *read_text(const char *path)
{
    struct err ignored;
    char *text = NULL;
    size_t len;

    return file_read(path, FILE_SMALL_MAX, &text, &len, &ignored) < 0 ? NULL : text;
}

/* The number in a file; INFINITY where there is none ("max"). */
static double number_of(const char *root, const char *group, const char *name)
{
    char path[4096], *text, *end = NULL;
    double x = INFINITY;

    snprintf(path, sizeof(path), "%s%s/%s", root, group, name);
    text = read_text(path);
    if (text)
        x = strtod(text, &end);
    if (end == text)
        x = INFINITY;
    free(text);
    return x;
}

/* Of a group and of all above it. */
static void lower(const struct group_files *files, char *group, double *total, double *available)
{
    for (;;) {
        double limit = number_of(files->root, group, files->limit);
        double used = number_of(files->root, group, files->usage);
        char *slash = strrchr(group, '/');
        *total = fmin(*total, limit);
        if (isfinite(limit) && isfinite(used))
            *available = fmin(*available, fmax(limit - used, 0));
        if (!slash)
            return;
        *slash = '\0';
    }
}

static void lower_by_groups(double *total, double *available)
{
    char *text = read_text("/proc/self/cgroup"), *rest = NULL;
    char *line = text ? strtok_r(text, "\n", &rest) : NULL;

    for (; line; line = strtok_r(NULL, "\n", &rest)) {
        char *controllers = strchr(line, ':'),
             *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        if (!controllers[1])
            lower(&V2, group, total, available);
        else if (strstr(controllers, "memory"))
            lower(&V1, group, total, available);
    }
    free(text);
}

static void measure(double *total, double *available)
{
    char *text = read_text("/proc/meminfo"), *at = text ? strstr(text, "MemAvailable:") : NULL;

    *total = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    *available = at ? strtod(at + strlen("MemAvailable:"), NULL) * 1024 : 0;
    free(text);
    lower_by_groups(total, available);
}

double memory_total(void)
{
    double total, available;

    measure(&total, &available);
    return total;
}

double memory_available(void)
{
    double total, available;

    measure(&total, &available);
    return available;
}

double memory_reserve(int threads, bool decompose)
{
    static const double any = 64 << 20;
    static const double of_blas = 160 << 20; /* OpenBLAS's buffer of a thread that calls it */
    double stack = 8 << 20;
    struct rlimit limit;

    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        stack = (double)limit.rlim_cur;
    return any + threads * (stack + (decompose ? of_blas : 0));
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/* Their shadow is of another size. */
int memory_keep_to(double bytes, double reserve, struct err *err)
{
    (void)bytes;
    (void)reserve;
    (void)err;
    return 0;
}
#else
/* Bytes of a line such as "VmData:    1234 kB"; 0 where there is none. */
static double status_of(const char *status, const char *name)
{
    const char *at = strstr(status, name);

    return at ? strtod(at + strlen(name), NULL) * 1024 : 0;
}

/* The soft limit alone, so that it can be set anew. */
static int limit_data(double bytes, struct err *err)
{
    struct rlimit data;

    if (getrlimit(RLIMIT_DATA, &data) < 0)
        return err_errno(err, "RLIMIT_DATA cannot be read");
    if (data.rlim_max != RLIM_INFINITY && bytes > (double)data.rlim_max)
        bytes = (double)data.rlim_max;
    data.rlim_cur = (rlim_t)bytes;
    if (setrlimit(RLIMIT_DATA, &data) < 0)
        return err_errno(err, "RLIMIT_DATA cannot be set to %.0f bytes", bytes);
    return 0;
}

int memory_keep_to(double bytes, double reserve, struct err *err)
{
    char *status = read_text("/proc/self/status");
    double mapped, used;

    if (!status)
        return err_set(err, ERR_IO, "/proc/self/status cannot be read");
    mapped = status_of(status, "VmData:");
    used = status_of(status, "RssAnon:");
    free(status);
    if (used > bytes)
        return err_set(err, ERR_NOMEM, "it uses %.0f MB", used / 1e6);
    return limit_data(mapped + bytes - used + reserve, err);
}
#endif
