/* core/input.c - see input.h. A file's size only says what to expect: what counts is what can be
 * read. */
#include "core/input.h"
#include "core/buf.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int input_open(const char *path, int *ret_fd, off_t *ret_bytes, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), rc = 0;
    struct stat st;

    if (fd < 0)
        return err_errno(err, "%s: cannot be opened", path);
    if (fstat(fd, &st) < 0)
        rc = err_errno(err, "%s: cannot be opened", path);
    else if (!S_ISREG(st.st_mode))
        rc = err_set(err, ERR_INVALID, "%s: cannot be read: %s, not a regular file", path,
                     S_ISDIR(st.st_mode) ? "Is a directory" : "it is a pipe or a device");
    if (rc < 0) {
        close(fd);
        return rc;
    }
    if (ret_bytes)
        *ret_bytes = st.st_size;
    *ret_fd = fd;
    return 0;
}

static int too_large(const char *path, size_t max_bytes, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s: the file is too large: %zu KiB are the most that is read",
                   path, max_bytes >> 10);
}

static int read_all(int fd, const char *path, size_t max_bytes, struct buf *out, struct err *err)
{
    char block[1 << 14];
    ssize_t n;

    for (;;) {
        n = read(fd, block, sizeof(block));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_errno(err, "%s: cannot be read", path);
        if (n == 0)
            return 0;
        if ((size_t)n > max_bytes - out->len)
            return too_large(path, max_bytes, err);
        buf_append(out, block, (size_t)n);
        if (out->failed)
            return err_nomem(err, out->len + (size_t)n);
    }
}

int input_read(const char *path, size_t max_bytes, char **ret_bytes, size_t *ret_len,
               struct err *err)
{
    struct buf b = {0};
    off_t bytes = 0;
    int fd = -1, rc = input_open(path, &fd, &bytes, err);
    size_t len;

    if (rc < 0)
        return rc;
    if (bytes > 0 && (uintmax_t)bytes > max_bytes)
        rc = too_large(path, max_bytes, err);
    if (rc == 0)
        rc = read_all(fd, path, max_bytes, &b, err);
    close(fd);
    if (rc < 0) {
        buf_free(&b);
        return rc;
    }
    len = b.len;
    *ret_bytes = buf_take(&b);
    if (!*ret_bytes)
        return err_nomem(err, len + 1);
    *ret_len = len;
    return 0;
}

int input_read_json(const char *path, size_t max_bytes, json_t **ret_root, int *ret_line,
                    struct err *err)
{
    json_error_t why;
    json_t *root;
    char *bytes;
    size_t len;
    int rc;

    *ret_line = 0;
    rc = input_read(path, max_bytes, &bytes, &len, err);
    if (rc < 0)
        return rc;
    root = json_loadb(bytes, len, 0, &why);
    free(bytes);
    if (json_is_object(root)) {
        *ret_root = root;
        return 0;
    }
    if (!root && json_error_code(&why) == json_error_out_of_memory)
        return err_set(err, ERR_NOMEM, "%s: there is not enough memory for its JSON", path);
    *ret_line = root || why.line < 1 ? 1 : why.line;
    rc = err_set(err, ERR_INVALID, "%s", root ? "it is some other value" : why.text);
    json_decref(root);
    return rc;
}
