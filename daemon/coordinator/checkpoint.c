/* daemon/coordinator/checkpoint.c - see checkpoint.h. Everything the thread shares is guarded by
 * the lock; `busy` says that the bytes are the thread's. */
#include "daemon/coordinator/checkpoint.h"
#include "core/clock.h"
#include "core/file.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
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
    int best[KEPT]; /* of the newest checkpoints, newest first; 0: none */
    double seconds; /* that the last write took */
    struct err err; /* of it; code 0: fine */
};

static bool is_best(const int best[KEPT], int step)
{
    for (int i = 0; i < KEPT; i++)
        if (best[i] == step)
            return true;
    return false;
}

/* Keeps the newest of those up to `step`, which has just been written, and what is the best of each
 * of them: a newer one is not of this run. */
static void remove_old(const char *folder, int step, const int best[KEPT])
{
    struct checkpoint_list l;
    struct err ignored;
    int i, kept = 0;

    if (checkpoint_list(folder, &l, &ignored) < 0)
        return;
    for (i = 0; i < l.n; i++) {
        char *path;
        if (l.steps[i] > step || kept++ < KEPT || is_best(best, l.steps[i]))
            continue;
        path = checkpoint_path(folder, l.steps[i]);
        if (path)
            unlink(path);
        free(path);
    }
    free(l.steps);
}

/* The folder, step, best, bytes and metrics_fd of c are the caller's. */
static int write_one(const struct checkpoint *c, struct err *err)
{
    char *path = checkpoint_path(c->folder, c->step);
    int rc;

    if (!path)
        return err_nomem(err, strlen(c->folder));
    if (c->metrics_fd >= 0 && fdatasync(c->metrics_fd) < 0)
        rc = err_errno(err, "metrics.jsonl cannot be synced");
    else
        rc = file_write_durably(path, c->bytes.data, c->bytes.len, err);
    free(path);
    if (rc == 0)
        remove_old(c->folder, c->step, c->best);
    return rc;
}

static void *thread_main(void *arg)
{
    struct checkpoint *c = arg;

    pthread_mutex_lock(&c->lock);
    for (;;) {
        struct err err = {0};
        double start;
        while (!c->busy && !c->quit)
            pthread_cond_wait(&c->changed, &c->lock);
        if (!c->busy)
            break;
        pthread_mutex_unlock(&c->lock);
        start = clock_s();
        write_one(c, &err);
        pthread_mutex_lock(&c->lock);
        c->seconds = clock_s() - start;
        c->err = err;
        c->busy = false;
        pthread_cond_broadcast(&c->changed);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

int checkpoint_open(const char *folder, int best, struct checkpoint **ret, struct err *err)
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
    c->best[0] = best;
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

int checkpoint_submit(struct checkpoint *c, int step, int best, struct buf *bytes, int metrics_fd,
                      struct err *err)
{
    int rc;

    pthread_mutex_lock(&c->lock);
    rc = wait_idle(c, err);
    if (rc == 0) {
        struct buf before = c->bytes;
        c->bytes = *bytes;
        before.len = 0;
        *bytes = before;
        c->step = step;
        memmove(c->best + 1, c->best, (KEPT - 1) * sizeof(c->best[0]));
        c->best[0] = best;
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

double checkpoint_seconds(struct checkpoint *c)
{
    double seconds;

    pthread_mutex_lock(&c->lock);
    seconds = c->seconds;
    pthread_mutex_unlock(&c->lock);
    return seconds;
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
