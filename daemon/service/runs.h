/* daemon/service/runs.h - the jobs under dashd's care: all that are in the store, the queue, and
 * what runs.
 *
 * Order is everything here: apply (run.h), commit (store.h), then act, then answer. A function that
 * returns 0 has made its change durable; one that fails has changed nothing. What dashd was in the
 * middle of when it died is done again at its next start.
 *
 * Steps are committed in groups, FLUSH_MS after the first at the latest; only then do watchers see
 * them. A change of state commits the steps before it first. An end that cannot be committed (a
 * full disk) is tried again until it can; a report that cannot be is refused, and the coordinator
 * sends it again.
 */
#pragma once
#include "core/err.h"
#include "core/problems.h"
#include "daemon/service/check.h"
#include "daemon/service/launch.h"
#include "daemon/service/rpc.h"
#include "daemon/service/store.h"

enum { RUN_RECENT = 10 };

struct slurm;   /* slurm.h */
struct checker; /* check.h */
struct watcher; /* watch.h */

struct run {
    struct runs *runs;
    struct run_row row; /* as committed (phase may be newer) */
    char **notices;
    int n_notices;

    int steps_done;                     /* number of the last committed step */
    struct step_row recent[RUN_RECENT]; /* the last committed steps, oldest first */
    int n_recent;
    struct step_row *pending; /* reported, not yet committed */
    int n_pending, cap_pending;

    unsigned int version; /* counts the changes that watchers see */
    struct watcher *watchers;

    struct launch *launch;   /* what runs, or NULL */
    struct rpc_call *report; /* the coordinator's stream, or NULL */
    bool stop_sent;          /* on that stream */
    bool pausing;            /* dashd stops its jobs: this one is queued again when it ends */
    uint64_t kill_at_ms;     /* loop time; 0: no deadline runs */
    uint64_t gate_until_ms;  /* loop time; a process at an earlier dashd's gate may last so long */
    bool end_waits;          /* for the store: an end that is to be committed */
    enum run_event end_event;
    char *end_reason;
    bool end_counts; /* a death: the next launch is a restart */
    bool end_from_outside;
    int64_t not_before_ms; /* of an end after which it is queued again: Unix time; 0: none */

    int64_t metrics_read; /* bytes of its metrics.jsonl that are known; see catch_up.h */
    int late_looks;       /* for an outcome after Slurm has said that it is complete */
    bool slurm_ran;       /* its Slurm job has been seen running since it last was queued */
    int64_t log_seen;     /* size of its log when Slurm last queued it again */
};

struct runs_options {
    const char *programs; /* folder of dash-coordinator and dash-worker */
    char *server;         /* the address that coordinators on this machine dial */
    char **reach;         /* those that coordinators on other nodes try; NULL-terminated, or NULL */
    int max_running;      /* of those that run on this machine */
    int slurm_poll_s;     /* between two looks at Slurm's queue, at most */
    int stop_grace_s;
    int restart_delay_ms; /* after a first death */
    struct check_limits check;
    void (*on_change)(struct run *run); /* of what its watchers see */
};

struct runs {
    uv_loop_t *loop;
    struct store *store;
    struct runs_options options;
    char boot_id[40];
    struct run **items; /* oldest first */
    int n, cap;
    uv_timer_t *flush, *tick;
    struct slurm *slurm; /* NULL: this machine has no Slurm */
    struct checker *checker;
    bool stopping;
    char last_complaint[1000];
    void (*on_stopped)(void *arg);
    void *on_stopped_arg;
};

/* Loads the store's jobs; nothing is started or adopted before runs_begin(). */
int runs_open(uv_loop_t *loop, struct store *store, const struct runs_options *options,
              struct runs **ret_runs, struct err *err);
int runs_begin(struct runs *r, struct err *err);
/* Starts no more jobs. Running ones continue without dashd, or, with stop_jobs, are stopped and
 * queued again for the next dashd. Then calls done. Called again it kills them. */
void runs_stop(struct runs *r, bool stop_jobs, void (*done)(void *arg), void *arg);
void runs_close(struct runs *r); /* NULL-safe */

/* By id, else by a name that only one job has. */
int runs_find(struct runs *r, const char *id_or_name, struct run **ret_run, struct err *err);
/* Adds a problem where another job has this output folder. */
void runs_check_output(struct runs *r, const char *output, struct problems *problems);

/* Takes over row's strings on success. */
int runs_create(struct runs *r, struct run_row *row, struct run **ret_run, struct err *err);
int runs_cancel(struct run *run, struct err *err);
/* The batch script of a run whose row says that it is external, which follows it from now on.
 * Caller frees *ret_script. */
int runs_write_script(struct run *run, char **ret_script, struct err *err);
/* shape: what the job runs as from now on, or NULL for what it ran as; on success its text is taken
 * over, and NULL here. */
struct run_shape {
    char *job_yaml;
    int workers, max_restarts;
    bool slurm;
};
int runs_resume(struct run *run, struct run_shape *shape, struct err *err);

/* What a coordinator reports. runs_hello(): ERR_INVALID when the token is not this launch's. On
 * success the stream is the run's, until it ends or another takes its place. */
int runs_hello(struct runs *r, const char *id, const char *token, int resumed_from, int steps_total,
               struct rpc_call *report, struct run **ret_run, struct err *err);
int runs_step(struct run *run, const struct step_row *step, struct err *err);
int runs_phase(struct run *run, int phase, struct err *err);
int runs_notice(struct run *run, const char *text, struct err *err);
int runs_ended(struct run *run, enum run_event event, const char *reason, struct err *err);
void runs_report_gone(struct run *run);

int runs_queue_position(const struct run *run);    /* from 1; 0: not queued */
int runs_count(const struct runs *r, bool queued); /* queued ones, or those that run */
