/* client/doctor_slurm.c - see doctor.h: does Slurm answer, how does it start ranks, and one job
 * that looks at nodes. */
#include "client/doctor.h"
#include "core/paths.h"
#include "client/doctor_job.h"
#include "core/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MS = 30 * 1000, SUBMIT_MS = 120 * 1000, ARGUMENTS = 80, NO_FOLDER = 66 };

/* ---- before the job ---- */

static bool slurm_answers(struct doctor *d)
{
    const char *const argv[] = {"squeue", "-h", "-t", "running", "-o", "%i", NULL};
    const struct subprocess p = {.argv = argv, .timeout_ms = ANSWER_MS};
    struct subprocess_said said;
    char words[500];
    struct err err;
    bool answers;

    if (subprocess_run(&p, &said, &err) < 0) {
        report_finding(d, "slurm", DOCTOR_PROBLEM, "load Slurm's module, or set PATH", "%s",
                       err.text);
        return false;
    }
    answers = said.status == 0;
    doctor_last_words(said.err, words, sizeof(words));
    if (answers)
        report_finding(d, "slurm", DOCTOR_OK, NULL, "squeue answers");
    else
        report_finding(d, "slurm", DOCTOR_PROBLEM,
                       "try later, or ask an administrator: without its controller Slurm takes no "
                       "jobs",
                       "squeue fails: %s",
                       said.status == SUBPROCESS_LATE ? "no answer for 30 s" : words);
    subprocess_free(&said);
    return answers;
}

/* "  pmix_v4" in what `srun --mpi=list` says, on whichever stream. */
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

static void check_starter(struct doctor *d)
{
    bool pmix = offers_pmix(), mpirun = paths_has_program("mpirun");

    if (pmix)
        report_finding(d, "starter", DOCTOR_OK, NULL, "srun offers pmix");
    else if (mpirun)
        report_finding(d, "starter", DOCTOR_OK, NULL,
                       "srun offers no pmix: mpirun starts the ranks");
    else
        report_finding(d, "starter", DOCTOR_PROBLEM,
                       "load Open MPI's module, or have Slurm's pmix plugin installed",
                       "srun offers no pmix, and there is no mpirun in PATH");
}

/* ---- the job ---- */

struct arguments {
    const char *argv[ARGUMENTS];
    int n;
    char nodes[32], cpus[40];
};

static void add(struct arguments *a, const char *arg)
{
    if (a->n < ARGUMENTS - 1)
        a->argv[a->n++] = arg;
}

static void add_pair(struct arguments *a, const char *option, const char *value)
{
    if (value) {
        add(a, option);
        add(a, value);
    }
}

/* All words reach sbatch and the script as arguments: no shell reads them. */
static void make_arguments(const struct doctor *d, const struct doctor_meeting *m,
                           const struct doctor_port *port, const char *script, struct arguments *a)
{
    static const char *const fixed[] = {"sbatch",
                                        "--parsable",
                                        "--job-name=dash-doctor",
                                        "--output=/dev/null",
                                        "--time=5",
                                        "--ntasks-per-node=1",
                                        "--no-requeue"};
    char **address;
    size_t i;

    for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        add(a, fixed[i]);
    snprintf(a->nodes, sizeof(a->nodes), "--nodes=%d", d->nodes);
    add(a, a->nodes);
    add_pair(a, "--partition", d->partition);
    add_pair(a, "--account", d->account);
    if (d->cpus_per_task) {
        snprintf(a->cpus, sizeof(a->cpus), "--cpus-per-task=%d", d->cpus_per_task);
        add(a, a->cpus);
    } else { /* as a job that names none */
        add(a, "--exclusive");
        add(a, "--mem=0");
    }
    add(a, script);
    add(a, m->path);
    add(a, d->programs);
    add_pair(a, "--word", m->word);
    for (address = port->addresses; address && *address; address++)
        add_pair(a, "--address", *address);
}

static bool submit(struct doctor *d, const struct arguments *a, struct doctor_job *job)
{
    const struct job_slurm asked = {.partition = (char *)d->partition,
                                    .account = (char *)d->account};
    char **env = script_environment(&asked), words[500];
    const struct subprocess p = {.argv = a->argv, .env = env, .timeout_ms = SUBMIT_MS};
    struct subprocess_said said;
    struct err err;
    bool taken;
    int rc = env ? subprocess_run(&p, &said, &err) : err_nomem(&err, 0);

    free(env);
    if (rc < 0) {
        report_finding(d, "job", DOCTOR_PROBLEM, "load Slurm's module, or set PATH", "%s",
                       err.text);
        return false;
    }
    taken = said.status == 0;
    doctor_last_words(said.err, words, sizeof(words));
    if (taken) /* "17;cluster" where there are several */
        snprintf(job->id, sizeof(job->id), "%.*s", (int)strcspn(said.out, ";\n"), said.out);
    else
        report_finding(d, "job", DOCTOR_PROBLEM,
                       "`sinfo` lists partitions and their nodes, `sacctmgr show assoc user=$USER` "
                       "accounts: choose with "
                       "--partition, --account, --nodes, --cpus-per-task",
                       "sbatch does not take a job of %d nodes: %s", d->nodes,
                       said.status == SUBPROCESS_LATE ? "no answer for 120 s" : words);
    subprocess_free(&said);
    return taken;
}

static int count_nodes(const json_t *ranks)
{
    const json_t *rank, *other;
    size_t i, j;
    int n = 0;

    json_array_foreach(ranks, i, rank)
    {
        for (j = 0; j < i; j++) {
            other = json_array_get(ranks, j);
            if (strcmp(doctor_text(rank, "node"), doctor_text(other, "node")) == 0)
                break;
        }
        n += j == i;
    }
    return n;
}

