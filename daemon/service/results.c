/* daemon/service/results.c - see results.h. One rule says which paths are results; the list and the
 * opening both ask it. */
#include "daemon/service/results.h"
#include "core/buf.h"
#include "core/file.h"
#include "core/job/checkpoint_name.h"
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECKPOINTS "checkpoint/"

static bool ends_with(const char *text, const char *end)
{
    size_t a = strlen(text), b = strlen(end);

    return a >= b && strcmp(text + a - b, end) == 0;
}

/* Of a path relative to the output folder: its parts are names, none hidden. */
static bool is_result(const char *path)
{
    const char *part = path;
    int depth = 0;

    for (;;) {
        size_t len = strcspn(part, "/");
        if (len == 0 || part[0] == '.' || depth++ > RESULTS_DEPTH)
            return false;
        if (!part[len])
            break;
        part += len + 1;
    }
    if (strncmp(path, "logs/", 5) == 0)
        return ends_with(path, ".log");
    return strcmp(path, "lock") != 0;
}

static int step_of(const char *path)
{
    return strncmp(path, CHECKPOINTS, strlen(CHECKPOINTS)) == 0
               ? checkpoint_name_step(path + strlen(CHECKPOINTS))
               : -1;
}

static int add(struct results *r, const char *path, const struct stat *st, struct err *err)
{
    struct result_file *items;

    if (r->n == RESULTS_MAX)
        return err_set(err, ERR_UNSUPPORTED, "the output folder has more than %d files",
                       RESULTS_MAX);
    items = realloc(r->items, (size_t)(r->n + 1) * sizeof(*items));
    if (!items)
        return err_nomem(err, sizeof(*items));
    r->items = items;
    items[r->n] = (struct result_file){.path = strdup(path),
                                       .bytes = st->st_size,
                                       .time_ms = (int64_t)st->st_mtim.tv_sec * 1000 +
                                                  st->st_mtim.tv_nsec / 1000000,
                                       .step = step_of(path)};
    if (!items[r->n].path)
        return err_nomem(err, strlen(path));
    r->n++;
    return 0;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct result_file *)a)->path, ((const struct result_file *)b)->path);
}

static int visit(FTS *walk, FTSENT *at, size_t root, struct results *r, struct err *err)
{
    const char *path = at->fts_path + root;

    if (at->fts_level > 0 && (at->fts_level > RESULTS_DEPTH || at->fts_name[0] == '.'))
        fts_set(walk, at, FTS_SKIP);
    else if (at->fts_info == FTS_F && is_result(path))
        return add(r, path, at->fts_statp, err);
    return 0;
}

int results_list(const char *output, struct results *ret, struct err *err)
{
    char *roots[] = {(char *)output, NULL};
    FTS *walk = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
    struct results r = {0};
    FTSENT *at;
    int rc = 0;

    if (!walk)
        return err_errno(err, "%s cannot be read", output);
    while (rc == 0 && (at = fts_read(walk)))
        rc = visit(walk, at, strlen(output) + 1, &r, err);
    fts_close(walk);
    if (rc < 0) {
        results_free(&r);
        return rc;
    }
    if (r.n > 0)
        qsort(r.items, (size_t)r.n, sizeof(*r.items), by_path);
    *ret = r;
    return 0;
}

void results_free(struct results *r)
{
    int i;

    for (i = 0; i < r->n; i++)
        free(r->items[i].path);
    free(r->items);
    *r = (struct results){0};
}

/* One part after the other, so that no link is followed on the way. */
static int open_parts(const char *output, char *path)
{
    int folder = open(output, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
    char *part = path, *slash;

    while (folder >= 0) {
        slash = strchr(part, '/');
        if (slash)
            *slash = '\0';
        fd = openat(folder, part,
                    O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (slash ? O_DIRECTORY : O_NONBLOCK));
        close(folder);
        if (!slash)
            return fd;
        folder = fd;
        part = slash + 1;
    }
    return -1;
}

int results_open(const char *output, const char *path, int *ret_fd, int64_t *ret_bytes,
                 struct err *err)
{
    char *copy = is_result(path) ? strdup(path) : NULL;
    int fd = copy ? open_parts(output, copy) : -1;
    struct stat st;

    free(copy);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        if (fd >= 0)
            close(fd);
        return err_set(err, ERR_NOT_FOUND,
                       "the job has no result '%.200s': `dashctl files` lists them", path);
    }
    *ret_fd = fd;
    *ret_bytes = st.st_size;
    return 0;
}

int results_check_step(const char *output, int step, struct err *err)
{
    struct results r = {0};
    struct buf steps = {0};
    bool found = false;
    int i, rc = results_list(output, &r, err);

    if (rc < 0)
        return rc;
    for (i = 0; i < r.n; i++) {
        found |= r.items[i].step == step;
        if (r.items[i].step >= 0)
            buf_printf(&steps, "%s%d", steps.len ? ", " : "", r.items[i].step);
    }
    if (!found)
        rc = err_set(err, ERR_NOT_FOUND, "there is no checkpoint of step %d: there are %s", step,
                     steps.data ? steps.data : "none");
    results_free(&r);
    buf_free(&steps);
    return rc;
}

int results_cut_checkpoints(const char *output, int step, struct err *err)
{
    struct results r = {0};
    int i, rc = results_list(output, &r, err);

    for (i = r.n - 1; rc == 0 && i >= 0; i--) {
        char *path = r.items[i].step > step ? file_join(output, r.items[i].path) : NULL;
        if (path && unlink(path) < 0 && errno != ENOENT)
            rc = err_errno(err, "%s cannot be removed", path);
        free(path);
    }
    results_free(&r);
    return rc;
}
