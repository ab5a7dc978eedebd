/* core/text/unpack.c - see unpack.h.
 *
 * A gzip file is one member after another, a zstd file one frame after another: the end of the file
 * is right only between two of them. The file is read, not mapped, so that one that changes at the
 * same time is at worst damaged.
 */
#include "core/text/unpack.h"
#include "core/buf.h"
#include "core/file.h"
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

enum { BLOCK_BYTES = 128 << 10, HEAD_BYTES = 4 };
enum { GZIP_WINDOW_BITS = 15 + 16 }; /* zlib: the largest window, gzip's format */
enum { ZSTD_WINDOW_LOG_MAX = 27 };   /* 128 MiB, zstd's own default */

enum packing { PACKING_NONE, PACKING_GZIP, PACKING_ZSTD };

struct unpack {
    int fd;
    enum packing packing;
    int64_t size, read; /* bytes of the file when it was opened, and read so far */
    bool at_end;        /* of the file */
    bool inside;        /* of a member or frame */
    z_stream gzip;
    ZSTD_DStream *zstd;
    size_t at, n; /* of block: what is to be unpacked */
    unsigned char block[BLOCK_BYTES];
};

/* Reads more of the file behind what is left of the block. */
static int fill(struct unpack *u, struct err *err)
{
    ssize_t n;

    if (u->at > 0) {
        memmove(u->block, u->block + u->at, u->n - u->at);
        u->n -= u->at;
        u->at = 0;
    }
    do
        n = read(u->fd, u->block + u->n, sizeof(u->block) - u->n);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_errno(err, "cannot be read");
    u->n += (size_t)n;
    u->read += n;
    u->at_end = n == 0;
    if (u->at_end && u->read < u->size)
        return err_set(err, ERR_INVALID, "the file became shorter while it was read");
    return 0;
}

/* Whether these bytes begin a zstd frame, or one that holds no data. */
static bool is_zstd(const unsigned char *p)
{
    static const unsigned char frame[] = {0x28, 0xb5, 0x2f, 0xfd}, skipped[] = {0x2a, 0x4d, 0x18};

    return memcmp(p, frame, 4) == 0 || (p[0] >> 4 == 5 && memcmp(p + 1, skipped, 3) == 0);
}

static int find_packing(struct unpack *u, struct err *err)
{
    int rc = 0;

    while (rc == 0 && u->n < HEAD_BYTES && !u->at_end)
        rc = fill(u, err);
    if (rc < 0 || u->n < HEAD_BYTES)
        return rc;
    if (u->block[0] == 0x1f && u->block[1] == 0x8b) {
        u->packing = PACKING_GZIP;
        if (inflateInit2(&u->gzip, GZIP_WINDOW_BITS) != Z_OK)
            return err_nomem(err, sizeof(u->gzip));
    } else if (is_zstd(u->block)) {
        u->packing = PACKING_ZSTD;
        u->zstd = ZSTD_createDStream();
        if (!u->zstd ||
            ZSTD_isError(ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX)))
            return err_nomem(err, (size_t)1 << 17);
    }
    return 0;
}

int unpack_open(const char *path, struct unpack **ret, struct err *err)
{
    struct unpack *u = calloc(1, sizeof(*u));
    int rc;

    if (!u)
        return err_nomem(err, sizeof(*u));
    u->fd = -1;
    rc = file_open(path, &u->fd, &u->size, err);
    if (rc == 0 && (rc = find_packing(u, err)) < 0)
        err_prefix(err, "%s", path);
    if (rc < 0) {
        unpack_close(u);
        return rc;
    }
    *ret = u;
    return 0;
}

void unpack_close(struct unpack *u)
{
    if (!u)
        return;
    if (u->packing == PACKING_GZIP)
        inflateEnd(&u->gzip);
    ZSTD_freeDStream(u->zstd);
    if (u->fd >= 0)
        close(u->fd);
    free(u);
}

const char *unpack_format(const struct unpack *u)
{
    return u->packing == PACKING_GZIP ? "gzip" : u->packing == PACKING_ZSTD ? "zstd" : NULL;
}

static int cut_off(const struct unpack *u, struct err *err)
{
    return err_set(err, ERR_INVALID, "the file is cut off: its %s data do not end. Copy it again",
                   unpack_format(u));
}

static int damaged(const struct unpack *u, const char *why, struct err *err)
{
    return err_set(err, ERR_INVALID, "the %s data are damaged (%s). Copy the file again",
                   unpack_format(u), why ? why : "no reason is known");
}

/* Behind a member of gzip: another one, or zeros up to the end, as tapes have them. */
static int next_member(struct unpack *u, struct err *err)
{
    while (u->at < u->n && u->block[u->at] == 0)
        u->at++;
    if (u->at == u->n)
        return 0;
    if (u->block[u->at] != 0x1f)
        return err_set(err, ERR_INVALID, "behind its gzip data the file has others");
    if (inflateReset(&u->gzip) != Z_OK)
        return err_set(err, ERR_INTERNAL, "zlib cannot be used again");
    u->inside = true;
    return 0;
}

