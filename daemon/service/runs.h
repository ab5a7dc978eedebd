/* daemon/service/runs.h - what callers may ask of the jobs in dashd's care: all that are in the
 * store, the queue, and what runs. See run_table.h for what is below it.
 */
#pragma once
#include "daemon/service/run_table.h"

/* Loads the store's jobs; nothing is started or adopted before runs_begin(). */
int runs_open(uv_loop_t *loop, struct store *store, const struct runs_options *options,
              struct runs **ret_runs, struct err *err);
int runs_begin(struct runs *r, struct err *err);
/* Starts no more jobs. Running ones continue without dashd, or, with stop_jobs, are stopped and
 * queued again for the next dashd. Then calls done. Called again it kills them. */
void runs_stop(struct runs *r, bool stop_jobs, void (*done)(void *arg), void *arg);
void runs_close(struct runs *r); /* NULL-safe */

/* Adds a problem where another job has this output folder. */
void runs_check_output(struct runs *r, const char *output, struct problems *problems);

/* Takes over row's strings on success. */
int runs_create(struct runs *r, struct run_row *row, struct run **ret_run, struct err *err);
int run_cancel(struct run *run, struct err *err);
int run_pause(struct run *run, struct err *err);
/* shape: what the job runs as from now on, or NULL for what it ran as; on success its text is taken
 * over, and NULL here. */
struct run_shape {
    char *job_yaml;
    int workers, max_restarts;
    bool slurm;
    int64_t memory_bytes;
};
/* from_step: continue from the checkpoint of this step, which is there; 0: from the newest. */
int run_resume(struct run *run, struct run_shape *shape, int from_step, struct err *err);
/* Frees run. ERR_STATE where it can still do something. */
int run_delete(struct run *run, struct err *err);
/* labels: a text of labels.h, copied. */
int run_update(struct run *run, const char *labels, int priority, struct err *err);

int runs_queue_position(const struct run *run);    /* from 1; 0: not queued */
int runs_count(const struct runs *r, bool queued); /* queued ones, or those that run */
