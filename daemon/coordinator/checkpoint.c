/* daemon/coordinator/checkpoint.c - see checkpoint.h. Everything the thread shares is guarded by the lock; `busy` says that the bytes
 * are the thread's. */
#include "daemon/coordinator/checkpoint.h"
#include "core/file.h"
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KEPT = 2, LISTED_MAX = 64 };

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
    int steps[LISTED_MAX]; /* falling */
    int n;
};

static int falling(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return x < y ? 1 : x > y ? -1 : 0;
}

static void list_checkpoints(const char *folder, struct listing *l)
{
    DIR *d = opendir(folder);
    struct dirent *e;

    l->n = 0;
    while (d && (e = readdir(d)) && l->n < LISTED_MAX) {
        int step, used = 0;
        if (sscanf(e->d_name, "step-%d.checkpoint%n", &step, &used) == 1 && used > 0 &&
            e->d_name[used] == '\0')
            l->steps[l->n++] = step;
    }
    if (d)
        closedir(d);
    qsort(l->steps, (size_t)l->n, sizeof(l->steps[0]), falling);
}

static char *path_of(const char *folder, int step)
{
    char *path = NULL;

    return asprintf(&path, "%s/step-%08d.checkpoint", folder, step) < 0 ? NULL : path;
}

static void remove_old(const char *folder)
{
    struct listing l;
    int i;

    list_checkpoints(folder, &l);
    for (i = KEPT; i < l.n; i++) {
        char *path = path_of(folder, l.steps[i]);
        if (path)
            unlink(path);
        free(path);
    }
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
        remove_old(folder);
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
    int rc = file_make_folders(folder, err);

    if (rc < 0)
        return rc;
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

static int load_one(const char *folder, int step, struct state *s,
                    const struct state_identity *identity, struct err *err)
{
    char *path = path_of(folder, step), *bytes = NULL;
    size_t len = 0;
    int rc;

    if (!path)
        return err_nomem(err, strlen(folder));
    rc = file_read_no_link(path, (size_t)1 << 40, &bytes, &len, err);
    if (rc == 0)
        rc = state_decode(s, identity, bytes, len, path, err);
    free(bytes);
    free(path);
    return rc;
}

int checkpoint_load(const char *folder, struct state *s, const struct state_identity *identity,
                    bool *ret_found, struct buf *notices, struct err *err)
{
    struct listing l;
    int i, rc = 0;

    list_checkpoints(folder, &l);
    for (i = 0; i < l.n; i++) {
        rc = load_one(folder, l.steps[i], s, identity, err);
        if (rc == 0) {
            *ret_found = true;
            return 0;
        }
        if (rc != ERR_INVALID && rc != ERR_IO)
            return rc;
        buf_printf(notices, "%s; %s\n", err->text,
                   i + 1 < l.n ? "the checkpoint before it is used" : "no other is left");
    }
    if (l.n > 0)
        return err_prefix(err, "no checkpoint in %s can be used; the last one tried", folder);
    *ret_found = false;
    return 0;
}
