/* worker/decompose.c - see decompose.h. What threads share is guarded by the lock: which matrices
 * are taken, and what became of each. */
#include "worker/decompose.h"
#include "core/clock.h"
#include "core/file.h"
#include "core/job/decomposition.h"
#include "core/memory.h"
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum item_state {
    ITEM_OPEN,
    ITEM_TAKEN, /* a thread of low priority is at it */
    ITEM_CACHED,
    ITEM_KEPT, /* in memory */
    ITEM_LATE, /* is made when it is used */
    ITEM_USED,
};

struct item {
    struct weight_rows matrix;
    char *path; /* in the cache, or NULL */
    enum item_state state;
    struct spectrum kept;
    int rc; /* of its use */
    struct err err;
};

struct decompose {
    struct item *items;
    int n;
    struct spectrum_cache cache;
    char *folder; /* the cache's */
    pthread_t *threads;
    int n_threads;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool quit;
    int done; /* items that cost nothing any more */
    double started;
    double work, computed; /* of all items, and of those done; in no particular unit */
    double found;          /* of those done, what was in the cache */
    double cached_bytes;   /* that were added to the cache */
};

static double work_of(const struct weight_rows *m)
{
    return decomposition_work(m->n, m->w->columns);
}

static bool put_in_cache(struct decompose *d, const struct item *item, const struct spectrum *s)
{
    double bytes = spectrum_cache_put(&d->cache, item->path, s);

    pthread_mutex_lock(&d->lock);
    d->cached_bytes += bytes;
    pthread_mutex_unlock(&d->lock);
    return bytes > 0;
}

static void count_as_done(struct decompose *d, const struct item *item, bool found)
{
    d->done++;
    d->computed += work_of(&item->matrix);
    if (found)
        d->found += work_of(&item->matrix);
}

/* There is room in memory for a decomposition to be made and to wait until it is used, with as much
 * again for what else there is. */
static bool fits_in_memory(const struct weight_rows *m)
{
    return memory_available() / 2 >
           decomposition_kept_bytes(m->n, m->w->columns) + decomposition_bytes(m->n, m->w->columns);
}

static int compute(const struct weight_rows *m, struct spectrum *ret, struct err *err)
{
    size_t bytes = (size_t)m->n * (size_t)m->w->columns * sizeof(float);
    float *expanded = malloc(bytes);
    int rc;

    if (!expanded)
        return err_nomem(err, bytes);
    weight_read_rows(m, expanded);
    rc = spectrum_compute(expanded, m->n, m->w->columns, ret, err);
    free(expanded);
    return rc;
}

/* Outside the lock: the item is this thread's. *kept is empty unless the state is ITEM_KEPT. A
 * matrix that cannot be decomposed fails when it is used. */
static enum item_state prepare(struct decompose *d, const struct item *item, struct spectrum *kept,
                               bool *found)
{
    const struct weight_rows *m = &item->matrix;
    struct spectrum s;
    struct err ignored;

    *found = spectrum_cache_has(item->path, m->n, m->w->columns);
    if (*found)
        return ITEM_CACHED;
    if (!item->path && !fits_in_memory(m))
        return ITEM_LATE;
    if (compute(m, &s, &ignored) < 0)
        return ITEM_LATE;
    if (put_in_cache(d, item, &s)) {
        spectrum_free(&s);
        return ITEM_CACHED;
    }
    *kept = s;
    return ITEM_KEPT;
}

static struct item *take_open(struct decompose *d)
{
    for (int i = 0; i < d->n && !d->quit; i++) {
        if (d->items[i].state != ITEM_OPEN)
            continue;
        d->items[i].state = ITEM_TAKEN;
        return &d->items[i];
    }
    return NULL;
}

static void *prepare_all(void *arg)
{
    struct decompose *d = arg;
    struct item *item;

    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19);
    pthread_mutex_lock(&d->lock);
    while ((item = take_open(d))) {
        struct spectrum kept = {0};
        enum item_state state;
        bool found;
        pthread_mutex_unlock(&d->lock);
        state = prepare(d, item, &kept, &found);
        pthread_mutex_lock(&d->lock);
        item->kept = kept;
        item->state = state;
        if (state != ITEM_LATE)
            count_as_done(d, item, found);
        pthread_cond_broadcast(&d->changed);
    }
    pthread_mutex_unlock(&d->lock);
    return NULL;
}

static int list_items(struct decompose *d, const struct weight_rows *matrices, int n,
                      struct err *err)
{
    double bytes = 0;

    d->items = calloc((size_t)n + 1, sizeof(*d->items));
    if (!d->items)
        return err_nomem(err, (size_t)n * sizeof(*d->items));
    d->n = n;
    for (int i = 0; i < n; i++) {
        const struct weight_rows *m = &matrices[i];
        d->items[i].matrix = *m;
        d->work += work_of(m);
        bytes += decomposition_kept_bytes(m->n, m->w->columns);
        if (bytes <= d->cache.max_bytes) /* the others would push these out */
            d->items[i].path = spectrum_cache_path(&d->cache, m);
    }
    return 0;
}

static int start_threads(struct decompose *d, int threads, struct err *err)
{
    d->threads = calloc((size_t)threads, sizeof(*d->threads));
    if (!d->threads)
        return err_nomem(err, (size_t)threads * sizeof(*d->threads));
    for (int i = 0; i < threads; i++) {
        if (pthread_create(&d->threads[i], NULL, prepare_all, d) != 0)
            return err_set(err, ERR_IO, "the thread that decomposes matrices cannot be started");
        d->n_threads++;
    }
    return 0;
}

