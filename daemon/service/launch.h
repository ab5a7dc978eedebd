/* daemon/service/launch.h - what runs for a job, whoever started it: mpirun here (launch_local.h)
 * or Slurm on its nodes (slurm.h).
 *
 * The end is reported once, by the launch_end_fn: from then on the output folder is nobody's and
 * the launch is freed.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>

struct launch;

struct launch_end {
    bool known; /* else it ended unseen: adopted, not our child */
    int status; /* exit status, where signal is 0 */
    int signal;
    bool out_of_memory; /* its control group was full */
    bool hung;          /* mpirun outlived all its ranks and was killed for it */
};

typedef void launch_end_fn(void *arg, const struct launch_end *end);

struct launch_ops {
    void (*stop)(struct launch *l);
    void (*kill)(struct launch *l);
    void (*forget)(struct launch *l);
    int linger_ms; /* how long it may take to go after its job has ended */
};

struct launch { /* the beginning of what its maker keeps */
    const struct launch_ops *ops;
};

/* Asks it to end after a checkpoint. */
static inline void launch_stop(struct launch *l)
{
    l->ops->stop(l);
}

/* Ends it at once. */
static inline void launch_kill(struct launch *l)
{
    l->ops->kill(l);
}

/* Stops following it: what runs continues, and its end is not reported. NULL-safe. */
static inline void launch_forget(struct launch *l)
{
    if (l)
        l->ops->forget(l);
}
