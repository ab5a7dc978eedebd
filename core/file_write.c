/* core/file_write.c - see file.h: writing.
 *
 * The data reaches the disk before the name points at it, and the name's folder is synced before
 * success is reported. The temporary file has a random name and must be new (O_EXCL), so that
 * nobody can have put a link there.
 */
#include "core/file.h"
#include "core/random.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* X.0123456789abcdef.tmp */
enum { SECRET = 0600, RANDOM_BYTES = 8, SUFFIX_LEN = 1 + 2 * RANDOM_BYTES + 4 };

/* The folder that holds path. NULL for lack of memory; caller frees. */
static char *folder_of(const char *path)
{
    char *copy = strdup(path), *folder = copy ? strdup(dirname(copy)) : NULL;

    free(copy);
    return folder;
}

static int sync_folder_of(const char *path, struct err *err)
{
    char *folder = folder_of(path);
    int rc = 0, fd;

    if (!folder)
        return err_nomem(err, strlen(path));
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        rc = err_errno(err, "%s: the folder cannot be synced", path);
    if (fd >= 0)
        close(fd);
    free(folder);
    return rc;
}

/* The path without slashes at its end, and a name beside it that nobody has. Caller frees both. */
static int make_names(const char *path, char **ret_path, char **ret_temporary, struct err *err)
{
    char digits[2 * RANDOM_BYTES + 1], *name, *temporary = NULL;
    size_t len = strlen(path);
    int rc = random_hex(digits, RANDOM_BYTES, err);

    if (rc < 0)
        return rc;
    while (len > 1 && path[len - 1] == '/')
        len--;
    name = strndup(path, len);
    if (!name || asprintf(&temporary, "%s.%s.tmp", name, digits) < 0) {
        free(name);
        return err_nomem(err, len);
    }
    *ret_path = name;
    *ret_temporary = temporary;
    return 0;
}

/* ---- a file ---- */

