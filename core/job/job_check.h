/* core/job/job_check.h - a job held against its model and its data, before anything is started.
 *
 * Everything that can be known to fail is found here: model and tokenizer, data rows, the start
 * adapter, targets, directions that a matrix cannot have, more stages than layers. All problems are
 * gathered; the job's steps are resolved. The plan says in words what would run.
 */
#pragma once
#include "core/text/dataset.h"
#include "core/job/cost.h"
#include "core/job/job.h"
#include "core/model/model.h"

/* A step on some nodes. */
struct job_estimate {
    struct cost_shape shape;
    struct cost_step step;
    double worker_bytes; /* of the largest */
    double coordinator_bytes;
    bool fits; /* in the memory of a node */
};

struct job_plan {
    long rows;    /* of the training data */
    int steps;    /* resolved */
    char **lines; /* owned: sizes, shards, memory, for people */
    int n_lines;
    struct job_estimate *estimates; /* owned; of job_plan_cost() */
    int n_estimates;
    struct cost_data data; /* of a step */
    struct micro_batch_sizes sizes;
    double trained;       /* share of the data's tokens */
    double data_bytes;    /* of the rows' ids and labels */
    double memory_bytes;  /* of all processes, the coordinator's too */
    double machine_bytes; /* of those that share a machine with the coordinator */
    double output_bytes;  /* of the output folder, at most */
    double cache_bytes;   /* of decompositions in the cache, at most */
};

/* Fills *ret_plan on success (free with job_plan_free()). ERR_INVALID when problems were added. */
int job_check(struct job *job, struct problems *problems, struct job_plan *ret_plan,
              struct err *err);

enum job_output {
    JOB_OUTPUT_ANY,    /* not looked at */
    JOB_OUTPUT_NEW,    /* as output_check() has it for a new job */
    JOB_OUTPUT_RESUMED /* and for one that is resumed */
};

/* job_read(), job_check() and output_check() in one, so that everything wrong is reported at once:
 * what plan, submit, run and sbatch all mean by a check. With ERR_INVALID *ret_job, the caller's,
 * is set as well, as far as it could be read; with other errors it is NULL. */
int job_validate(const char *text, const char *file, const char *directory, const char *const *sets,
                 int n_sets, enum job_output output, struct job **ret_job,
                 struct job_plan *ret_plan, struct problems *problems, struct err *err);
void job_plan_free(struct job_plan *plan);

/* Fills *plan, of a job that has no problems, for the training data d and that of evaluations (n 0:
 * none); what its memory does not suffice for becomes a problem. ERR_INVALID where the nodes that
 * it asks for cannot share it out. What was added is there on failure too. */
int job_plan_make(const struct job *job, const struct model *model, const struct dataset *d,
                  const struct dataset *eval, struct job_plan *plan, struct problems *problems,
                  struct err *err);

enum { PLAN_COUNTS_MAX = 16 };

/* The nodes that a plan is for. */
struct job_plan_nodes {
    struct node node;   /* gflops 0: time is not planned */
    const char *origin; /* in words: where its numbers are from, or why there is no rate */
    int counts[PLAN_COUNTS_MAX];
    int n_counts; /* numbers of nodes to choose shapes for; 0: as the job has it */
};

/* Adds time, and what processes take, to the plan of a job that job_check() has checked. */
int job_plan_cost(const struct job *job, const struct job_plan_nodes *nodes, struct job_plan *plan,
                  struct err *err);
/* Adds a line. */
void job_plan_add(struct job_plan *plan, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Adds what the job is limited to, and a problem for each limit that the plan is beyond. */
void job_plan_limits(const struct job *job, struct job_plan *plan, struct problems *problems);

/* The shape that a job leaves open, as it would be with the most nodes that it may have and can
 * use. ERR_INVALID where none is possible. */
int job_plan_shape(const struct job *job, const struct model_config *c, const struct trainable *t,
                   const struct worker_limits *limits, struct job_parallel *ret, struct err *err);

struct tokenizer;
/* Where data.date is not given and the chat template prints a date, sets it to today's: it is that
 * of the submission, and stays with the job. t may be NULL. */
int job_set_date(struct job *job, const struct tokenizer *t, struct err *err);
