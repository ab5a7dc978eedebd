/* daemon/service/run_slurm.h - runs that Slurm launches: what its answers mean for them. See
 * slurm.h.
 *
 * The batch script (core/slurm/script.h) starts dead processes again and has Slurm queue the job
 * again before its time limit, so a launch here is the script's life, however often Slurm starts
 * it:
 *
 *   in Slurm's queue     STARTING, with Slurm's reason; after it had run: RUN_REQUEUED
 *   running              STARTING until a report comes, or, unconnected, until metrics.jsonl has a
 *                        row; then RUNNING
 *   over                 the outcome in the folder counts. Else, where somebody cancelled it in
 *                        Slurm: CANCELLED; where Slurm
 *                        ended it (time limit, preemption, a dead node): submitted again, as after
 *                        a death from outside
 *   never got there      to the queue again, or FAILED in Slurm's words
 */
#pragma once
#include "daemon/service/run_table.h"

/* Submits it, or follows what was submitted. Its folder is prepared. */
int run_start_slurm(struct run *run, struct err *err);
/* Takes up one again that an earlier dashd left. */
int run_adopt_slurm(struct run *run, struct err *err);
/* The batch script of a run whose row says that it is external, which follows it from now on.
 * Caller frees *ret_script. */
int run_write_script(struct run *run, char **ret_script, struct err *err);
/* Adds a notice to all runs of Slurm's that its controller is away, or, with words NULL, back. */
void run_slurm_away(void *runs, const char *words);
