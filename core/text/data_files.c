/* core/text/data_files.c - see data_files.h. Files are the same where device and inode are: they
 * are sorted by these to find equal ones.
 */
#include "core/text/data_files.h"
#include <glob.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct finder {
    struct data_files *files;
    int cap;
    struct problems *problems;
    struct err *err;
};

void data_files_free(struct data_files *f)
{
    for (int i = 0; i < f->n; i++)
        free(f->paths[i]);
    free(f->paths);
    *f = (struct data_files){0};
}

static int add(struct finder *f, const char *path)
{
    struct data_files *files = f->files;

    if (files->n == DATA_FILES_MAX)
        return err_set(f->err, ERR_INVALID, "the names mean more than %d files", DATA_FILES_MAX);
    if (files->n == f->cap) {
        int cap = f->cap ? 2 * f->cap : 16;
        char **paths = realloc(files->paths, (size_t)cap * sizeof(*paths));
        if (!paths)
            return err_nomem(f->err, (size_t)cap * sizeof(*paths));
        files->paths = paths;
        f->cap = cap;
    }
    files->paths[files->n] = strdup(path);
    if (!files->paths[files->n])
        return err_nomem(f->err, strlen(path));
    files->n++;
    return 0;
}

static int compare_texts(const void *x, const void *y)
{
    return strcmp(*(char *const *)x, *(char *const *)y);
}

static int add_matches(struct finder *f, const char *pattern, glob_t *found)
{
    int rc = 0;

    if (found->gl_pathc == 0) {
        problems_add(f->problems, pattern, 0, "no file has a name of this pattern");
        return 0;
    }
    qsort(found->gl_pathv, found->gl_pathc, sizeof(*found->gl_pathv), compare_texts);
    for (size_t i = 0; i < found->gl_pathc && rc == 0; i++)
        rc = add(f, found->gl_pathv[i]);
    return rc;
}

static int add_pattern(struct finder *f, const char *pattern)
{
    glob_t found = {0};
    int rc = glob(pattern, GLOB_NOSORT | GLOB_ERR, NULL, &found);

    if (rc == GLOB_NOSPACE)
        rc = err_nomem(f->err, strlen(pattern));
    else if (rc == GLOB_ABORTED) {
        problems_add(f->problems, pattern, 0, "a folder of this pattern cannot be read");
        rc = 0;
    } else {
        rc = add_matches(f, pattern, &found);
    }
    globfree(&found);
    return rc;
}

struct identity {
    dev_t device;
    ino_t inode;
    int place;
};

static int compare_identities(const void *x, const void *y)
{
    const struct identity *a = x, *b = y;

    if (a->device != b->device)
        return a->device < b->device ? -1 : 1;
    if (a->inode != b->inode)
        return a->inode < b->inode ? -1 : 1;
    return a->place - b->place;
}

static void report_twice(struct finder *f, const char *first, const char *second)
{
    if (strcmp(first, second) == 0)
        problems_add(f->problems, second, 0, "the file is named twice");
    else
        problems_add(f->problems, second, 0, "the file is named twice: it is also %s", first);
}

static int check_twice(struct finder *f)
{
    struct data_files *files = f->files;
    struct identity *all = calloc((size_t)files->n + 1, sizeof(*all));
    int n = 0;

    if (!all)
        return err_nomem(f->err, (size_t)files->n * sizeof(*all));
    for (int i = 0; i < files->n; i++) {
        struct stat st;
        if (stat(files->paths[i], &st) == 0)
            all[n++] = (struct identity){st.st_dev, st.st_ino, i};
    }
    qsort(all, (size_t)n, sizeof(*all), compare_identities);
    for (int i = 1; i < n; i++)
        if (all[i].device == all[i - 1].device && all[i].inode == all[i - 1].inode)
            report_twice(f, files->paths[all[i - 1].place], files->paths[all[i].place]);
    free(all);
    return 0;
}

int data_files_find(const char *const *names, int n, struct data_files *ret,
                    struct problems *problems, struct err *err)
{
    struct data_files files = {0};
    struct finder f = {.files = &files, .problems = problems, .err = err};
    int before = problems_count(problems), rc = 0;
    struct stat st;

    for (int i = 0; i < n && rc == 0; i++)
        rc = strpbrk(names[i], "*?[") && lstat(names[i], &st) < 0 ? add_pattern(&f, names[i])
                                                                  : add(&f, names[i]);
    if (rc == 0)
        rc = check_twice(&f);
    if (rc == 0 && problems_count(problems) > before)
        rc = err_set(err, ERR_INVALID, "the data files cannot be used");
    if (rc < 0) {
        data_files_free(&files);
        return rc;
    }
    *ret = files;
    return 0;
}
