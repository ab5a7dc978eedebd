/* daemon/service/runs_impl.h - what runs.c (the table), runs_report.c (what comes in) and
 * runs_act.c (what is done
 * about it) and runs_end.c (how it ends) share. */
#pragma once
#include "daemon/service/runs.h"

enum {
    FLUSH_MS = 20,
    TICK_MS = 250,
    GATE_LASTS_MS = 10000,
    GATE_PAUSE_MS = 50,
    NOTICES_MAX = 100,
    NOTICE_BYTES_MAX = 1000
};

/* Applies the event and commits the row, in which the caller has changed what else changes; reason
 * NULL: as it was. On failure nothing has changed. */
int runs_transit(struct run *run, struct run_row *next, enum run_event event, const char *reason,
                 struct err *err);
/* Commits a row whose state does not change. */
int runs_save(struct run *run, struct run_row *next, struct err *err);
/* Commits the run's pending steps. */
int runs_flush(struct run *run, struct err *err);
/* After a launch: commits the steps that were not reported; its folder has them. Fails only if the
 * store cannot save them. */
int runs_catch_up(struct run *run, struct err *err);
/* The room for them, when no more can come: there are many jobs, and few that run. */
void runs_free_pending(struct run *run);
/* Reads what the store has of its steps. */
int runs_load_steps(struct run *run, struct err *err);
/* For store_load_notices(); arg is the run. */
int runs_keep_notice(void *arg, const char *text, struct err *err);
/* Something that watchers see has changed. */
void runs_changed(struct run *run);

/* Launches what may be launched now. */
void runs_schedule(struct runs *r);
/* The same for one of Slurm's (runs_slurm.c): submits it, or follows what was submitted. Its folder
 * is prepared. */
int runs_start_slurm(struct run *run, struct err *err);
int runs_adopt_slurm(struct run *run, struct err *err);
/* slurm_open()'s: adds a notice to all runs of Slurm's that its controller is away. arg is the
 * runs. */
void runs_slurm_away(void *arg, const char *words);
/* Takes up a run again that an earlier dashd left. */
int runs_adopt(struct run *run, struct err *err);
/* Asks a run to stop, by whatever way there is; it is killed if it takes too long. */
void runs_ask_to_stop(struct run *run);
/* Kills the run's launch unless it has ended by then. */
void runs_set_deadline(struct run *run, uint64_t ms);
/* An end that is committed as soon as the store takes it. Takes over reason. */
void runs_end(struct run *run, enum run_event event, char *reason);
void runs_commit_end(struct run *run);
/* What an end means for the job, who may have been asked to stop. */
enum run_event runs_resolve_event(const struct run *run, enum run_event event);
/* "stopped after step 3; ..." Caller frees. */
char *runs_explain_stop(const struct run *run);
/* The launch has died: the job continues, or fails for good. Takes over reason, which may be NULL.
 */
void runs_end_by_death(struct run *run, char *reason, bool from_outside);
/* What every end of a launch begins with; true if the run has ended before and is now
 * over. */
bool runs_launch_is_over(struct run *run);
/* A launch_end_fn; arg is the run. */
void runs_on_launch_end(void *arg, const struct launch_end *end);
/* Logs an error once, however often it is met: retries are many. */
void runs_log_once(struct run *run, const char *what, const struct err *err);
/* Makes sure that runs_tick() comes. */
void runs_arm(struct runs *r);
void runs_tick(uv_timer_t *timer);
/* Ends the coordinator's stream, if there is one: it dials again. */
void runs_drop_report(struct run *run, const char *why);
/* True while anything runs. */
bool runs_any_launch(const struct runs *r);
