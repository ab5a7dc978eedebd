/* daemon/service/store.h - what dashd knows, on disk: <state>/jobs.db (SQLite, WAL,
 * synchronous=FULL).
 *
 * A function that returns 0 has made its change durable, unless a store_begin() is open: then
 * store_commit() does. One thread uses a store. Two dashd never share a state folder: store_open()
 * locks it.
 *
 * A file that SQLite finds damaged, that is another program's or a newer dashd's is refused and
 * never written.
 */
#pragma once
#include "core/slurm/script.h"
#include "core/err.h"
#include "daemon/service/run.h"
#include "proto/step_row.h"
#include <stdint.h>

struct store;

/* A job as it is kept. Strings are owned, never NULL. */
struct run_row {
    long id;
    enum run_kind kind;
    char *name;
    enum run_state state;
    char *reason;
    int64_t created_ms, queued_ms, started_ms, finished_ms; /* Unix time; 0: not yet */
    int steps_total;
    int phase;        /* Phase of dash.proto */
    int workers;      /* stages * replicas */
    int restarts;     /* relaunches of its whole life */
    int max_restarts; /* of the job: without progress between them */
    int deaths;       /* since it last got on */
    int death_step;   /* steps done at the last of them */
    char *death_reason;
    int64_t not_before_ms; /* Unix time: back-off; 0: none */
    char *output;
    char *job_yaml;     /* of an evaluation: evaluation_request.h */
    enum run_stop stop; /* it has been asked to stop, and why */

    bool slurm;        /* launched by Slurm, else by mpirun here */
    bool external;     /* its user submits its batch script */
    int64_t slurm_job; /* Slurm's id of it, as far as it is known; 0: none, or not yet */

    int launch;     /* counts; 0: never started */
    char token[33]; /* of this launch: its coordinator proves itself with it */
    char mark[SCRIPT_MARK_LEN +
              1]; /* of this launch: its processes, or its Slurm job, are known by it. No secret */
    long pid;     /* of mpirun; 0: nothing runs */
    uint64_t pid_start; /* /proc/PID/stat's start time: with boot_id it distinguishes this pid from
                           a later one */
    char boot_id[40];
    int64_t log_offset; /* size of the job's log when this launch began */

    char *labels;          /* as labels.h writes them */
    int priority;          /* the greater runs first */
    char *request_id;      /* by which its creator knows it; "": none */
    char request_hash[33]; /* of the request that made it */
    char *created_by;      /* who */
    char *nodes;           /* where it runs, or last ran: a host, or Slurm's list of nodes; "" */
    int64_t memory_bytes;  /* of all processes, as planned; 0: not known */
    int restore_step;      /* checkpoints after it are removed before the next launch; 0: none */
};

/* What the steps of a job come to. */
struct step_sums {
    int last; /* number of the last; 0: none */
    int64_t tokens, trained_tokens;
};

/* A step, and when it was learned: Unix time, and the last event of the job before it (0: none),
 * which is not less than that of the step before. */
struct step_at {
    struct step_row row;
    int64_t at_ms, after_event;
};

/* What happened to a job, for good. The values are those of EventKind in proto/dash.proto. */
enum event_kind { EVENT_STATE = 1, EVENT_PHASE, EVENT_NOTICE };
struct event_row {
    int64_t id; /* rises, over all jobs */
    int64_t at_ms;
    enum event_kind kind;
    enum run_state state; /* after it */
    int phase;            /* after it */
    const char *text;     /* reason of the state, or the notice */
};

/* state: an existing folder. */
int store_open(const char *state, struct store **ret_store, struct err *err);
void store_close(struct store *s); /* NULL-safe */

int store_begin(struct store *s, struct err *err);
int store_commit(struct store *s, struct err *err);
void store_rollback(struct store *s);

/* Adds the row and sets row->id. */
int store_add_run(struct store *s, struct run_row *row, struct err *err);
int store_save_run(struct store *s, const struct run_row *row, struct err *err);
/* Calls take for every job, oldest first, with a row that take then owns (run_row_free()). */
int store_load_runs(struct store *s, int (*take)(void *arg, struct run_row *row, struct err *err),
                    void *arg, struct err *err);
void run_row_free(struct run_row *row);
/* Whether it has all its strings: false for lack of memory. */
bool run_row_is_whole(const struct run_row *row);
/* *row becomes *next, whose strings it may share. */
void run_row_replace(struct run_row *row, const struct run_row *next);
/* With its steps, notices and events. Its id is not given again. */
int store_delete_run(struct store *s, long id, struct err *err);

/* Steps of job id, learned at that Unix time, all or none. A step that is there already is
 * replaced.
 */
int store_add_steps(struct store *s, long id, const struct step_row *steps, int n, int64_t at_ms,
                    struct err *err);
/* Forgets the steps after `last`. */
int store_cut_steps(struct store *s, long id, int last, struct err *err);
/* Up to max steps from number `from` on. */
int store_read_steps(struct store *s, long id, int from, struct step_row *steps, int max,
                     int *ret_n, struct err *err);
/* Up to max steps with numbers below `before`, the newest first. */
int store_read_steps_back(struct store *s, long id, int before, struct step_at *steps, int max,
                          int *ret_n, struct err *err);
/* The steps that were learned before an event of the job are those with numbers below *ret_before.
 */
int store_find_steps_before(struct store *s, long id, int64_t event, int *ret_before,
                            struct err *err);
int store_sum_steps(struct store *s, long id, struct step_sums *ret, struct err *err);

int store_add_notice(struct store *s, long id, const char *text, struct err *err);
int store_load_notices(struct store *s, long id,
                       int (*take)(void *arg, const char *text, struct err *err), void *arg,
                       struct err *err);

int store_add_event(struct store *s, long id, const struct event_row *event, struct err *err);
/* Calls take for up to max events of the job with ids after `after`, oldest first. */
int store_read_events(struct store *s, long id, int64_t after, int max,
                      int (*take)(void *arg, const struct event_row *event, struct err *err),
                      void *arg, struct err *err);
/* The same for ids before `before`, newest first. */
int store_read_events_back(struct store *s, long id, int64_t before, int max,
                           int (*take)(void *arg, const struct event_row *event, struct err *err),
                           void *arg, struct err *err);
