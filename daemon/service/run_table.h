/* daemon/service/run_table.h - all jobs that are in the store, and how one of them changes.
 *
 * Order is everything here: apply (run.h), commit (store.h), then act, then answer. A function that
 * returns 0 has made its change durable; one that fails has changed nothing. What dashd was in the
 * middle of when it died is done again at its next start.
 *
 * Above it, each knowing only what is below: run_report (what coordinators report), run_end (how a
 * run ends), run_slurm (runs that Slurm launches), run_launch (what runs, and when), runs (what
 * callers ask for). What the table itself must call there is a callback.
 */
#pragma once
#include "core/err.h"
#include "core/problems.h"
#include "daemon/service/check.h"
#include "daemon/service/launch.h"
#include "daemon/service/rpc.h"
#include "daemon/service/run_steps.h"
#include "daemon/service/run_totals.h"
#include "daemon/service/store.h"

struct slurm;   /* slurm.h */
struct checker; /* check.h */
struct watcher; /* watch.h */
struct list_watchers;

/* An end that waits for the store to commit it: run_end.h. */
enum ending_kind {
    ENDING_NONE,
    ENDING_OVER,  /* the job had ended before: only that nothing runs is to be kept */
    ENDING_EVENT, /* the event, with its reason */
    ENDING_DEATH, /* of the launch, with its reason: restart.h decides what follows */
};

struct run_ending {
    enum ending_kind kind;
    enum run_event event;
    char *reason; /* owned; NULL: none, or no memory for it */
    bool from_outside;
    int64_t not_before_ms; /* after which it is queued again: Unix time; 0: none */
};

/* Of a run that Slurm launches: run_slurm.h. */
struct run_slurm {
    bool ran;           /* its Slurm job has been seen running since it last was queued */
    int late_looks;     /* for an outcome after Slurm has said that it is complete */
    int64_t log_seen;   /* size of its log when Slurm last queued it again */
    int reason_looks;   /* left for the reason of that in its log; 0: none is looked for */
    int requeued_after; /* step */
};

struct run {
    struct runs *runs;
    struct run_row row; /* as committed (phase may be newer) */
    char **notices;
    int n_notices;
    struct run_steps steps;
    struct run_decomposition { /* as the coordinator of this launch has last said */
        int done, matrices;    /* 0: nothing yet */
        double seconds_left;
    } decomposition;

    double checkpoint_seconds; /* that the last took, as its coordinator says; 0: not known */
    unsigned int version;      /* counts the changes that watchers see */
    struct watcher *watchers;

    struct launch *launch;   /* what runs, or NULL */
    struct rpc_call *report; /* the coordinator's stream, or NULL */
    bool stop_sent;          /* on that stream */
    bool interrupting;       /* dashd stops its jobs: this one is queued again when it ends */
    uint64_t kill_at_ms;     /* loop time; 0: no deadline runs */
    uint64_t gate_until_ms;  /* loop time: so long an earlier dashd's process may wait to start */
    struct run_ending ending;
    struct run_slurm slurm;
    bool followed; /* follow_ups.h has looked at it */
    char *model;   /* that it trains, once that was asked for (openai_models.c); else NULL */
};

struct runs_options {
    const char *programs; /* folder of dash-coordinator and dash-worker */
    char *server;         /* the address that coordinators on this machine dial */
    char *
        *node_addresses; /* those that coordinators on other nodes try; NULL-terminated, or NULL */
    char *reports_certificate; /* dashd's, at the latter, PEM; NULL where they are NULL */
    const char *user;          /* whose rights all jobs have, in words */
    int max_running;           /* of those that run on this machine */
    double memory_bytes;       /* that they may take together, by their plans */
    const char *groups;        /* where control groups may be made (memory_group.h), or NULL */
    int slurm_poll_s;          /* between two looks at Slurm's queue, at most */
    int stop_grace_s;
    int restart_delay_ms; /* after a first death */
    struct check_limits check;
    void (*on_change)(struct run *run); /* of what its watchers see */
    void (*on_delete)(struct run *run); /* it is about to be freed */
};

/* What the table calls above it. */
struct run_callbacks {
    void (*tick)(uv_timer_t *timer); /* timer->data is the runs */
    void (*slurm_away)(void *runs, const char *words);
};

struct runs {
    uv_loop_t *loop;
    struct store *store;
    struct runs_options options;
    struct run_callbacks callbacks;
    char boot_id[40];
    struct run **items; /* oldest first */
    int n, cap;
    bool groups_left; /* control groups of launches that are over may be there (run_memory.h) */
    uv_timer_t *flush, *tick;
    struct slurm *slurm; /* NULL: this machine has no Slurm */
    struct checker *checker;
    struct run_totals totals;
    struct list_watchers *list_watchers; /* watch_list.h; or NULL */
    struct follow_ups *follow_ups;       /* whose callbacks look at it; or NULL */
    bool stopping;
    char last_logged[1000]; /* by run_log_once() */
    void (*on_stopped)(void *arg);
    void *on_stopped_arg;
};

/* Loads the store's jobs. */
int run_table_open(uv_loop_t *loop, struct store *store, const struct runs_options *options,
                   const struct run_callbacks *callbacks, struct runs **ret_runs, struct err *err);
void run_table_close(struct runs *r); /* NULL-safe */

/* Adds a job, committed; takes over row's strings on success. */
int run_table_add(struct runs *r, struct run_row *row, struct run **ret_run, struct err *err);
/* Deletes a job for good, of which nothing runs and no end waits; frees run. */
int run_table_remove(struct run *run, struct err *err);
/* The job that this caller's request of this id has made; NULL: none, or the id is "". */
struct run *runs_find_request(struct runs *r, const char *created_by, const char *request_id);
/* By id, else by a name that only one job has. */
int runs_find(struct runs *r, const char *id_or_name, struct run **ret_run, struct err *err);
/* The order of the queue. */
bool run_is_before(const struct run_row *a, const struct run_row *b);
/* Those in the queue have moved. */
void runs_queue_changed(struct runs *r);
/* Makes sure that the tick comes. */
void runs_arm(struct runs *r);

/* Applies the event and commits the row, in which the caller has changed what else changes; reason
 * NULL: as it was. On failure nothing has changed. */
int run_transit(struct run *run, struct run_row *next, enum run_event event, const char *reason,
                struct err *err);
/* Commits a row whose state does not change. */
int run_save(struct run *run, struct run_row *next, struct err *err);
/* The same, for a new phase. */
int run_save_phase(struct run *run, struct run_row *next, struct err *err);
/* Something that watchers see has changed. */
void run_changed(struct run *run);
/* A sentence for the user, kept once. */
int run_add_notice(struct run *run, const char *text, struct err *err);
/* Logs an error once, however often it is met: retries are many. */
void run_log_once(struct run *run, const char *what, const struct err *err);
