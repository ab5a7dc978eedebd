/* daemon/service/check.h - jobs checked in a process of their own.
 *
 * A check reads whatever files a job names, for as long as it takes. So `dashd --check` does it,
 * within limits of memory, processor time and files and until a deadline; what it meets there
 * (a file that is cut while it is read, memory that runs out) cannot end dashd. The checks
 * themselves are job_validate(), as everywhere.
 *
 *   dashd -> check   one JSON object on its standard input: the request
 *   check -> dashd   one JSON object on its standard output: the result
 *
 * CHECKS_AT_ONCE run at the same time, others wait; more than CHECKS_WAITING are refused.
 */
#pragma once
#include "core/err.h"
#include "core/job/job_check.h"
#include "core/job/job_roots.h"
#include <stdbool.h>
#include <uv.h>

enum { CHECKS_AT_ONCE = 2, CHECKS_WAITING = 32, CHECK_SETS_MAX = 256 };

struct checker;
struct check;

struct check_limits {
    const struct job_roots *roots; /* that paths must be in; NULL: anywhere */
    int memory_mb;                 /* 0: a quarter of the machine's */
    int seconds;                   /* of the clock and of the processor */
};

struct check_request { /* copied by check_start() */
    const char *text, *file, *directory;
    bool evaluation; /* text is one (evaluation_request.h): nothing else is looked at */
    const char *const *sets;
    int n_sets;
    bool new_output; /* the output folder must be free, or with resume hold this job */
    bool resume;
    bool has_slurm;                     /* jobs for Slurm can be launched from here */
    const struct job_plan_nodes *nodes; /* also plan time, for these; or NULL */
    const char *before; /* the job that this one must equal in what decides the numbers, or NULL */
};

struct check_problem {
    const char *field; /* the key of the job file; "" where none is known */
    const char *text;
};

struct check_result {
    int code;          /* 0; ERR_INVALID where there are problems; else ERR_ */
    const char *error; /* where code is not 0: all problems, a line each, or what failed */
    const struct check_problem *problems; /* the same, one by one */
    int n_problems;
    const char *yaml;    /* the resolved job, where code is 0 */
    const char *output;  /* its output folder as far as it is known, else NULL */
    const char *risk;    /* what the user should know about the output folder, or NULL */
    double memory_bytes; /* of all processes, as planned */
    const char **lines;  /* the plan, for people */
    int n_lines;
    const struct job_estimate *estimates; /* (n_estimates), where nodes were asked for */
    int n_estimates;
};

/* The result lives until done() returns; the check is over then. */
typedef void check_fn(void *arg, const struct check_result *result);

int checker_open(uv_loop_t *loop, const struct check_limits *limits, struct checker **ret_checker,
                 struct err *err);
void checker_close(struct checker *c); /* NULL-safe; cancels all checks */

/* ERR_STATE where too many wait already; ERR_INVALID where the request cannot be a job. */
int check_start(struct checker *c, const struct check_request *request, check_fn *done, void *arg,
                struct check **ret_check, struct err *err);
/* Ends it; done() is not called. */
void check_cancel(struct check *check);

/* The process: `dashd --check MEMORY_MB SECONDS`. Returns its exit status. */
int check_process(int argc, char **argv);