int decompose_start(const struct weight_rows *matrices, int n, const struct spectrum_cache *cache,
                    int threads, struct decompose **ret, struct err *err)
{
    struct decompose *d = calloc(1, sizeof(*d));
    struct err ignored;
    int rc = 0;

    if (!d)
        return err_nomem(err, sizeof(*d));
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->changed, NULL);
    d->started = clock_s();
    d->cache.max_bytes = cache->max_bytes;
    if (cache->folder) {
        d->cache.folder = d->folder = strdup(cache->folder);
        file_make_folders(cache->folder, &ignored);
        rc = d->folder ? 0 : err_nomem(err, strlen(cache->folder));
    }
    if (rc == 0)
        rc = list_items(d, matrices, n, err);
    if (rc == 0)
        rc = start_threads(d, threads, err);
    if (rc < 0) {
        decompose_stop(d);
        return rc;
    }
    *ret = d;
    return 0;
}

struct decompose_progress decompose_progress(struct decompose *d)
{
    struct decompose_progress p;
    double pace;

    pthread_mutex_lock(&d->lock);
    p = (struct decompose_progress){.done = d->done, .n = d->n, .cached_bytes = d->cached_bytes};
    pace = (d->computed - d->found) / (clock_s() - d->started + 1e-9);
    if (pace > 0 && d->done < d->n)
        p.seconds_left = (d->work - d->computed) / pace;
    pthread_mutex_unlock(&d->lock);
    return p;
}

/* ---- step t ---- */

struct using
{
    struct decompose *d;
    const struct decompose_user *user;
};

/* The next that no thread is at; waits for those of low priority to leave theirs. NULL: none is
 * left. Under the lock. */
static struct item *take_unused(struct decompose *d, enum item_state *before)
{
    for (;;) {
        bool busy = false;
        for (int i = 0; i < d->n; i++) {
            struct item *item = &d->items[i];
            busy = busy || item->state == ITEM_TAKEN;
            if (item->state == ITEM_TAKEN || item->state == ITEM_USED)
                continue;
            *before = item->state;
            item->state = ITEM_USED;
            return item;
        }
        if (!busy)
            return NULL;
        pthread_cond_wait(&d->changed, &d->lock);
    }
}

static int spectrum_of(struct decompose *d, struct item *item, enum item_state before,
                       struct spectrum *ret, struct err *err)
{
    const struct weight_rows *m = &item->matrix;
    int rc;

    if (before == ITEM_KEPT) {
        *ret = item->kept;
        item->kept = (struct spectrum){0};
        return 0;
    }
    if (spectrum_cache_find(item->path, m->n, m->w->columns, ret))
        return 0;
    rc = compute(m, ret, err);
    if (rc == 0)
        put_in_cache(d, item, ret);
    return rc;
}

static void use_item(struct using *u, struct item *item, enum item_state before)
{
    struct spectrum s;

    item->rc = spectrum_of(u->d, item, before, &s, &item->err);
    if (item->rc < 0)
        return;
    item->rc = u->user->use(u->user->context, (int)(item - u->d->items), &s, &item->err);
    spectrum_free(&s);
}

static void use_items(void *arg, int lane, int thread)
{
    struct using *u = arg;
    struct decompose *d = u->d;
    enum item_state before;
    struct item *item;

    (void)lane;
    pthread_mutex_lock(&d->lock);
    while ((item = take_unused(d, &before))) {
        pthread_mutex_unlock(&d->lock);
        use_item(u, item, before);
        pthread_mutex_lock(&d->lock);
        if (before == ITEM_OPEN || before == ITEM_LATE)
            count_as_done(d, item, false);
        if (thread > 0)
            continue;
        pthread_mutex_unlock(&d->lock);
        u->user->progress(u->user->context);
        pthread_mutex_lock(&d->lock);
    }
    pthread_mutex_unlock(&d->lock);
}

/* As many as memory has room for. */
static int lanes(const struct decompose *d, const struct team *team)
{
    double most = 1, room;

    for (int i = 0; i < d->n; i++)
        most = fmax(most, decomposition_bytes(d->items[i].matrix.n, d->items[i].matrix.w->columns));
    room = memory_available() / 2 / most;
    if (room < 1)
        return 1;
    return room < team_threads(team) ? (int)room : team_threads(team);
}

int decompose_use(struct decompose *d, struct team *team, const struct decompose_user *user,
                  struct err *err)
{
    struct using u = {d, user};

    pthread_mutex_lock(&d->lock);
    d->quit = true;
    pthread_mutex_unlock(&d->lock);
    team_run(team, use_items, &u, lanes(d, team));
    for (int i = 0; i < d->n; i++)
        if (d->items[i].rc < 0)
            return err_set(err, d->items[i].rc, "%s", d->items[i].err.text);
    return 0;
}

void decompose_stop(struct decompose *d)
{
    if (!d)
        return;
    pthread_mutex_lock(&d->lock);
    d->quit = true;
    pthread_mutex_unlock(&d->lock);
    for (int i = 0; i < d->n_threads; i++)
        pthread_join(d->threads[i], NULL);
    for (int i = 0; i < d->n; i++) {
        free(d->items[i].path);
        spectrum_free(&d->items[i].kept);
    }
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    free(d->threads);
    free(d->items);
    free(d->folder);
    free(d);
}