/* Unpacks into [to, to + cap) what the block has. */
static int inflate_some(struct unpack *u, char *to, size_t cap, size_t *ret_n, struct err *err)
{
    z_stream *z = &u->gzip;
    int rc = u->inside ? 0 : next_member(u, err);

    if (rc < 0 || !u->inside)
        return rc;
    z->next_in = u->block + u->at;
    z->avail_in = (unsigned)(u->n - u->at);
    z->next_out = (unsigned char *)to;
    z->avail_out = cap < BLOCK_BYTES ? (unsigned)cap : BLOCK_BYTES;
    rc = inflate(z, Z_NO_FLUSH);
    u->at = u->n - z->avail_in;
    *ret_n = (size_t)((char *)z->next_out - to);
    if (rc == Z_MEM_ERROR)
        return err_nomem(err, 1 << 15);
    if (rc == Z_STREAM_END)
        u->inside = false;
    else if (rc != Z_OK && rc != Z_BUF_ERROR)
        return damaged(u, z->msg, err);
    return 0;
}

static int decompress_some(struct unpack *u, char *to, size_t cap, size_t *ret_n, struct err *err)
{
    ZSTD_inBuffer in = {u->block, u->n, u->at};
    ZSTD_outBuffer out = {to, cap, 0};
    size_t rc;

    if (!u->inside && u->at == u->n) /* between two frames: without a byte, nothing can be said */
        return 0;
    rc = ZSTD_decompressStream(u->zstd, &out, &in);
    u->at = in.pos;
    *ret_n = out.pos;
    if (!ZSTD_isError(rc)) {
        u->inside = rc != 0;
        return 0;
    }
    switch (ZSTD_getErrorCode(rc)) {
    case ZSTD_error_memory_allocation:
        return err_nomem(err, (size_t)1 << ZSTD_WINDOW_LOG_MAX);
    case ZSTD_error_frameParameter_windowTooLarge:
        return err_set(err, ERR_UNSUPPORTED,
                       "the zstd data need a window of more than %d MiB. Pack them again: zstd -d "
                       "--long=31 -c FILE | zstd -o OUT.jsonl.zst",
                       1 << (ZSTD_WINDOW_LOG_MAX - 20));
    default:
        return damaged(u, ZSTD_getErrorName(rc), err);
    }
}

static int copy_some(struct unpack *u, char *to, size_t cap, size_t *ret_n)
{
    size_t n = u->n - u->at < cap ? u->n - u->at : cap;

    memcpy(to, u->block + u->at, n);
    u->at += n;
    *ret_n = n;
    return 0;
}

int unpack_read(struct unpack *u, char *to, size_t cap, size_t *ret_n, struct err *err)
{
    size_t n = 0;
    int rc = 0;

    while (rc == 0 && n == 0) {
        size_t before = u->at;
        if (u->packing == PACKING_GZIP)
            rc = inflate_some(u, to, cap, &n, err);
        else if (u->packing == PACKING_ZSTD)
            rc = decompress_some(u, to, cap, &n, err);
        else
            rc = copy_some(u, to, cap, &n);
        if (rc < 0 || n > 0 || u->at != before) /* there may be more of the block */
            continue;
        if (u->at_end && u->inside)
            rc = cut_off(u, err);
        else if (u->at_end)
            break;
        else
            rc = fill(u, err);
    }
    if (rc == 0)
        *ret_n = n;
    return rc;
}

static int read_all(struct unpack *u, size_t max, struct buf *to, struct err *err)
{
    char block[1 << 14];
    size_t n = 1;
    int rc = 0;

    while (rc == 0 && n > 0) {
        rc = unpack_read(u, block, sizeof(block), &n, err);
        if (rc == 0 && n > max - to->len)
            return err_set(err, ERR_INVALID, "holds more than %zu bytes", max);
        if (rc == 0)
            buf_append(to, block, n);
    }
    if (rc == 0 && to->failed)
        rc = err_nomem(err, to->len);
    return rc;
}

int unpack_file(const char *path, size_t max, char **ret_bytes, size_t *ret_len, struct err *err)
{
    struct unpack *u = NULL;
    struct buf bytes = {0};
    int rc = unpack_open(path, &u, err);

    if (rc < 0)
        return rc;
    buf_puts(&bytes, "");
    rc = read_all(u, max, &bytes, err);
    unpack_close(u);
    if (rc < 0) {
        buf_free(&bytes);
        return err_prefix(err, "%s", path);
    }
    *ret_len = bytes.len;
    *ret_bytes = buf_take(&bytes);
    return 0;
}