static void report_start(struct doctor *d, const struct doctor_meeting *m,
                         const struct doctor_job *job, const json_t *ranks)
{
    char *starter = doctor_meeting_read(m, "starter");
    int n = (int)json_array_size(ranks), nodes = count_nodes(ranks);

    if (starter)
        starter[strcspn(starter, "\n")] = '\0';
    if (nodes < n)
        report_finding(d, "mpi", DOCTOR_PROBLEM, "look at how Slurm and Open MPI place ranks",
                       "%s put %d ranks on %d nodes", starter ? starter : "the script", n, nodes);
    else
        report_finding(d, "mpi", DOCTOR_OK, NULL, "%s starts a rank on each node of job %s, %s%s%s",
                       starter ? starter : "the script", job->id,
                       doctor_text(json_array_get(ranks, 0), "node"),
                       n > 2 ? " ... " : (n > 1 ? " and " : ""),
                       n > 1 ? doctor_text(json_array_get(ranks, (size_t)n - 1), "node") : "");
    free(starter);
}

static void judge_ranks(struct doctor *d, const struct doctor_meeting *m,
                        const struct doctor_job *job, const json_t *ranks)
{
    report_start(d, m, job, ranks);
    doctor_silent(d, ranks);
    doctor_shared(d, m, ranks);
    doctor_cpus(d, ranks);
    doctor_cores(d, ranks);
    doctor_threads(d, ranks);
    doctor_rates(d, ranks);
    doctor_memory(d, ranks);
    doctor_network(d, ranks);
    doctor_ports(d, ranks);
}

/* The job has ended: with findings, or with words in its log, or with nothing that can be seen from
 * here. */
static void judge(struct doctor *d, const struct doctor_meeting *m, const struct doctor_job *job)
{
    json_t *ranks = doctor_meeting_ranks(m);
    char *log = doctor_meeting_read(m, "job.log"), *status = doctor_meeting_read(m, "status");

    if (ranks)
        judge_ranks(d, m, job, ranks);
    else if (log)
        doctor_no_findings(d, log, status ? atoi(status) : job->exit_code,
                           "try `srun --mpi=pmix -N2 hostname` by hand; DASH_MPI_START=mpirun "
                           "takes mpirun instead of srun; "
                           "programs and libraries must be there on the nodes too");
    else if (job->exit_code == NO_FOLDER || job->exit_code < 0)
        report_finding(d, "folder", DOCTOR_PROBLEM,
                       "name a folder on a file system that all nodes share with --folder, and put "
                       "models, data and "
                       "outputs there",
                       "the first node of job %s does not share %s with us", job->id, d->folder);
    else
        report_finding(d, "job", DOCTOR_PROBLEM,
                       "see `scontrol show job` and the node's slurmd.log",
                       "job %s ended with %s (exit code %d) and left nothing in %s", job->id,
                       job->state, job->exit_code, d->folder);
    json_decref(ranks);
    free(log);
    free(status);
}

static void follow(struct doctor *d, const struct doctor_meeting *m, struct doctor_job *job)
{
    char *log;

    switch (doctor_follow(d, m, job)) {
    case DOCTOR_RAN:
        judge(d, m, job);
        break;
    case DOCTOR_PENDING:
        report_finding(d, "job", DOCTOR_PROBLEM,
                       "wait longer with --timeout, or ask for less with --nodes, --cpus-per-task, "
                       "--partition; squeue(1) "
                       "explains reasons",
                       "job %s was pending for %d s and is cancelled: Slurm's reason is %s",
                       job->id, job->pending_s, job->reason);
        break;
    case DOCTOR_HUNG:
        log = doctor_meeting_read(m, "job.log");
        doctor_no_findings(d, log, SUBPROCESS_LATE,
                           "a node may hang: `sinfo -R` lists those that are known to");
        free(log);
        break;
    case DOCTOR_LOST:
        report_finding(d, "job", DOCTOR_PROBLEM,
                       "look at `squeue`, and cancel the job by `scancel`",
                       "Slurm stopped answering while job %s was %s", job->id, job->state);
        break;
    case DOCTOR_STOPPED:
        d->was_interrupted = true;
        break;
    }
}

static void run_job(struct doctor *d, const struct doctor_meeting *m)
{
    struct arguments a = {.n = 0};
    struct doctor_port port = {0};
    struct doctor_job job = {.exit_code = -1};
    char *script = file_join(m->path, "job.sh");
    struct err err;
    int rc = script ? doctor_meeting_write(m, "job.sh", doctor_job, doctor_job_len, &err)
                    : err_nomem(&err, 0);

    if (rc < 0) {
        report_finding(d, "folder", DOCTOR_PROBLEM, "name another one with --folder", "%s",
                       err.text);
        free(script);
        return;
    }
    if (doctor_port_open(m->word, &port, &err) < 0)
        report_finding(d, "ports", DOCTOR_WARNING, NULL, "%s", err.text);
    make_arguments(d, m, &port, script, &a);
    if (submit(d, &a, &job))
        follow(d, m, &job);
    doctor_port_close(&port);
    free(script);
}

void doctor_slurm(struct doctor *d)
{
    struct doctor_meeting m = {0};
    bool answers = slurm_answers(d);
    struct err err;

    check_starter(d);
    if (doctor_meeting_make(d->folder, &m, &err) < 0) {
        report_finding(d, "folder", DOCTOR_PROBLEM,
                       "name one with --folder that can be written and that all nodes share", "%s",
                       err.text);
        return;
    }
    if (answers)
        run_job(d, &m);
    doctor_meeting_end(&m);
}
