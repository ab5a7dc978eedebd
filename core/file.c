/* core/file.c - see file.h: all but writing, which file_write.c does.
 *
 * Reading: O_NONBLOCK, so that a FIFO does not block open(), then fstat(), so that only regular
 * files are read, and a limit, which holds even if the file grows at the same time.
 */
#include "core/file.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* mode: of a file that O_CREAT makes. A FIFO is not waited for. */
static int open_regular(const char *path, int flags, mode_t mode, int *ret_fd, struct stat *ret_st,
                        struct err *err)
{
    int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC, mode), rc = 0;

    if (fd < 0)
        return err_errno(err, "%s: cannot be opened", path);
    if (fstat(fd, ret_st) < 0)
        rc = err_errno(err, "%s: cannot be examined", path);
    else if (!S_ISREG(ret_st->st_mode))
        rc = err_set(err, ERR_INVALID, "%s: is %s, not a regular file", path,
                     S_ISDIR(ret_st->st_mode) ? "a folder" : "a pipe or a device");
    if (rc < 0)
        close(fd);
    else
        *ret_fd = fd;
    return rc;
}

static int open_to_read(const char *path, int flags, int *ret_fd, int64_t *ret_size,
                        struct err *err)
{
    struct stat st;
    int rc = open_regular(path, O_RDONLY | flags, 0, ret_fd, &st, err);

    if (rc == 0)
        *ret_size = st.st_size;
    return rc;
}

int file_open(const char *path, int *ret_fd, int64_t *ret_size, struct err *err)
{
    return open_to_read(path, 0, ret_fd, ret_size, err);
}

int file_open_no_link(const char *path, int *ret_fd, int64_t *ret_size, struct err *err)
{
    return open_to_read(path, O_NOFOLLOW, ret_fd, ret_size, err);
}

int file_open_append(const char *path, mode_t mode, int *ret_fd, struct err *err)
{
    struct stat st;

    return open_regular(path, O_RDWR | O_CREAT | O_APPEND | O_NOFOLLOW, mode, ret_fd, &st, err);
}

/* offset -1: from where the descriptor stands. */
static ssize_t read_once(int fd, int64_t offset, char *to, size_t len)
{
    ssize_t n;

    do
        n = offset < 0 ? read(fd, to, len) : pread(fd, to, len, (off_t)offset);
    while (n < 0 && errno == EINTR);
    return n;
}

/* A file's size may be 0 where it has contents (/proc), or change: it is read until its end. */
static int read_until(int fd, int64_t offset, const char *name, size_t max, char **ret_bytes,
                      size_t *ret_len, struct err *err)
{
    size_t cap = max < 4096 ? max : 4096, len = 0;
    char *bytes = malloc(cap + 1), *bigger;
    ssize_t n = 1;

    if (!bytes)
        return err_nomem(err, cap);
    while (n > 0 && len < max) {
        n = read_once(fd, offset < 0 ? -1 : offset + (int64_t)len, bytes + len, cap - len);
        if (n < 0) {
            free(bytes);
            return err_errno(err, "%s: cannot be read", name);
        }
        len += (size_t)n;
        if (len < cap || cap == max)
            continue;
        cap = cap > max / 2 ? max : 2 * cap;
        bigger = realloc(bytes, cap + 1);
        if (!bigger) {
            free(bytes);
            return err_nomem(err, cap);
        }
        bytes = bigger;
    }
    bytes[len] = '\0';
    *ret_bytes = bytes;
    *ret_len = len;
    return 0;
}

int file_read_at(int fd, int64_t offset, const char *name, size_t max, char **ret_bytes,
                 size_t *ret_len, struct err *err)
{
    return read_until(fd, offset, name, max, ret_bytes, ret_len, err);
}

static int too_large(const char *name, size_t max, struct err *err)
{
    if (max < 1024)
        return err_set(err, ERR_INVALID, "%s: is too large: %zu bytes are the most that is read",
                       name, max);
    return err_set(err, ERR_INVALID, "%s: the file is too large: %zu KiB are the most that is read",
                   name, max >> 10);
}

int file_read_stream(int fd, const char *name, size_t max, char **ret_bytes, size_t *ret_len,
                     struct err *err)
{
    char *bytes = NULL;
    size_t len = 0;
    int rc = read_until(fd, -1, name, max + 1, &bytes, &len, err);

    if (rc < 0)
        return rc;
    if (len > max) {
        free(bytes);
        return too_large(name, max, err);
    }
    *ret_bytes = bytes;
    *ret_len = len;
    return 0;
}

