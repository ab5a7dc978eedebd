/* client/doctor.h - `dashctl doctor`: what its parts share. A part makes its checks in order and
 * prints each finding as it comes.
 *
 * The looks at nodes themselves are `dash-worker probe` (worker/probe.h), started as a job's ranks
 * are: here by mpirun, under Slurm by a batch script (doctor_job.sh). They meet in a folder that is
 * made for it and removed again:
 *
 *   <folder>/.dash-doctor-XXXXXX/  word        what the ranks are to read
 *                                  job.sh      the batch script
 *                                  job.log     what it and the ranks said
 *                                  starter     srun or mpirun
 *                                  probe.json  what the ranks found
 *                                  seen-N      rank N's trace
 *                                  status      the ranks' exit status; the script's last act
 */
#pragma once
#include "client/client.h"
#include "client/subprocess.h"
#include "core/slurm/script.h"
#include <jansson.h>
#include <sys/types.h>

enum doctor_verdict { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_PROBLEM };

struct doctor {
    bool json;
    bool local; /* no Slurm, or not to be looked at */
    const char *partition, *account, *folder;
    int nodes, cpus_per_task; /* the latter 0: all of a node */
    int timeout_s;            /* for a pending job */

    char *programs; /* the folder of the programs */
    json_t *findings;
    bool has_problem, was_interrupted;
    bool is_other_cpu; /* a rank has said so: it will not do better when started otherwise */
};

/* A line: what was checked, how it stands, and below it what to do (NULL: nothing). With json it is
 * kept for doctor_findings. */
void report_finding(struct doctor *d, const char *check, enum doctor_verdict verdict,
                    const char *remedy, const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* Progress, to stderr. */
void doctor_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The last line of a program's words that says something, its "sbatch: error: " left out; at most
 * size - 1 bytes. */
void doctor_last_words(const char *text, char *ret, size_t size);
/* The line that explains most in the log of ranks and of what started them: a rank's own words,
 * else the first. */
void doctor_rank_words(const char *log, char *ret, size_t size);
/* Whether a program died, or would have, of an instruction that its CPU does not know. */
bool doctor_is_other_cpu(const char *text, int status);
extern const char doctor_march_remedy[];

/* ---- doctor_programs.c: the four programs stand side by side and start ---- */
void doctor_programs(struct doctor *d);

/* ---- doctor_meeting.c: the folder ---- */
struct doctor_meeting {
    char *path; /* absolute */
    char word[SCRIPT_MARK_LEN + 1];
};
/* Made below `parent`. On success the caller calls doctor_meeting_end(). */
int doctor_meeting_make(const char *parent, struct doctor_meeting *ret, struct err *err);
void doctor_meeting_end(struct doctor_meeting *m); /* removes it */
bool doctor_meeting_has(const struct doctor_meeting *m, const char *name);
/* What a file in it holds, NULL where it is not there; the caller frees it. */
char *doctor_meeting_read(const struct doctor_meeting *m, const char *name);
int doctor_meeting_write(const struct doctor_meeting *m, const char *name, const void *bytes,
                         size_t len, struct err *err);
/* The ranks of probe.json; NULL where there is none. The caller gives the reference back. */
json_t *doctor_meeting_ranks(const struct doctor_meeting *m);

/* ---- doctor_listen.c: a TCP port that says the word to whoever connects ---- */
struct doctor_port {
    pid_t pid; /* 0: none */
    char **addresses;
};
int doctor_port_open(const char *word, struct doctor_port *ret, struct err *err);
void doctor_port_close(struct doctor_port *p);

/* ---- doctor_local.c: this machine ---- */
void doctor_local(struct doctor *d);
/* Reports, as check, the output of ranks that left no findings. log: that output, or NULL. */
void doctor_no_findings(struct doctor *d, const char *log, int status, const char *remedy);

/* ---- doctor_slurm.c: Slurm, and a job in it ---- */
void doctor_slurm(struct doctor *d);

/* ---- doctor_follow.c: the job's way through Slurm ---- */
enum doctor_way {
    DOCTOR_RAN,     /* it has ended, or has left its status */
    DOCTOR_PENDING, /* too long, or for a reason that does not pass, and was cancelled */
    DOCTOR_HUNG,    /* ran too long, and was cancelled */
    DOCTOR_LOST,    /* Slurm stopped answering */
    DOCTOR_STOPPED, /* Ctrl-C: cancelled */
};
struct doctor_job {
    char id[64];
    char state[32], reason[200]; /* as squeue last said */
    int exit_code;               /* of the script, if Slurm reports it; else -1 */
    int pending_s;
};
enum doctor_way doctor_follow(const struct doctor *d, const struct doctor_meeting *m,
                              struct doctor_job *job);

/* ---- doctor_nodes.c: what the ranks found on their nodes ---- */
void doctor_cores(struct doctor *d, const json_t *ranks);
void doctor_threads(struct doctor *d, const json_t *ranks);
void doctor_rates(struct doctor *d, const json_t *ranks);
void doctor_cpus(struct doctor *d, const json_t *ranks);
void doctor_memory(struct doctor *d, const json_t *ranks);

/* ---- doctor_between.c: what lies between nodes ---- */
void doctor_shared(struct doctor *d, const struct doctor_meeting *m, const json_t *ranks);
void doctor_network(struct doctor *d, const json_t *ranks);
void doctor_ports(struct doctor *d, const json_t *ranks);
/* Reports ranks that did not answer. */
void doctor_silent(struct doctor *d, const json_t *ranks);

/* A rank's findings by name; "" and 0 where there are none. */
const char *doctor_text(const json_t *rank, const char *key);
double doctor_number(const json_t *rank, const char *key);
bool doctor_has(const json_t *rank, const char *key);
