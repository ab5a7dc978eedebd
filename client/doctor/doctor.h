/* client/doctor/doctor.h - `dashctl doctor`: its parts, each of which makes its checks in order and
 * reports what it finds (findings.h).
 *
 * The nodes themselves are examined by `dash-worker probe` (worker/probe.h), started as the ranks
 * of a job are: here by mpirun, under Slurm by a batch script (job.sh). What the ranks write comes
 * back through a folder (meeting.h) as a list of ranks (probed.h).
 */
#pragma once
#include "client/doctor/findings.h"
#include "client/doctor/meeting.h"
#include "client/doctor/probed.h"

/* What to do if nodes do not share the folder. */
#define SHARED_FOLDER_REMEDY                                                                       \
    "name a folder on a file system that all nodes share with --folder, and put models, data and " \
    "outputs there"

struct doctor {
    bool local; /* there is no Slurm, or it is not to be used */
    const char *partition, *account, *folder;
    int nodes, cpus_per_task; /* the latter 0: all of a node */
    int timeout_s;            /* for a pending job */

    char *programs; /* the folder of the programs */
    struct findings findings;
    bool was_interrupted;
    bool is_other_cpu; /* a rank failed for this: another way to start it does not help */
};

/* ---- programs.c: the four programs are in one folder, of one version, and start ---- */
void check_programs(struct doctor *d);

/* ---- local.c: this machine ---- */
void check_machine(struct doctor *d);

/* ---- slurm.c: Slurm, and a job in it ---- */
void check_slurm(struct doctor *d);

struct slurm_job {
    char id[64];
    char state[32], reason[200]; /* as squeue printed them last */
    int exit_code;               /* of the script, if Slurm reports it; else -1 */
    int pending_s;
};

/* ---- submit.c: the job's submission ---- */
/* addresses: where this machine listens for the nodes, ends with NULL; or NULL. Returns whether
 * Slurm accepted the job, and reports if not. */
bool submit_job(struct doctor *d, const struct meeting *m, char *const *addresses,
                struct slurm_job *job);

/* ---- follow.c: the job's way through Slurm ---- */
enum job_end {
    JOB_RAN,         /* it has ended, or has left its status */
    JOB_PENDING,     /* for too long, or for a reason that does not pass; cancelled */
    JOB_HUNG,        /* it ran for too long; cancelled */
    JOB_LOST,        /* Slurm stopped answering */
    JOB_INTERRUPTED, /* Ctrl-C; cancelled */
};
enum job_end follow_slurm_job(const struct doctor *d, const struct meeting *m,
                              struct slurm_job *job);

/* ---- results.c: what the job left ---- */
void report_results(struct doctor *d, const struct meeting *m, const struct slurm_job *job);
/* Reports results that cannot be read. On success the caller calls probed_free(). */
bool read_results(struct findings *f, const struct meeting *m, struct probed *ret);
/* Reports ranks that left no results. log: their output, or NULL. */
void report_no_results(struct doctor *d, const char *log, int status, const char *remedy);
/* Returns whether all ranks answered, and reports those that did not. */
bool check_answers(struct findings *f, const struct probed *p);

/* ---- nodes.c: what the ranks found on their nodes ---- */
void check_cpus(struct findings *f, const struct probed *p);
void check_cores(struct findings *f, const struct probed *p);
void check_threads(struct findings *f, const struct probed *p);
void check_memory(struct findings *f, const struct probed *p);

/* ---- between.c: what connects the nodes ---- */
void check_folder(struct doctor *d, const struct meeting *m, const struct probed *p);
void check_network(struct findings *f, const struct probed *p);
void check_ports(struct findings *f, const struct probed *p);
