/* daemon/service/run_steps.c - see run_steps.h. Numbers of pending steps rise by one from `done`,
 * so the last is enough to know what is new. */
#include "daemon/service/run_steps.h"
#include "core/clock.h"
#include <stdlib.h>
#include <string.h>

int run_steps_last(const struct run_steps *s)
{
    return s->n_pending ? s->pending[s->n_pending - 1].step : s->done;
}

int run_steps_load(struct run_steps *s, struct store *store, long id, struct err *err)
{
    struct step_sums sums = {0};
    int n = 0, rc = store_sum_steps(store, id, &sums, err);

    if (rc == 0 && sums.last > 0)
        rc = store_read_steps(store, id, sums.last - STEPS_RECENT + 1, s->recent, STEPS_RECENT, &n,
                              err);
    if (rc < 0)
        return rc;
    s->done = sums.last;
    s->tokens = sums.tokens;
    s->trained_tokens = sums.trained_tokens;
    s->n_recent = n;
    return 0;
}

int run_steps_cut(struct run_steps *s, struct store *store, long id, int last, struct err *err)
{
    int rc = store_cut_steps(store, id, last, err);

    if (rc == 0)
        rc = run_steps_load(s, store, id, err);
    s->metrics_read = 0;
    return rc;
}

int run_steps_add(struct run_steps *s, const struct step_row *step, struct err *err)
{
    if (s->n_pending == s->cap_pending) {
        int cap = s->cap_pending ? 2 * s->cap_pending : 64;
        struct step_row *pending = realloc(s->pending, (size_t)cap * sizeof(*pending));
        if (!pending)
            return err_nomem(err, (size_t)cap * sizeof(*pending));
        s->pending = pending;
        s->cap_pending = cap;
    }
    s->pending[s->n_pending++] = *step;
    return 0;
}

static void remember(struct run_steps *s, const struct step_row *step)
{
    if (s->n_recent == STEPS_RECENT)
        memmove(s->recent, s->recent + 1, (STEPS_RECENT - 1) * sizeof(*s->recent));
    else
        s->n_recent++;
    s->recent[s->n_recent - 1] = *step;
    s->tokens += step->tokens;
    s->trained_tokens += step->trained_tokens;
}

int run_steps_commit(struct run_steps *s, struct store *store, long id, struct err *err)
{
    int rc = store_add_steps(store, id, s->pending, s->n_pending, clock_unix_ms(), err);

    if (rc == 0) {
        for (int i = 0; i < s->n_pending; i++)
            remember(s, &s->pending[i]);
        s->done = run_steps_last(s);
    }
    s->n_pending = 0;
    return rc;
}

void run_steps_free_pending(struct run_steps *s)
{
    free(s->pending);
    s->pending = NULL;
    s->n_pending = s->cap_pending = 0;
}
