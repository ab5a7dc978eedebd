/* core/job/job_roots.c - see job_roots.h. All paths are found by walking the table of keys: a new
 * key that holds a path is checked as well. */
#include "core/job/job_roots.h"
#include "core/file.h"
#include "core/job/job_keys.h"
#include "core/text/data_files.h"
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int job_roots_add(struct job_roots *roots, const char *path, struct err *err)
{
    char **paths = realloc(roots->paths, (size_t)(roots->n + 1) * sizeof(*paths));

    if (!paths)
        return err_nomem(err, sizeof(*paths));
    roots->paths = paths;
    paths[roots->n] = realpath(path, NULL);
    if (!paths[roots->n])
        return err_errno(err, "%s", path);
    roots->n++;
    return 0;
}

void job_roots_free(struct job_roots *roots)
{
    int i;

    for (i = 0; i < roots->n; i++)
        free(roots->paths[i]);
    free(roots->paths);
    *roots = (struct job_roots){0};
}

static bool is_below(const char *path, const char *root)
{
    size_t len = strlen(root);

    if (strcmp(root, "/") == 0)
        return true;
    return strncmp(path, root, len) == 0 && (!path[len] || path[len] == '/');
}

/* Where a path leads, as far as it is there. False where that cannot be found out. */
static bool resolve(const char *path, char ret[PATH_MAX])
{
    char part[PATH_MAX], *slash;
    struct stat st;

    if (strlen(path) >= sizeof(part))
        return false;
    strcpy(part, path);
    while (!realpath(part, ret)) {
        slash = strrchr(part, '/');
        if (errno != ENOENT || !slash || strcmp(slash, "/..") == 0 || lstat(part, &st) == 0)
            return false; /* up again from what is not there, or a link to it */
        if (slash == part)
            slash++;
        *slash = '\0';
    }
    return true;
}

static bool is_inside(const struct job_roots *roots, const char *path)
{
    char to[PATH_MAX];
    int i;

    if (!resolve(path, to))
        return false;
    for (i = 0; i < roots->n; i++)
        if (is_below(to, roots->paths[i]))
            return true;
    return false;
}

/* job: NULL where the path is not of a job file. */
static void check_path(const struct job *job, const struct job_roots *roots, const char *key,
                       const char *path, struct problems *problems)
{
    if (!is_inside(roots, path))
        problems_add(problems, job ? job->file : NULL, job ? job_line(job, key) : 0,
                     "%s: %s is not in a folder that this dashd allows (--allow-root)", key, path);
}

/* Of a model or an adapter: what its readers would open. */
static void check_entries(const struct job *job, const struct job_roots *roots, const char *key,
                          const char *path, struct problems *problems)
{
    DIR *folder = opendir(path);
    struct dirent *e;
    char *entry;

    while (folder && (e = readdir(folder))) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        entry = file_join(path, e->d_name);
        if (entry)
            check_path(job, roots, key, entry, problems);
        free(entry);
    }
    if (folder)
        closedir(folder);
}

/* A pattern is expanded: a folder of its files may be a link. */
static void check_files(const struct job *job, const struct job_roots *roots, const char *key,
                        const char *name, struct problems *problems)
{
    struct problems later = {0}; /* of a pattern without files: reported when they are read */
    struct data_files files = {0};

    if (data_files_find(&name, 1, &files, &later, NULL) == 0)
        for (int i = 0; i < files.n; i++)
            check_path(job, roots, key, files.paths[i], problems);
    data_files_free(&files);
    problems_free(&later);
}

/* What of a path would be read. */
static void check_both(const struct job *job, const struct job_roots *roots, const char *key,
                       const char *path, bool read, struct problems *problems)
{
    check_path(job, roots, key, path, problems);
    if (read && is_inside(roots, path))
        check_entries(job, roots, key, path, problems);
}

void job_roots_check_path(const struct job_roots *roots, const char *key, const char *path,
                          bool read, struct problems *problems)
{
    if (roots->n)
        check_both(NULL, roots, key, path, read, problems);
}

void job_roots_check_files(const struct job_roots *roots, const char *key, const char *name,
                           struct problems *problems)
{
    if (roots->n)
        check_files(NULL, roots, key, name, problems);
}

static const void *value_of(const struct job *job, const struct job_key *key)
{
    return (const char *)job + key->offset;
}

void job_roots_check(const struct job *job, const struct job_roots *roots,
                     struct problems *problems)
{
    int i;

    if (roots->n && job->slurm.extra)
        problems_add(
            problems, job->file, job_line(job, "slurm.extra"),
            "slurm.extra: this dashd allows some folders only (--allow-root), and options of "
            "sbatch can lead elsewhere");
    for (i = 0; roots->n && i < n_job_keys; i++) {
        const struct job_key *key = &job_keys[i];
        const char *path = key->kind == KEY_PATH ? *(char *const *)value_of(job, key) : NULL;
        const struct data_names *names = key->kind == KEY_FILES ? value_of(job, key) : NULL;
        if (path)
            check_both(job, roots, key->path, path, strcmp(key->path, "output") != 0, problems);
        for (int j = 0; names && j < names->n; j++)
            check_files(job, roots, key->path, names->of[j].path, problems);
    }
}
