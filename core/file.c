/* core/file.c - see file.h. The order is what makes it durable: the data reaches the disk before
 * the name points at it, and the name's folder is synced before success is reported. */
#include "core/file.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECRET = 0600 };

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

static int sync_folder_of(const char *path, struct err *err)
{
    char *copy = strdup(path);
    int rc = 0, fd;

    if (!copy)
        return err_nomem(err, strlen(path));
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        rc = err_errno(err, "%s: the folder cannot be synced", path);
    if (fd >= 0)
        close(fd);
    free(copy);
    return rc;
}

static int write_and_sync(const char *path, mode_t mode, const void *bytes, size_t len,
                          struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

    if (fd < 0)
        return err_errno(err, "%s: cannot be created", path);
    if (mode == SECRET && fchmod(fd, mode) < 0) { /* it may be there from before */
        int rc = err_errno(err, "%s: cannot be made private", path);
        close(fd);
        return rc;
    }
    if (write_all(fd, bytes, len) < 0 || fsync(fd) < 0) {
        int rc = err_errno(err, "%s: cannot be written", path);
        close(fd);
        return rc;
    }
    if (close(fd) < 0)
        return err_errno(err, "%s: cannot be written", path);
    return 0;
}

static int replace(const char *path, mode_t mode, const void *bytes, size_t len, struct err *err)
{
    char *tmp = NULL;
    int rc;

    if (asprintf(&tmp, "%s.tmp", path) < 0)
        return err_nomem(err, strlen(path));
    rc = write_and_sync(tmp, mode, bytes, len, err);
    if (rc == 0 && rename(tmp, path) < 0)
        rc = err_errno(err, "%s: cannot be renamed into place", path);
    if (rc < 0)
        unlink(tmp);
    else
        rc = sync_folder_of(path, err);
    free(tmp);
    return rc;
}

int file_write_durably(const char *path, const void *bytes, size_t len, struct err *err)
{
    return replace(path, 0666, bytes, len, err);
}

int file_write_secret(const char *path, const void *bytes, size_t len, struct err *err)
{
    return replace(path, SECRET, bytes, len, err);
}

static int read_stream(FILE *f, const char *path, char **ret_bytes, size_t *ret_len,
                       struct err *err)
{
    size_t cap = 4096, len = 0, n;
    char *bytes = malloc(cap + 1), *bigger;

    if (!bytes)
        return err_nomem(err, cap);
    while ((n = fread(bytes + len, 1, cap - len, f)) > 0) {
        len += n;
        if (len < cap)
            continue;
        cap *= 2;
        bigger = realloc(bytes, cap + 1);
        if (!bigger) {
            free(bytes);
            return err_nomem(err, cap);
        }
        bytes = bigger;
    }
    if (ferror(f)) {
        free(bytes);
        return err_errno(err, "%s: cannot be read", path);
    }
    bytes[len] = '\0';
    *ret_bytes = bytes;
    *ret_len = len;
    return 0;
}

int file_read(const char *path, char **ret_bytes, size_t *ret_len, struct err *err)
{
    return file_read_from(path, 0, ret_bytes, ret_len, err);
}

int file_read_from(const char *path, long offset, char **ret_bytes, size_t *ret_len,
                   struct err *err)
{
    FILE *f = fopen(path, "re");
    int rc;

    if (!f)
        return err_errno(err, "%s: cannot be opened", path);
    if (offset > 0)
        fseek(f, offset, SEEK_SET); /* what cannot be sought says so when it is read */
    rc = read_stream(f, path, ret_bytes, ret_len, err);
    fclose(f);
    return rc;
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
        if (mkdir(copy, 0777) < 0 && errno != EEXIST)
            rc = err_errno(err, "%s: the folder cannot be made", copy);
        *at = end;
        if (end == '\0')
            break;
    }
    free(copy);
    return rc;
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

int file_lock(const char *path, int wait_ms, int *ret_fd, struct err *err)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666), rc = 0;

    if (fd < 0)
        return err_errno(err, "%s: cannot be opened", path);
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
