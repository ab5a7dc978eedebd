/* worker/decompose.c - see decompose.h. `state` of each item is the only thing both threads write;
 * it is guarded by the lock. */
#include "worker/decompose.h"
#include "core/file.h"
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <xxhash.h>

enum item_state { ITEM_PENDING, ITEM_CACHED, ITEM_KEPT, ITEM_FAILED };

struct item {
    struct decompose_matrix matrix;
    char *path; /* in the cache, or NULL */
    enum item_state state;
    struct spectrum kept;
    struct err err;
};

struct decompose {
    struct item *items;
    int n;
    pthread_t thread;
    bool running, quit;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

static char *path_of(const struct decompose_matrix *m, const char *cache)
{
    size_t bytes = (size_t)m->rows * (size_t)m->columns * sizeof(float);
    XXH128_hash_t h = XXH3_128bits_withSeed(m->W, bytes, (uint64_t)m->columns);
    char *path = NULL;

    if (asprintf(&path, "%s/%016llx%016llx.spectrum", cache, (unsigned long long)h.high64,
                 (unsigned long long)h.low64) < 0)
        return NULL;
    return path;
}

/* The decomposition from the cache if it is there and whole. */
static bool from_cache(const struct item *item, struct spectrum *ret)
{
    struct err ignored;

    return item->path && access(item->path, R_OK) == 0 &&
           spectrum_read(item->path, item->matrix.rows, item->matrix.columns, ret, &ignored) == 0;
}

static enum item_state work_on(struct item *item, struct spectrum *kept)
{
    struct spectrum s;
    struct err ignored;

    if (from_cache(item, &s)) {
        spectrum_free(&s);
        return ITEM_CACHED;
    }
    if (spectrum_compute(item->matrix.W, item->matrix.rows, item->matrix.columns, &s, &item->err) <
        0)
        return ITEM_FAILED;
    if (item->path && spectrum_write(&s, item->path, &ignored) == 0) {
        spectrum_free(&s);
        return ITEM_CACHED;
    }
    *kept = s;
    return ITEM_KEPT;
}

static void *thread_main(void *arg)
{
    struct decompose *d = arg;
    int i;

    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19);
    for (i = 0; i < d->n; i++) {
        struct spectrum kept = {0};
        enum item_state state;
        bool quit;
        pthread_mutex_lock(&d->lock);
        quit = d->quit;
        pthread_mutex_unlock(&d->lock);
        if (quit)
            break;
        state = work_on(&d->items[i], &kept);
        pthread_mutex_lock(&d->lock);
        d->items[i].kept = kept;
        d->items[i].state = state;
        pthread_cond_broadcast(&d->changed);
        pthread_mutex_unlock(&d->lock);
    }
    return NULL;
}

int decompose_start(const struct decompose_matrix *matrices, int n, const char *cache,
                    struct decompose **ret, struct err *err)
{
    struct decompose *d = calloc(1, sizeof(*d));
    struct err ignored;
    int i;

    if (!d)
        return err_nomem(err, sizeof(*d));
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    d->n = n;
    d->items = calloc((size_t)n + 1, sizeof(*d->items));
    if (!d->items) {
        decompose_stop(d);
        return err_nomem(err, (size_t)n * sizeof(*d->items));
    }
    if (cache)
        file_make_folders(cache, &ignored);
    for (i = 0; i < n; i++) {
        d->items[i].matrix = matrices[i];
        d->items[i].path = cache ? path_of(&matrices[i], cache) : NULL;
    }
    if (pthread_create(&d->thread, NULL, thread_main, d) != 0) {
        decompose_stop(d);
        return err_set(err, ERR_IO, "the thread that decomposes matrices cannot be started");
    }
    d->running = true;
    *ret = d;
    return 0;
}

int decompose_result(struct decompose *d, int i, struct spectrum *ret, struct err *err)
{
    struct item *item = &d->items[i];
    int rc = 0;

    pthread_mutex_lock(&d->lock);
    while (item->state == ITEM_PENDING)
        pthread_cond_wait(&d->changed, &d->lock);
    pthread_mutex_unlock(&d->lock);
    if (item->state == ITEM_FAILED)
        return err_set(err, item->err.code, "%s", item->err.text);
    if (item->state == ITEM_KEPT) {
        *ret = item->kept;
        item->kept = (struct spectrum){0};
        item->state = ITEM_CACHED;
        return 0;
    }
    /* The file may have been removed since, or have been taken once before from memory. */
    if (!from_cache(item, ret))
        rc = spectrum_compute(item->matrix.W, item->matrix.rows, item->matrix.columns, ret, err);
    return rc;
}

void decompose_stop(struct decompose *d)
{
    int i;

    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    d->quit = true;
    pthread_mutex_unlock(&d->lock);
    if (d->running)
        pthread_join(d->thread, NULL);
    for (i = 0; d->items && i < d->n; i++) {
        free(d->items[i].path);
        spectrum_free(&d->items[i].kept);
    }
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    free(d->items);
    free(d);
}
