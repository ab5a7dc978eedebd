/* daemon/coordinator/checkpoint.c - see checkpoint.h. Everything the thread shares is guarded by
 * the lock; `busy` says that the bytes are the thread's. */
#include "daemon/coordinator/checkpoint.h"
#include "core/file.h"
#include "core/job/checkpoint_name.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEPT = 2 };

struct checkpoint {
    char *folder;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool busy, quit;
    struct buf bytes;
    int step, metrics_fd;
    struct err err; /* of the last write; code 0: fine */
};

struct listing {
    int *steps; /* (n), falling, owned */
    int n, cap;
};

static int falling(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

static char *path_of(const char *folder, int step)
{
    char name[CHECKPOINT_NAME_BYTES];

    checkpoint_name(step, name);
    return file_join(folder, name);
}

static int add_step(struct listing *l, int step, struct err *err)
{
    if (l->n == l->cap) {
        int cap = l->cap ? 2 * l->cap : 16;
        int *bigger = realloc(l->steps, (size_t)cap * sizeof(*bigger));
        if (!bigger)
            return err_nomem(err, (size_t)cap * sizeof(*bigger));
        l->steps = bigger;
        l->cap = cap;
    }
    l->steps[l->n++] = step;
    return 0;
}

/* A folder that is not there yet holds none. The caller frees ret->steps. */
static int list_checkpoints(const char *folder, struct listing *ret, struct err *err)
{
    struct listing l = {0};
    DIR *d = opendir(folder);
    struct dirent *e;
    int rc = 0;

    *ret = l;
    if (!d)
        return errno == ENOENT ? 0 : err_errno(err, "%s: the folder cannot be opened", folder);
    while (rc == 0) {
        errno = 0;
        e = readdir(d);
        if (!e)
            break;
        if (checkpoint_name_step(e->d_name) >= 0)
            rc = add_step(&l, checkpoint_name_step(e->d_name), err);
    }
    if (rc == 0 && errno)
        rc = err_errno(err, "%s: the folder cannot be read", folder);
    closedir(d);
    if (rc < 0) {
        free(l.steps);
        return rc;
    }
    if (l.n > 0)
        qsort(l.steps, (size_t)l.n, sizeof(l.steps[0]), falling);
    *ret = l;
    return 0;
}

/* Keeps the newest of those up to `step`, which has just been written: a newer one is not of this
 * run. */
static void remove_old(const char *folder, int step)
{
    struct listing l;
    struct err ignored;
    int i, kept = 0;

    if (list_checkpoints(folder, &l, &ignored) < 0)
        return;
    for (i = 0; i < l.n; i++) {
        char *path;
        if (l.steps[i] > step || kept++ < KEPT)
            continue;
        path = path_of(folder, l.steps[i]);
        if (path)
            unlink(path);
        free(path);
    }
    free(l.steps);
}

static int write_one(const char *folder, int step, const struct buf *bytes, int metrics_fd,
                     struct err *err)
{
    char *path = path_of(folder, step);
    int rc;

    if (!path)
        return err_nomem(err, strlen(folder));
    if (metrics_fd >= 0 && fdatasync(metrics_fd) < 0)
        rc = err_errno(err, "metrics.jsonl cannot be synced");
    else
        rc = file_write_durably(path, bytes->data, bytes->len, err);
    free(path);
    if (rc == 0)
        remove_old(folder, step);
    return rc;
}

static void *thread_main(void *arg)
{
    struct checkpoint *c = arg;

    pthread_mutex_lock(&c->lock);
    for (;;) {
        struct err err = {0};
        while (!c->busy && !c->quit)
            pthread_cond_wait(&c->changed, &c->lock);
        if (!c->busy)
            break;
        pthread_mutex_unlock(&c->lock);
        write_one(c->folder, c->step, &c->bytes, c->metrics_fd, &err);
        pthread_mutex_lock(&c->lock);
        c->err = err;
        c->busy = false;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

int checkpoint_open(const char *folder, struct checkpoint **ret, struct err *err)
{
    struct checkpoint *c;
    int rc = file_make_private_folder(folder, err);

    if (rc < 0)
        return rc;
    file_remove_temporaries(folder);
    c = calloc(1, sizeof(*c));
    if (!c)
        return err_nomem(err, sizeof(*c));
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->changed, NULL);
    c->folder = strdup(folder);
    if (!c->folder || pthread_create(&c->thread, NULL, thread_main, c) != 0) {
        checkpoint_close(c);
        return err_set(err, ERR_IO, "the thread that writes checkpoints cannot be started");
    }
    c->running = true;
    *ret = c;
    return 0;
}

/* With the lock held. */
static int wait_idle(struct checkpoint *c, struct err *err)
{
    while (c->busy)
        pthread_cond_wait(&c->changed, &c->lock);
    return c->err.code ? err_set(err, c->err.code, "%s", c->err.text) : 0;
}

int checkpoint_submit(struct checkpoint *c, int step, struct buf *bytes, int metrics_fd,
                      struct err *err)
{
    int rc;

    pthread_mutex_lock(&c->lock);
    rc = wait_idle(c, err);
    if (rc == 0) {
        buf_free(&c->bytes);
        c->bytes = *bytes;
        *bytes = (struct buf){0};
        c->step = step;
        c->metrics_fd = metrics_fd;
        c->busy = true;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return rc;
}

int checkpoint_wait(struct checkpoint *c, struct err *err)
{
    int rc;

    pthread_mutex_lock(&c->lock);
    rc = wait_idle(c, err);
    pthread_mutex_unlock(&c->lock);
    return rc;
}

void checkpoint_close(struct checkpoint *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&c->lock);
    c->quit = true;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    if (c->running)
        pthread_join(c->thread, NULL);
    pthread_cond_destroy(&c->changed);
    pthread_mutex_destroy(&c->lock);
    buf_free(&c->bytes);
    free(c->folder);
    free(c);
}

/* Neither follows a link nor waits for a pipe, nor reads what is far too long. */
static int read_checkpoint(const char *path, const struct trainable *layout, char **ret,
                           size_t *ret_len, struct err *err)
{
    int64_t size = 0;
    int fd = -1, rc = file_open_no_link(path, &fd, &size, err);

    if (rc < 0)
        return rc;
    if (!state_size_is_plausible(layout, (size_t)size))
        rc = err_set(err, ERR_INVALID,
                     "%s has %lld bytes, which is not the size of this job's checkpoints: it is "
                     "damaged, or one of "
                     "another job (its settings differ)",
                     path, (long long)size);
    else
        rc = file_read_at(fd, 0, path, (size_t)size, ret, ret_len, err);
    close(fd);
    if (rc == 0 && *ret_len < (size_t)size) {
        free(*ret);
        *ret = NULL;
        rc = err_set(err, ERR_IO, "%s: became shorter while it was read", path);
    }
    return rc;
}

static int load_one(const char *folder, int step, struct state *s,
                    const struct state_identity *identity, struct err *err)
{
    char *path = path_of(folder, step), *bytes = NULL;
    size_t len = 0;
    int rc;

    if (!path)
        return err_nomem(err, strlen(folder));
    rc = read_checkpoint(path, s->layout, &bytes, &len, err);
    if (rc == 0)
        rc = state_decode(s, identity, step, bytes, len, path, err);
    free(bytes);
    free(path);
    return rc;
}

int checkpoint_load(const char *folder, struct state *s, const struct state_identity *identity,
                    bool *ret_found, struct buf *notices, struct err *err)
{
    struct listing l;
    int i, rc = list_checkpoints(folder, &l, err);

    if (rc < 0)
        return rc;
    for (i = 0; i < l.n; i++) {
        rc = load_one(folder, l.steps[i], s, identity, err);
        if (rc != ERR_INVALID && rc != ERR_IO)
            break;
        buf_printf(notices, "%s; %s\n", err->text,
                   i + 1 < l.n ? "the previous checkpoint is used" : "no other is left");
    }
    free(l.steps);
    if (rc == ERR_INVALID || rc == ERR_IO)
        return err_prefix(err, "no checkpoint in %s can be used; the last one tried", folder);
    if (rc == 0)
        *ret_found = l.n > 0;
    return rc;
}
