/* worker/team.c - see team.h.
 *
 * A list of tasks is published by one store to `state`, which packs the list's round, its length
 * and the next task to take. Tasks are taken by compare-and-swap on the whole word, so that a
 * thread that wakes late takes a task of the current list or none; task and arg are written before
 * the word.
 */
#include "worker/team.h"
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

enum { SPINS = 4000 };

struct team {
    int n_threads;
    pthread_t *threads; /* n_threads - 1 of them run */
    int n_running;
    pthread_mutex_t lock;
    pthread_cond_t wake;        /* round or quit changed */
    atomic_uint_fast64_t state; /* round (16 bits), n_tasks (24), next task (24) */
    atomic_int done;            /* tasks of this round that are finished */
    atomic_bool quit;
    atomic_int sleeping;
    void (*task)(void *arg, int i, int thread);
    void *arg;
};

enum { TASK_BITS = 24, TASKS_MAX = (1 << TASK_BITS) - 1 };

struct start {
    struct team *team;
    int thread;
};

static void relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static int next_of(uint_fast64_t state)
{
    return (int)(state & TASKS_MAX);
}

static int length_of(uint_fast64_t state)
{
    return (int)(state >> TASK_BITS & TASKS_MAX);
}

static void claim_tasks(struct team *t, int thread)
{
    uint_fast64_t state = atomic_load(&t->state);

    while (next_of(state) < length_of(state)) {
        if (!atomic_compare_exchange_weak(&t->state, &state, state + 1))
            continue;
        t->task(t->arg, next_of(state), thread);
        atomic_fetch_add(&t->done, 1);
        state = atomic_load(&t->state);
    }
}

static unsigned current_round(struct team *t)
{
    return (unsigned)(atomic_load(&t->state) >> 2 * TASK_BITS);
}

/* Returns once the round is not `seen` any more, or the team ends. */
static void wait_for_round(struct team *t, unsigned seen)
{
    int i;

    for (i = 0; i < SPINS; i++) {
        if (current_round(t) != seen || atomic_load(&t->quit))
            return;
        relax();
    }
    pthread_mutex_lock(&t->lock);
    atomic_fetch_add(&t->sleeping, 1);
    while (current_round(t) == seen && !atomic_load(&t->quit))
        pthread_cond_wait(&t->wake, &t->lock);
    atomic_fetch_sub(&t->sleeping, 1);
    pthread_mutex_unlock(&t->lock);
}

static void *thread_main(void *arg)
{
    struct start *start = arg;
    struct team *t = start->team;
    int thread = start->thread;
    unsigned seen = 0;

    free(start);
    while (!atomic_load(&t->quit)) {
        wait_for_round(t, seen);
        seen = current_round(t);
        claim_tasks(t, thread);
    }
    return NULL;
}

static void wake_all(struct team *t)
{
    if (atomic_load(&t->sleeping) == 0)
        return;
    pthread_mutex_lock(&t->lock);
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->lock);
}

void team_run(struct team *t, void (*task)(void *arg, int i, int thread), void *arg, int n_tasks)
{
    uint_fast64_t round = (current_round(t) + 1) & 0xffff;
    int i;

    if (t->n_threads == 1 || n_tasks == 1) {
        for (i = 0; i < n_tasks; i++)
            task(arg, i, 0);
        return;
    }
    assert(n_tasks <= TASKS_MAX);
    t->task = task;
    t->arg = arg;
    atomic_store(&t->done, 0);
    atomic_store(&t->state, round << 2 * TASK_BITS | (uint_fast64_t)n_tasks << TASK_BITS);
    wake_all(t);
    claim_tasks(t, 0);
    while (atomic_load(&t->done) < n_tasks)
        relax();
}

static int start_threads(struct team *t, struct err *err)
{
    int i;

    for (i = 1; i < t->n_threads; i++) {
        struct start *start = malloc(sizeof(*start));
        if (!start)
            return err_nomem(err, sizeof(*start));
        *start = (struct start){.team = t, .thread = i};
        if (pthread_create(&t->threads[i], NULL, thread_main, start) != 0) {
            free(start);
            return err_set(err, ERR_IO, "thread %d of %d cannot be started", i, t->n_threads);
        }
        t->n_running = i;
    }
    return 0;
}

int team_open(int n_threads, struct team **ret_team, struct err *err)
{
    struct team *t = calloc(1, sizeof(*t));
    int rc;

    if (!t)
        return err_nomem(err, sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->wake, NULL);
    t->n_threads = n_threads;
    t->threads = calloc((size_t)n_threads, sizeof(*t->threads));
    rc = t->threads ? start_threads(t, err) : err_nomem(err, (size_t)n_threads);
    if (rc < 0) {
        team_close(t);
        return rc;
    }
    *ret_team = t;
    return 0;
}

void team_close(struct team *t)
{
    int i;

    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    atomic_store(&t->quit, true);
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->lock);
    for (i = 1; i <= t->n_running; i++)
        pthread_join(t->threads[i], NULL);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    free(t->threads);
    free(t);
}

int team_threads(const struct team *t)
{
    return t->n_threads;
}
