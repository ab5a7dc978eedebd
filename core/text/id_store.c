/* core/text/id_store.c - see id_store.h. Bytes wait in one buffer, which is written whenever it is
 * full. */
#include "core/text/id_store.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const size_t WAITING_MAX = 64 << 20;

/* In an old file system without such files: one whose name is removed at once. */
static int open_file(struct id_store *s, struct err *err)
{
    char *path = NULL;

    s->fd = open(s->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd >= 0)
        return 0;
    if (asprintf(&path, "%s/.ids-XXXXXX", s->folder) < 0)
        return err_nomem(err, strlen(s->folder));
    s->fd = mkostemp(path, O_CLOEXEC);
    if (s->fd >= 0)
        unlink(path);
    free(path);
    return s->fd >= 0 ? 0 : err_errno(err, "%s: the tokens of the data cannot be kept", s->folder);
}

static int flush(struct id_store *s, struct err *err)
{
    size_t at = 0;
    int rc = s->in_file == 0 ? open_file(s, err) : 0;

    while (rc == 0 && at < s->waiting.len) {
        ssize_t n = write(s->fd, s->waiting.data + at, s->waiting.len - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_errno(err, "%s: the tokens of the data cannot be written", s->folder);
        at += (size_t)n;
        s->in_file += (size_t)n;
    }
    s->waiting.len = 0;
    return rc;
}

int id_store_add(struct id_store *s, const int32_t *ids, const int32_t *labels, int n,
                 size_t *ret_at, struct err *err)
{
    size_t bytes = (size_t)n * sizeof(*ids);
    int rc = 0;

    if (s->folder && s->waiting.len > 0 && s->waiting.len + 2 * bytes > WAITING_MAX)
        rc = flush(s, err);
    if (rc < 0)
        return rc;
    *ret_at = s->in_file + s->waiting.len;
    buf_append(&s->waiting, ids, bytes);
    buf_append(&s->waiting, labels, bytes);
    return s->waiting.failed ? err_nomem(err, s->waiting.len + 2 * bytes) : 0;
}

int id_store_finish(struct id_store *s, const char **ret_base, struct err *err)
{
    int rc;

    if (s->in_file == 0) {
        *ret_base = s->waiting.data;
        return 0;
    }
    rc = flush(s, err);
    if (rc < 0)
        return rc;
    buf_free(&s->waiting);
    s->map = mmap(NULL, s->in_file, PROT_READ, MAP_SHARED, s->fd, 0);
    if (s->map == MAP_FAILED) {
        s->map = NULL;
        return err_errno(err, "%s: the tokens of the data cannot be mapped", s->folder);
    }
    s->mapped = s->in_file;
    *ret_base = s->map;
    return 0;
}

void id_store_close(struct id_store *s)
{
    if (s->map)
        munmap(s->map, s->mapped);
    if (s->in_file > 0)
        close(s->fd);
    buf_free(&s->waiting);
    *s = (struct id_store){0};
}
