/* daemon/coordinator/reading.c - see reading.h. The thread appends examples to a list under a lock;
 * reading_take() moves them to its caller's data set, which the thread never sees. What the
 * examples point to does not move (id_store.h). The thread ends by itself at the last row, at the
 * first failure, or at the row after it was asked to. */
#include "daemon/coordinator/reading.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct reading {
    struct dataset_input in;
    pthread_t thread;
    bool running;
    struct problems problems; /* the thread's */
    struct dataset whole;     /* the thread's until it is done; without examples */

    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    struct example *found; /* (n), not taken yet */
    long n, cap;
    bool done, unwanted;
    struct err err; /* code 0: none */
};

/* With the lock held. */
static int append(struct reading *r, const struct example *e, struct err *err)
{
    if (r->n == r->cap) {
        long cap = r->cap ? 2 * r->cap : 1024;
        struct example *found = realloc(r->found, (size_t)cap * sizeof(*found));
        if (!found)
            return err_nomem(err, (size_t)cap * sizeof(*found));
        r->found = found;
        r->cap = cap;
    }
    r->found[r->n++] = *e;
    return 0;
}

static int take(void *taker, const struct example *e, struct err *err)
{
    struct reading *r = taker;
    int rc;

    pthread_mutex_lock(&r->lock);
    rc = r->unwanted ? err_set(err, ERR_STATE, "the data is no longer needed") : append(r, e, err);
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return rc;
}

/* One error of all problems. */
static void explain(struct reading *r, struct err *err)
{
    char *text = r->problems.n ? problems_text(&r->problems) : NULL;

    if (text)
        err_set(err, err->code, "%s", text);
    free(text);
}

static void *thread_main(void *arg)
{
    struct reading *r = arg;
    struct err err = {0};

    if (dataset_load(&r->in, &r->whole, &r->problems, &err) < 0)
        explain(r, &err);
    pthread_mutex_lock(&r->lock);
    r->err = err;
    r->done = true;
    pthread_cond_signal(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static void open_lock(struct reading *r)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, &attributes);
    pthread_condattr_destroy(&attributes);
}

int reading_start(const struct dataset_input *in, struct reading **ret, struct err *err)
{
    struct reading *r = calloc(1, sizeof(*r));

    if (!r)
        return err_nomem(err, sizeof(*r));
    r->in = *in;
    r->in.take = take;
    r->in.taker = r;
    open_lock(r);
    if (pthread_create(&r->thread, NULL, thread_main, r) != 0) {
        reading_close(r);
        return err_set(err, ERR_IO, "the thread that reads the data cannot be started");
    }
    r->running = true;
    *ret = r;
    return 0;
}

/* With the lock held. */
static void wait_for_more(struct reading *r, int timeout_ms)
{
    struct timespec until;
    long ns;

    clock_gettime(CLOCK_MONOTONIC, &until);
    ns = until.tv_nsec + timeout_ms % 1000 * 1000000L;
    until.tv_sec += timeout_ms / 1000 + ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    while (r->n == 0 && !r->done && pthread_cond_timedwait(&r->changed, &r->lock, &until) == 0)
        ;
}

/* With the lock held. */
static int move(struct reading *r, struct dataset *d, struct err *err)
{
    size_t n = (size_t)(d->n + r->n);
    struct example *examples;

    if (r->err.code)
        return err_set(err, r->err.code, "%s", r->err.text);
    if (r->n == 0)
        return 0;
    examples = realloc(d->examples, n * sizeof(*examples));
    if (!examples)
        return err_nomem(err, n * sizeof(*examples));
    memcpy(examples + d->n, r->found, (size_t)r->n * sizeof(*examples));
    d->examples = examples;
    d->n = (long)n;
    r->n = 0;
    return 0;
}

/* The data set of the thread, which is done, with the examples that d has. */
static void hand_over(struct reading *r, struct dataset *d)
{
    struct example *examples = d->examples;

    *d = r->whole;
    d->examples = examples;
    r->whole = (struct dataset){0};
}

int reading_take(struct reading *r, struct dataset *d, int timeout_ms, bool *ret_done,
                 struct err *err)
{
    bool done;
    int rc;

    pthread_mutex_lock(&r->lock);
    wait_for_more(r, timeout_ms);
    rc = move(r, d, err);
    done = rc == 0 && r->done;
    pthread_mutex_unlock(&r->lock);
    if (done)
        hand_over(r, d);
    *ret_done = done;
    return rc;
}

void reading_close(struct reading *r)
{
    if (!r)
        return;
    pthread_mutex_lock(&r->lock);
    r->unwanted = true;
    pthread_mutex_unlock(&r->lock);
    if (r->running)
        pthread_join(r->thread, NULL);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    problems_free(&r->problems);
    dataset_free(&r->whole);
    free(r->found);
    free(r);
}