int file_writer_open(const char *path, mode_t mode, struct file_writer *ret, struct err *err)
{
    struct file_writer w = {.fd = -1};
    int rc = make_names(path, &w.path, &w.temporary, err);

    if (rc < 0)
        return rc;
    w.fd = open(w.temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (w.fd < 0) {
        rc = err_errno(err, "%s: cannot be created", w.temporary);
        free(w.temporary);
        free(w.path);
        return rc;
    }
    *ret = w;
    return 0;
}

int file_writer_add(struct file_writer *w, const void *bytes, size_t len, struct err *err)
{
    const char *at = bytes;

    while (len > 0) {
        ssize_t n = write(w->fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, "%s: cannot be written", w->path);
        at += n;
        len -= (size_t)n;
    }
    return 0;
}

static void forget(struct file_writer *w)
{
    free(w->temporary);
    free(w->path);
    *w = (struct file_writer){.fd = -1};
}

void file_writer_abandon(struct file_writer *w)
{
    if (!w->temporary)
        return;
    if (w->fd >= 0)
        close(w->fd);
    unlink(w->temporary);
    forget(w);
}

int file_writer_commit(struct file_writer *w, struct err *err)
{
    int rc = 0;

    if (fsync(w->fd) < 0)
        rc = err_errno(err, "%s: cannot be written", w->path);
    if (close(w->fd) < 0 && rc == 0)
        rc = err_errno(err, "%s: cannot be written", w->path);
    w->fd = -1;
    if (rc == 0 && rename(w->temporary, w->path) < 0)
        rc = err_errno(err, "%s: cannot be renamed into place", w->path);
    if (rc < 0) {
        file_writer_abandon(w);
        return rc;
    }
    rc = sync_folder_of(w->path, err);
    forget(w);
    return rc;
}

static int replace(const char *path, mode_t mode, const void *bytes, size_t len, struct err *err)
{
    struct file_writer w;
    int rc = file_writer_open(path, mode, &w, err);

    if (rc < 0)
        return rc;
    rc = file_writer_add(&w, bytes, len, err);
    if (rc < 0)
        file_writer_abandon(&w);
    return rc < 0 ? rc : file_writer_commit(&w, err);
}

int file_write_durably(const char *path, const void *bytes, size_t len, struct err *err)
{
    return replace(path, 0666, bytes, len, err);
}

int file_write_in(const char *folder, const char *name, const void *bytes, size_t len,
                  struct err *err)
{
    char *path = file_join(folder, name);
    int rc = path ? file_write_durably(path, bytes, len, err) : err_nomem(err, strlen(folder));

    free(path);
    return rc;
}

int file_remove_in(const char *folder, const char *name, struct err *err)
{
    char *path = file_join(folder, name);
    int rc = 0;

    if (!path)
        return err_nomem(err, strlen(folder));
    if (unlink(path) < 0 && errno != ENOENT)
        rc = err_errno(err, "%s: cannot be removed", path);
    free(path);
    return rc;
}

int file_write_secret(const char *path, const void *bytes, size_t len, struct err *err)
{
    return replace(path, SECRET, bytes, len, err);
}

static bool is_temporary(const char *name)
{
    size_t len = strlen(name);
    const char *suffix = name + len - SUFFIX_LEN;

    return len > SUFFIX_LEN && suffix[0] == '.' &&
           strspn(suffix + 1, "0123456789abcdef") == (size_t)2 * RANDOM_BYTES &&
           strcmp(suffix + SUFFIX_LEN - 4, ".tmp") == 0;
}

void file_remove_temporaries(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    while (dir && (entry = readdir(dir)))
        if (is_temporary(entry->d_name))
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
}

int file_check_space(const char *path, uint64_t bytes, struct err *err)
{
    char *folder = folder_of(path);
    struct statvfs v;
    int rc = 0;

    if (!folder)
        return err_nomem(err, strlen(path));
    if (statvfs(folder, &v) < 0)
        rc = err_errno(err, "%s: cannot be examined", folder);
    else if ((uint64_t)v.f_bavail < bytes / v.f_frsize + 1)
        rc = err_set(err, ERR_IO, "%s needs %.1f MB, and %s has %.1f MB free", path,
                     (double)bytes / 1e6, folder, (double)v.f_bavail * (double)v.f_frsize / 1e6);
    free(folder);
    return rc;
}

/* ---- a folder ---- */

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

/* Links are removed, not followed. */
static int remove_tree(const char *path)
{
    enum { DESCRIPTORS = 16 };

    return nftw(path, remove_one, DESCRIPTORS, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

int folder_writer_open(const char *path, struct folder_writer *ret, struct err *err)
{
    struct folder_writer w = {0};
    int rc = make_names(path, &w.path, &w.temporary, err);

    if (rc < 0)
        return rc;
    if (mkdir(w.temporary, 0755) < 0) {
        rc = err_errno(err, "%s: the folder cannot be created", w.temporary);
        free(w.temporary);
        free(w.path);
        return rc;
    }
    *ret = w;
    return 0;
}

static void forget_folder(struct folder_writer *w)
{
    free(w->temporary);
    free(w->path);
    *w = (struct folder_writer){0};
}

void folder_writer_abandon(struct folder_writer *w)
{
    if (!w->temporary)
        return;
    remove_tree(w->temporary);
    forget_folder(w);
}

/* A folder that is there already is swapped with the new one, and then removed. */
static int put_in_place(const struct folder_writer *w, struct err *err)
{
    if (rename(w->temporary, w->path) == 0)
        return 0;
    if (errno != ENOTEMPTY && errno != EEXIST)
        return err_errno(err, "%s: cannot be renamed into place", w->path);
    if (renameat2(AT_FDCWD, w->temporary, AT_FDCWD, w->path, RENAME_EXCHANGE) < 0)
        return err_errno(err, "%s: cannot be replaced: remove it first", w->path);
    if (remove_tree(w->temporary) < 0)
        return err_errno(err, "%s is written; %s, which was there before, cannot be removed",
                         w->path, w->temporary);
    return 0;
}

int folder_writer_commit(struct folder_writer *w, struct err *err)
{
    int rc = put_in_place(w, err);

    if (rc < 0) {
        folder_writer_abandon(w);
        return rc;
    }
    rc = sync_folder_of(w->path, err);
    forget_folder(w);
    return rc;
}
