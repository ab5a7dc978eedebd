/* client/doctor/slurm.c - Slurm answers, can start ranks, and runs one job that examines nodes. */
#include "client/doctor/command.h"
#include "client/doctor/doctor.h"
#include "client/doctor/job.h"
#include "client/doctor/listen.h"
#include "core/paths.h"
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MS = 30 * 1000 };

static bool check_controller(struct findings *f)
{
    const char *const argv[] = {"squeue", "-h", "-t", "running", "-o", "%i", NULL};
    const struct subprocess p = {.argv = argv, .timeout_ms = ANSWER_MS};
    struct subprocess_said said;
    char line[500];
    bool answers;

    if (!command_run(f, "slurm", COMMAND_SLURM_REMEDY, &p, NULL, &said))
        return false;
    answers = said.status == 0;
    command_last_line(said.err, line, sizeof(line));
    if (answers)
        report_finding(f, "slurm", VERDICT_OK, NULL, "squeue answers");
    else
        report_finding(f, "slurm", VERDICT_PROBLEM,
                       "try later, or ask an administrator: without its controller Slurm accepts "
                       "no jobs",
                       "squeue fails: %s",
                       said.status == SUBPROCESS_LATE ? "no answer for 30 s" : line);
    subprocess_free(&said);
    return answers;
}

/* "  pmix_v4" in what `srun --mpi=list` prints, on whichever stream. */
static bool offers_pmix(void)
{
    const char *const argv[] = {"srun", "--mpi=list", NULL};
    const struct subprocess p = {.argv = argv, .timeout_ms = ANSWER_MS};
    struct subprocess_said said;
    struct err ignored;
    bool offers;

    if (subprocess_run(&p, &said, &ignored) < 0)
        return false;
    offers = strstr(said.out, "pmix") || strstr(said.err, "pmix");
    subprocess_free(&said);
    return offers;
}

static void check_starter(struct findings *f)
{
    bool pmix = offers_pmix(), mpirun = paths_has_program("mpirun");

    if (pmix)
        report_finding(f, "starter", VERDICT_OK, NULL, "srun offers pmix");
    else if (mpirun)
        report_finding(f, "starter", VERDICT_OK, NULL,
                       "srun offers no pmix: mpirun starts the ranks");
    else
        report_finding(f, "starter", VERDICT_PROBLEM,
                       "load the module of Open MPI, or ask for Slurm's pmix plugin",
                       "srun offers no pmix, and there is no mpirun in PATH");
}

static void report_pending(struct findings *f, const struct slurm_job *job)
{
    report_finding(f, "job", VERDICT_PROBLEM,
                   "wait longer with --timeout, or request less with --nodes, --cpus-per-task, "
                   "--partition; squeue(1) explains reasons",
                   "job %s was pending for %d s and is cancelled: Slurm's reason is %s", job->id,
                   job->pending_s, job->reason);
}

static void report_hung(struct doctor *d, const struct meeting *m)
{
    char *log = meeting_read(m, "job.log");

    report_no_results(d, log, SUBPROCESS_LATE,
                      "a node may hang: `sinfo -R` lists those that are known to");
    free(log);
}

static void follow(struct doctor *d, const struct meeting *m, struct slurm_job *job)
{
    switch (follow_slurm_job(d, m, job)) {
    case JOB_RAN:
        report_results(d, m, job);
        break;
    case JOB_PENDING:
        report_pending(&d->findings, job);
        break;
    case JOB_HUNG:
        report_hung(d, m);
        break;
    case JOB_LOST:
        report_finding(&d->findings, "job", VERDICT_PROBLEM,
                       "look at `squeue`, and cancel the job with `scancel`",
                       "Slurm stopped answering while job %s was %s", job->id, job->state);
        break;
    case JOB_INTERRUPTED:
        d->was_interrupted = true;
        break;
    }
}

static void run_job(struct doctor *d, const struct meeting *m)
{
    struct listener listener = {0};
    struct slurm_job job = {.exit_code = -1};
    struct err err;

    if (meeting_write(m, "job.sh", doctor_job, doctor_job_len, &err) < 0) {
        report_finding(&d->findings, "folder", VERDICT_PROBLEM, "name another one with --folder",
                       "%s", err.text);
        return;
    }
    if (listener_open(m->word, &listener, &err) < 0)
        report_finding(&d->findings, "ports", VERDICT_WARNING, NULL, "%s", err.text);
    if (submit_job(d, m, listener.addresses, &job))
        follow(d, m, &job);
    listener_close(&listener);
}

void check_slurm(struct doctor *d)
{
    struct meeting m = {0};
    bool answers = check_controller(&d->findings);
    struct err err;

    check_starter(&d->findings);
    if (meeting_create(d->folder, &m, &err) < 0) {
        report_finding(&d->findings, "folder", VERDICT_PROBLEM,
                       "name a writable one that all nodes share with --folder", "%s", err.text);
        return;
    }
    if (answers)
        run_job(d, &m);
    meeting_remove(&m);
}
