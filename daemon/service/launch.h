/* daemon/service/launch.h - a job's mpirun, from its start or its adoption to the end of its last
 * rank.
 *
 *   mpirun ... -np 1 dash-coordinator ... : -np N dash-worker
 *
 * It runs in a session of its own, so that nothing that happens to dashd happens to it, and
 * starts in two moves: launch_start() makes the process, which waits at a gate; its pid is then
 * made durable by the caller, and launch_go() opens the gate. If dashd dies in between the gate
 * closes and the process ends having done nothing: whatever runs is in the store.
 *
 * The end is told once, by on_end(), when mpirun has gone and no process of its session is left
 * (ranks that outlive their mpirun are killed): from then on the output folder is nobody's. Open MPI 4.1's
 * mpirun may wait for ever for a rank that died while it started: one without ranks is killed.
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct launch;

struct launch_spec {
    long job;
    const char *output;   /* folder, exists; its log and lock are made */
    const char *programs; /* folder of dash-coordinator and dash-worker */
    const char *server;   /* address that the coordinator dials */
    const char *token;    /* reaches it by the environment only */
    int workers;
};

struct launch_end {
    bool known; /* else it ended unseen: adopted, not our child */
    int status; /* exit status, where signal is 0 */
    int signal;
    bool hung; /* mpirun outlived all its ranks and was killed for it */
};

typedef void launch_end_fn(void *arg, const struct launch_end *end);

/* Starts the process and leaves it waiting. *ret_pid and *ret_start name it. */
int launch_start(uv_loop_t *loop, const struct launch_spec *spec, launch_end_fn *on_end, void *arg,
                 struct launch **ret_launch, long *ret_pid, uint64_t *ret_start, struct err *err);
void launch_go(struct launch *l);

/* Takes over a launch of an earlier dashd. Where it has ended, on_end() tells so soon. */
int launch_adopt(uv_loop_t *loop, long pid, uint64_t start, bool same_boot, const char *token,
                 launch_end_fn *on_end, void *arg, struct launch **ret_launch, struct err *err);

/* Asks the coordinator to stop, by SIGTERM; mpirun where there is none yet. */
void launch_stop(struct launch *l);
/* SIGKILL to all of its processes. */
void launch_kill(struct launch *l);
/* Looks away: what runs goes on. on_end() is not called. NULL-safe. */
void launch_forget(struct launch *l);

/* What the waiting process runs: waits at the gate on its standard input, then becomes argv.
 * Returns an exit status if that does not come about. */
int launch_gate(char **argv);
