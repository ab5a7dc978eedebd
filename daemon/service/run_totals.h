/* daemon/service/run_totals.h - what all jobs together have done since dashd began; for metrics. */
#pragma once
#include "proto/step_row.h"
#include <stdint.h>

enum { QUEUE_BOUNDS = 7 };

/* Upper bounds in seconds of the waits that are counted together. */
static const double run_totals_bounds[QUEUE_BOUNDS] = {1, 10, 60, 600, 3600, 21600, 86400};

struct run_totals {
    uint64_t steps, tokens, trained_tokens, launches, restarts;
    double step_seconds, checkpoint_seconds;
    uint64_t waits[QUEUE_BOUNDS + 1]; /* from the queue to a launch */
    double wait_seconds;
};

static inline void run_totals_add_step(struct run_totals *t, const struct step_row *step)
{
    t->steps++;
    t->step_seconds += step->seconds;
    t->checkpoint_seconds += step->checkpoint_seconds;
    t->tokens += (uint64_t)step->tokens;
    t->trained_tokens += (uint64_t)step->trained_tokens;
}

static inline void run_totals_add_wait(struct run_totals *t, double seconds)
{
    int i = 0;

    while (i < QUEUE_BOUNDS && seconds > run_totals_bounds[i])
        i++;
    t->waits[i]++;
    t->wait_seconds += seconds;
    t->launches++;
}
