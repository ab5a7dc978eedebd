/* core/text/id_store.c - see id_store.h. Rows lie in chunks that grow from one to the next. Where
 * they are too many for memory the full ones are written to the file, and the file is mapped over
 * them at the same address: a reader meets the same bytes before and after. */
#include "core/text/id_store.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const size_t CHUNK_LEAST = 1 << 20, CHUNK_MOST = 32 << 20, IN_MEMORY_MOST = 64 << 20;

/* In an old file system without such files: one whose name is removed at once. */
static int open_file(struct id_store *s, struct err *err)
{
    char *path = NULL;

    s->fd = open(s->folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    s->is_open = s->fd >= 0;
    if (s->is_open)
        return 0;
    if (asprintf(&path, "%s/.ids-XXXXXX", s->folder) < 0)
        return err_nomem(err, strlen(s->folder));
    s->fd = mkostemp(path, O_CLOEXEC);
    s->is_open = s->fd >= 0;
    if (s->is_open)
        unlink(path);
    free(path);
    return s->is_open ? 0 : err_errno(err, "%s: the tokens of the data cannot be kept", s->folder);
}

static int write_chunk(const struct id_store *s, const struct id_chunk *c, struct err *err)
{
    size_t at = 0;

    while (at < c->size) {
        ssize_t n = write(s->fd, c->base + at, c->size - at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return err_errno(err, "%s: the tokens of the data cannot be written", s->folder);
        at += (size_t)n;
    }
    return 0;
}

static int put_in_file(struct id_store *s, struct id_chunk *c, struct err *err)
{
    int rc = s->is_open ? 0 : open_file(s, err);

    if (rc == 0)
        rc = write_chunk(s, c, err);
    if (rc == 0 && mmap(c->base, c->size, PROT_READ, MAP_SHARED | MAP_FIXED, s->fd,
                        (off_t)s->in_file) == MAP_FAILED)
        rc = err_errno(err, "%s: the tokens of the data cannot be mapped", s->folder);
    if (rc < 0)
        return rc;
    c->in_file = true;
    s->in_file += c->size;
    s->in_memory -= c->size;
    return 0;
}

static int flush(struct id_store *s, struct err *err)
{
    int rc = 0;

    for (int i = 0; i < s->n_chunks && rc == 0; i++)
        if (!s->chunks[i].in_file)
            rc = put_in_file(s, &s->chunks[i], err);
    return rc;
}

static size_t chunk_size(const struct id_store *s, size_t least)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), size = CHUNK_LEAST;

    while (size < CHUNK_MOST && size < s->bytes)
        size *= 2;
    if (size < least)
        size = least;
    return (size + page - 1) / page * page;
}

static int grow_list(struct id_store *s, struct err *err)
{
    int cap = s->cap ? 2 * s->cap : 16;
    struct id_chunk *chunks;

    if (s->chunks && s->n_chunks < s->cap)
        return 0;
    chunks = realloc(s->chunks, (size_t)cap * sizeof(*chunks));
    if (!chunks)
        return err_nomem(err, (size_t)cap * sizeof(*chunks));
    s->chunks = chunks;
    s->cap = cap;
    return 0;
}

/* A new last chunk; NULL: err says why not. */
static struct id_chunk *add_chunk(struct id_store *s, size_t least, struct err *err)
{
    struct id_chunk c = {.size = chunk_size(s, least)};

    if (s->folder && s->in_memory >= IN_MEMORY_MOST && flush(s, err) < 0)
        return NULL;
    if (grow_list(s, err) < 0)
        return NULL;
    c.base = mmap(NULL, c.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (c.base == MAP_FAILED) {
        err_nomem(err, c.size);
        return NULL;
    }
    s->chunks[s->n_chunks] = c;
    s->in_memory += c.size;
    return &s->chunks[s->n_chunks++];
}

int id_store_add(struct id_store *s, const int32_t *ids, const int32_t *labels, int n,
                 const int32_t **ret_ids, struct err *err)
{
    size_t half = (size_t)n * sizeof(*ids);
    struct id_chunk *c = s->n_chunks ? &s->chunks[s->n_chunks - 1] : NULL;

    if (!c || c->in_file || c->size - c->used < 2 * half)
        c = add_chunk(s, 2 * half, err);
    if (!c)
        return err->code;
    memcpy(c->base + c->used, ids, half);
    memcpy(c->base + c->used + half, labels, half);
    *ret_ids = (const int32_t *)(c->base + c->used);
    c->used += 2 * half;
    s->bytes += 2 * half;
    return 0;
}

int id_store_finish(struct id_store *s, struct err *err)
{
    return s->in_file > 0 ? flush(s, err) : 0;
}

void id_store_close(struct id_store *s)
{
    for (int i = 0; i < s->n_chunks; i++)
        munmap(s->chunks[i].base, s->chunks[i].size);
    if (s->is_open)
        close(s->fd);
    free(s->chunks);
    *s = (struct id_store){0};
}
