/* daemon/service/memory_group.c - see memory_group.h. A group is a folder, and each of its settings
 * a file. */
#include "daemon/service/memory_group.h"
#include "core/file.h"
#include "core/slurm/script.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PREFIX "dash-"

static char *path_of(const char *parent, const char *mark, const char *name)
{
    char *path;

    return asprintf(&path, "%s/" PREFIX "%s%s%s", parent, mark, *name ? "/" : "", name) < 0 ? NULL
                                                                                            : path;
}

/* The file exists: the kernel makes it with its folder. */
static int write_setting(const char *path, const char *value, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC), rc = 0;

    if (fd < 0 || write(fd, value, strlen(value)) < 0)
        rc = err_errno(err, "%s cannot be set to %s", path, value);
    if (fd >= 0)
        close(fd);
    return rc;
}

static int set(const char *parent, const char *mark, const char *name, const char *value,
               struct err *err)
{
    char *path = path_of(parent, mark, name);
    int rc = path ? write_setting(path, value, err) : err_nomem(err, strlen(parent));

    free(path);
    return rc;
}

/* systemd marks a group that it leaves to others; the first attribute is root's alone. */
static bool is_delegated(const char *group)
{
    static const char *const names[] = {"trusted.delegate", "user.delegate"};
    char value[4];

    for (int i = 0; i < 2; i++)
        if (getxattr(group, names[i], value, sizeof(value)) == 1 && value[0] == '1')
            return true;
    return false;
}

static bool lists_memory(const char *group, const char *name)
{
    char *path = file_join(group, name), *text = NULL, *rest = NULL, *word;
    bool found = false;
    size_t len;

    if (path && file_read(path, FILE_SMALL_MAX, &text, &len, NULL) == 0)
        for (word = strtok_r(text, " \n", &rest); word; word = strtok_r(NULL, " \n", &rest))
            found |= strcmp(word, "memory") == 0;
    free(text);
    free(path);
    return found;
}

/* Groups below it may be limited. */
static bool gives_memory(const char *group)
{
    char *path;

    if (!lists_memory(group, "cgroup.subtree_control") &&
        (path = file_join(group, "cgroup.subtree_control"))) {
        write_setting(path, "+memory", NULL);
        free(path);
    }
    return lists_memory(group, "cgroup.subtree_control");
}

/* The line of version 2 in /proc/self/cgroup is "0::/path". Caller frees. */
static char *own_group(void)
{
    char *text = NULL, *line, *end, *group = NULL;
    size_t len;

    if (file_read("/proc/self/cgroup", FILE_SMALL_MAX, &text, &len, NULL) < 0)
        return NULL;
    line = strncmp(text, "0::/", 4) == 0 ? text : strstr(text, "\n0::/");
    if (line) {
        line = strchr(line, '/');
        end = strchr(line, '\n');
        group = strndup(line, end ? (size_t)(end - line) : strlen(line));
    }
    free(text);
    return group;
}

char *memory_group_parent(const char *root)
{
    char *group = own_group(), *slash = group ? strrchr(group, '/') : NULL, *parent = NULL;

    if (slash && slash > group) {
        *slash = '\0';
        if (asprintf(&parent, "%s%s", root, group) < 0)
            parent = NULL;
    }
    free(group);
    if (parent && access(parent, W_OK) == 0 && is_delegated(parent) && gives_memory(parent))
        return parent;
    free(parent);
    return NULL;
}

int memory_group_make(const char *parent, const char *mark, double bytes, struct err *err)
{
    char *path = path_of(parent, mark, ""), number[32];
    int rc;

    if (!path)
        return err_nomem(err, strlen(parent));
    snprintf(number, sizeof(number), "%.0f", bytes);
    rc = mkdir(path, 0755) < 0 && errno != EEXIST ? err_errno(err, "%s cannot be made", path) : 0;
    if (rc == 0)
        rc = set(parent, mark, "memory.max", number, err);
    if (rc == 0) /* a job without one of its processes is none */
        rc = set(parent, mark, "memory.oom.group", "1", err);
    if (rc < 0)
        rmdir(path);
    free(path);
    return rc;
}

int memory_group_join(const char *parent, const char *mark, long pid, struct err *err)
{
    char number[32];

    snprintf(number, sizeof(number), "%ld", pid);
    return set(parent, mark, "cgroup.procs", number, err);
}

bool memory_group_killed(const char *parent, const char *mark)
{
    char *events = path_of(parent, mark, "memory.events"), *text = NULL, *at;
    bool killed = false;
    size_t len;

    if (events && file_read(events, FILE_SMALL_MAX, &text, &len, NULL) == 0 &&
        (at = strstr(text, "oom_kill ")))
        killed = strtol(at + strlen("oom_kill "), NULL, 10) > 0;
    free(text);
    free(events);
    return killed;
}

/* The mark in the name of a launch's group. NULL: the group is not one. */
static const char *mark_of(const char *name)
{
    const char *mark = name + strlen(PREFIX);

    if (strncmp(name, PREFIX, strlen(PREFIX)) != 0 ||
        strspn(mark, "0123456789abcdef") != SCRIPT_MARK_LEN || mark[SCRIPT_MARK_LEN])
        return NULL;
    return mark;
}

bool memory_groups_sweep(const char *parent, bool (*is_used)(const void *arg, const char *mark),
                         const void *arg)
{
    DIR *dir = opendir(parent);
    struct dirent *entry;
    const char *mark;
    bool left = false;

    while (dir && (entry = readdir(dir)))
        if ((mark = mark_of(entry->d_name)) && !is_used(arg, mark))
            left |= unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR) < 0 && errno == EBUSY;
    if (dir)
        closedir(dir);
    return left;
}