static int read_whole(const char *path, int flags, size_t max, char **ret_bytes, size_t *ret_len,
                      struct err *err)
{
    int64_t size = 0;
    int fd = -1, rc = open_to_read(path, flags, &fd, &size, err);

    if (rc < 0)
        return rc;
    if (size > (int64_t)max)
        rc = too_large(path, max, err);
    else
        rc = file_read_stream(fd, path, max, ret_bytes, ret_len, err);
    close(fd);
    return rc;
}

int file_read(const char *path, size_t max, char **ret_bytes, size_t *ret_len, struct err *err)
{
    return read_whole(path, 0, max, ret_bytes, ret_len, err);
}

int file_read_no_link(const char *path, size_t max, char **ret_bytes, size_t *ret_len,
                      struct err *err)
{
    return read_whole(path, O_NOFOLLOW, max, ret_bytes, ret_len, err);
}

int file_make_folders(const char *path, struct err *err)
{
    char *copy = strdup(path), *at;
    int rc = 0;

    if (!copy)
        return err_nomem(err, strlen(path));
    for (at = copy + 1; rc == 0; at++) {
        char end = *at;
        if (end != '/' && end != '\0')
            continue;
        *at = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            rc = err_errno(err, "%s: the folder cannot be created", copy);
        *at = end;
        if (end == '\0')
            break;
    }
    free(copy);
    return rc;
}

/* ERR_INVALID where the file is another user's, who could do as he likes with it. */
static int check_owner(const struct stat *st, const char *path, struct err *err)
{
    if (st->st_uid == geteuid())
        return 0;
    return err_set(err, ERR_INVALID, "%s: belongs to another user (uid %ld): remove it", path,
                   (long)st->st_uid);
}

/* The link's owner decides where it points, so both must be this user's. */
static int check_folder(const char *path, struct err *err)
{
    struct stat st;
    int rc;

    if (lstat(path, &st) < 0)
        return err_errno(err, "%s: cannot be examined", path);
    rc = check_owner(&st, path, err);
    if (rc == 0 && stat(path, &st) < 0)
        return err_errno(err, "%s: cannot be examined", path);
    if (rc == 0)
        rc = check_owner(&st, path, err);
    if (rc == 0 && !S_ISDIR(st.st_mode))
        rc = err_set(err, ERR_INVALID, "%s: is not a folder", path);
    if (rc == 0 && (st.st_mode & 07777) != 0700 && chmod(path, 0700) < 0)
        rc = err_errno(err, "%s: cannot be made private", path);
    return rc;
}

int file_make_private_folder(const char *path, struct err *err)
{
    char *copy = strdup(path);
    int rc = copy ? file_make_folders(dirname(copy), err) : err_nomem(err, strlen(path));

    free(copy);
    if (rc < 0)
        return rc;
    if (mkdir(path, 0700) == 0)
        return 0;
    if (errno != EEXIST)
        return err_errno(err, "%s: the folder cannot be created", path);
    return check_folder(path, err);
}

char *file_join(const char *a, const char *b)
{
    char *path = NULL;

    if (!a || b[0] == '/')
        return strdup(b);
    if (asprintf(&path, "%s/%s", a, b) < 0)
        return NULL;
    return path;
}

enum { LOCK_POLL_MS = 50 };

int file_open_lock(const char *path, int *ret_fd, struct err *err)
{
    struct stat st;
    int fd = -1, rc = open_regular(path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600, &fd, &st, err);

    if (rc < 0)
        return rc;
    rc = check_owner(&st, path, err);
    if (rc == 0 && (st.st_mode & 077) && fchmod(fd, 0600) < 0)
        rc = err_errno(err, "%s: cannot be made private", path);
    if (rc < 0)
        close(fd);
    else
        *ret_fd = fd;
    return rc;
}

int file_lock(const char *path, int wait_ms, int *ret_fd, struct err *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = -1, rc = file_open_lock(path, &fd, err);

    if (rc < 0)
        return rc;
    while (rc == 0 && fcntl(fd, F_OFD_SETLK, &whole) < 0) {
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN && errno != EACCES)
            rc = err_errno(err, "%s: cannot be locked", path);
        else if (wait_ms <= 0)
            rc = err_set(err, ERR_STATE, "%s: another process holds this lock", path);
        else
            usleep(LOCK_POLL_MS * 1000);
        wait_ms -= LOCK_POLL_MS;
    }
    if (rc < 0)
        close(fd);
    else
        *ret_fd = fd;
    return rc;
}

char *file_beside(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path)) : strdup("."), *joined;

    joined = folder ? file_join(*folder ? folder : "/", name) : NULL;
    free(folder);
    return joined;
}
