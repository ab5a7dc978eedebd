/* daemon/service/run.h - the states of a job, and nothing that acts.
 *
 *   QUEUED --> STARTING --> RUNNING --> SUCCEEDED
 *                 |            |------> FAILED       (STARTING may end in these as well)
 *                 |            '------> CANCELLED    (stopped after a checkpoint)
 *   QUEUED ---------------------------> CANCELLED    (at once: nothing runs)
 *   STARTING, RUNNING ----------------> QUEUED       (the launch is over, the job is not)
 *   RUNNING --------------------------> STARTING     (it is in Slurm's queue again)
 *   STARTING, RUNNING, QUEUED --------> PAUSED       (a queued one at once)
 *   PAUSED ---------------------------> CANCELLED
 *   FAILED, CANCELLED, PAUSED --------> QUEUED       (resume)
 *
 * A cancel or a pause leaves a job that runs in its state: it finishes its step, writes a
 * checkpoint and then is CANCELLED or PAUSED.
 *
 * run_apply() is a pure function of (state, event): the table in run.c is all there is to know. Its
 * caller commits the new state to the store before it acts on it (runs.h), so a restart re-applies
 * the last event and every action must be safe to repeat; hence an end that is reported twice is
 * the same end.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>

/* The values are those of JobKind in proto/dash.proto, and what the store keeps. */
enum run_kind { RUN_TRAINING = 1, RUN_EVALUATION };

/* What a job that is under way has been asked to do. The values are what the store keeps. */
enum run_stop { STOP_NONE, STOP_CANCEL, STOP_PAUSE };

/* The values are those of JobState in proto/dash.proto, and what the store keeps. */
enum run_state {
    RUN_QUEUED = 1,
    RUN_STARTING,
    RUN_RUNNING,
    RUN_SUCCEEDED,
    RUN_FAILED,
    RUN_CANCELLED,
    RUN_PAUSED,
    RUN_STATES
};

enum run_event {
    RUN_LAUNCHED,        /* its turn has come */
    RUN_FIRST_REPORT,    /* its coordinator has dialled */
    RUN_ADAPTER_WRITTEN, /* it ended as it should */
    RUN_STOPPED,         /* it ended after a checkpoint, or was killed, as requested */
    RUN_BROKE,           /* it ended otherwise, or could not be started */
    RUN_RANK_DIED,       /* the launch has died */
    RUN_UNSTARTED,       /* it never got past its gate, or into Slurm */
    RUN_INTERRUPTED,     /* dashd has stopped it, for the next dashd to continue */
    RUN_REQUEUED,        /* Slurm will start it again: the launch waits */
    RUN_CANCEL,
    RUN_PAUSE, /* it is to stop and to wait until it is resumed */
    RUN_HELD,  /* it has, after a checkpoint, or was killed */
    RUN_RESUME,
    RUN_EVENTS
};

/* Sets *ret_state on success. ERR_STATE, naming both, where the event cannot happen in the state.
 */
int run_apply(enum run_state state, enum run_event event, enum run_state *ret_state,
              struct err *err);

/* SUCCEEDED, FAILED or CANCELLED: nothing more comes unless it is resumed. */
bool run_is_final(enum run_state state);
/* STARTING or RUNNING: only then reports and ends are expected. */
bool run_is_under_way(enum run_state state);

const char *run_state_name(enum run_state state); /* "QUEUED" and so on */
