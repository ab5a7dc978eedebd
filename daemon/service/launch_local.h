/* daemon/service/launch_local.h - a job's mpirun on this machine, from its start or its adoption to
 * the end of its last rank.
 *
 *   mpirun ... -np 1 dash-coordinator ... : -np N dash-worker
 *
 * or of an evaluation's one process, `dash-worker eval`. It runs in a session of its own, so that
 * nothing that happens to dashd happens to it, and starts in two moves: local_start() makes the
 * process, which waits at a gate; its pid is then made durable by the caller, and local_go() opens
 * the gate. If dashd dies in between the gate closes and the process ends having done nothing:
 * whatever runs is in the store.
 *
 * The end is reported when mpirun has gone and no process of its session is left (ranks that
 * outlive their mpirun are killed). Open MPI 4.1's mpirun may wait without end for a rank that died
 * while it started: one without ranks is killed.
 */
#pragma once
#include "daemon/service/launch.h"
#include <stdint.h>
#include <uv.h>

struct local_spec {
    const char *output;   /* folder, exists; its log and lock are made */
    const char *programs; /* folder of dash-coordinator and dash-worker */
    const char *mark;     /* its processes are known by it: in their environment as DASH_LAUNCH */
    int workers;
    bool evaluation;
};

/* Starts the process and leaves it waiting. *ret_pid and *ret_start name it. */
int local_start(uv_loop_t *loop, const struct local_spec *spec, launch_end_fn *on_end, void *arg,
                struct launch **ret_launch, long *ret_pid, uint64_t *ret_start, struct err *err);
void local_go(struct launch *l);

/* Takes over a launch of an earlier dashd. If it has ended, on_end() soon reports it. */
int local_adopt(uv_loop_t *loop, long pid, uint64_t start, bool same_boot, const char *mark,
                launch_end_fn *on_end, void *arg, struct launch **ret_launch, struct err *err);

enum { LOCAL_MARK_BYTES = 64 };
/* What the environment of all processes of the launch with this mark has. */
void local_mark(const char *mark, char ret[LOCAL_MARK_BYTES]);

/* What the waiting process runs: waits at the gate on its standard input, then becomes argv.
 * Returns an exit status if that does not come about. */
int local_gate(char **argv);
