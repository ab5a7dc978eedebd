/* daemon/service/run_end.h - how runs end: what an end means, in words, and its commit.
 *
 * An end comes from the coordinator (run_ended()), or the launch is over and nobody has reported
 * how (run_on_launch_end()). A launch that died is followed by another as restart.h decides. An end
 * that cannot be committed (a full disk) waits in run->ending, and is tried again at each tick; a
 * cancel that comes meanwhile counts.
 */
#pragma once
#include "daemon/service/run_table.h"

/* What the coordinator reports. */
int run_ended(struct run *run, enum run_event event, const char *reason, struct err *err);

/* Ends the run as soon as the store takes it. Takes over reason. */
void run_end(struct run *run, enum run_event event, char *reason);
/* The same: back to the queue, but not before this Unix time. */
void run_end_until(struct run *run, char *reason, int64_t not_before_ms);
/* The launch has died: as restart.h decides, the job is launched again or fails. Takes over reason,
 * which may be NULL. */
void run_die(struct run *run, char *reason, bool from_outside);
/* Tries an end that waits. */
void run_commit_end(struct run *run);

/* What an end means for the job, who may have been asked to stop. */
enum run_event run_resolve_event(const struct run *run, enum run_event event);
/* "stopped after step 3; ..." Caller frees. */
char *run_explain_stop(const struct run *run);
/* What every end of a launch begins with; true if the run has ended before and is now over. */
bool run_launch_is_over(struct run *run);
/* A launch_end_fn; arg is the run. */
void run_on_launch_end(void *arg, const struct launch_end *end);
/* Kills the run's launch unless it has ended by then. */
void run_set_deadline(struct run *run, uint64_t ms);
