/* client/download.c - see download.h. Chunks must follow one another without a gap. */
#include "client/download.h"
#include "client/interrupt.h"
#include "core/buf.h"
#include "core/file.h"
#include "proto/sha256.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { WAIT_MS = 500, SILENCE_MAX = 120 };

struct transfer {
    FILE *file;
    struct sha256 *sha256;
    uint64_t offset, bytes;
    bool whole; /* the last message has come */
    char wanted[SHA256_HEX_BYTES];
};

static int take(struct transfer *t, const Dash__V1__DownloadFileResponse *m, struct err *err)
{
    if (m->offset != t->offset || t->whole)
        return err_set(err, ERR_PEER, "dashd sent a part that does not follow the one before");
    if (fwrite(m->data.data, 1, m->data.len, t->file) != m->data.len)
        return err_errno(err, "cannot write");
    sha256_add(t->sha256, m->data.data, m->data.len);
    t->offset += m->data.len;
    t->bytes = m->bytes;
    t->whole = m->sha256[0];
    snprintf(t->wanted, sizeof(t->wanted), "%s", m->sha256);
    return 0;
}

static void show(const char *path, uint64_t done, uint64_t all)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%s: %.1f of %.1f MB\033[K", path, (double)done / 1e6, (double)all / 1e6);
}

static int receive(struct stream *s, struct transfer *t, const char *path, uint64_t before,
                   uint64_t all, struct err *err)
{
    ProtobufCMessage *m = NULL;
    int silent = 0, rc = 0;

    while (rc >= 0 && rc != STREAM_END) {
        rc = stream_read(s, WAIT_MS, &m, err);
        silent = rc == STREAM_TIMEOUT ? silent + 1 : 0;
        if (interrupt_count())
            return err_set(err, ERR_STATE, "interrupted");
        if (silent > SILENCE_MAX)
            return err_set(err, ERR_PEER, "dashd sends nothing any more");
        if (rc != STREAM_MESSAGE)
            continue;
        rc = take(t, (Dash__V1__DownloadFileResponse *)m, err);
        protobuf_c_message_free_unpacked(m, NULL);
        show(path, before + t->offset, all);
    }
    return rc < 0 ? rc : 0;
}

/* All of it, as dashd has read it, on disk. */
static int finish(struct transfer *t, struct err *err)
{
    char got[SHA256_HEX_BYTES];

    sha256_finish(t->sha256, got);
    if (!t->whole || t->offset != t->bytes)
        return err_set(err, ERR_PEER, "the file did not come whole");
    if (strcmp(got, t->wanted) != 0)
        return err_set(err, ERR_PEER, "its checksum is wrong: it was damaged on the way");
    if (fflush(t->file) != 0 || fsync(fileno(t->file)) < 0)
        return err_errno(err, "cannot write");
    return 0;
}

static int transfer_once(struct client *c, const char *id, const char *path, struct transfer *t,
                         uint64_t before, uint64_t all, struct err *err)
{
    Dash__V1__DownloadFileRequest request = DASH__V1__DOWNLOAD_FILE_REQUEST__INIT;
    struct stream *s = NULL;
    int rc;

    request.id = (char *)id;
    request.path = (char *)path;
    rc = stream_open(c->channel, "/dash.v1.FineTuning/DownloadFile", &request.base,
                     &dash__v1__download_file_response__descriptor, &s, err);
    if (rc == 0)
        rc = receive(s, t, path, before, all, err);
    if (rc == 0)
        rc = finish(t, err);
    stream_close(s);
    return rc;
}

static int begin_again(struct transfer *t, struct err *err)
{
    sha256_close(t->sha256);
    t->sha256 = sha256_open();
    t->offset = 0;
    t->whole = false;
    rewind(t->file);
    if (!t->sha256)
        return err_nomem(err, 1);
    return ftruncate(fileno(t->file), 0) < 0 ? err_errno(err, "cannot write") : 0;
}

static int transfer(struct client *c, const char *id, const char *path, struct transfer *t,
                    uint64_t before, uint64_t all, struct err *err)
{
    int rc = transfer_once(c, id, path, t, before, all, err);

    if (rc < 0 && client_sign_in_again(c)) {
        rc = begin_again(t, err);
        if (rc == 0)
            rc = transfer_once(c, id, path, t, before, all, err);
    }
    return rc;
}

static int open_temporary(const char *to, char **ret_name, FILE **ret_file, struct err *err)
{
    char *name = NULL;
    FILE *file;
    int fd;

    if (asprintf(&name, "%s.part-XXXXXX", to) < 0)
        return err_nomem(err, strlen(to));
    fd = mkostemp(name, O_CLOEXEC);
    file = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!file) {
        err_errno(err, "%s cannot be written", to);
        if (fd >= 0) {
            close(fd);
            unlink(name);
        }
        free(name);
        return ERR_IO;
    }
    fchmod(fd, 0644);
    *ret_name = name;
    *ret_file = file;
    return 0;
}

int download_file(struct client *c, const char *id, const char *path, const char *to,
                  uint64_t *done, uint64_t all)
{
    struct transfer t = {.sha256 = sha256_open()};
    char *name = NULL;
    struct err err;
    int rc = t.sha256 ? open_temporary(to, &name, &t.file, &err) : err_nomem(&err, 1);

    if (rc == 0)
        rc = transfer(c, id, path, &t, *done, all, &err);
    if (t.file && fclose(t.file) != 0 && rc == 0)
        rc = err_errno(&err, "cannot write");
    if (rc == 0 && rename(name, to) < 0)
        rc = err_errno(&err, "%s cannot be written", to);
    if (rc < 0 && name)
        unlink(name);
    free(name);
    sha256_close(t.sha256);
    *done += t.offset;
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    if (rc == 0)
        return EXIT_OK;
    err_prefix(&err, "%s", path);
    return client_fail(&err);
}
