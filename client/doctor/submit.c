/* client/doctor/submit.c - the submission of the job. All words reach sbatch and the script as
 * arguments: no shell reads them. */
#include "client/doctor/command.h"
#include "client/doctor/doctor.h"
#include "core/file.h"
#include <stdlib.h>
#include <string.h>

enum { SUBMIT_MS = 120 * 1000, ARGUMENTS = 80 };

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

/* What the job requests of Slurm. */
static void add_request(struct arguments *a, const struct doctor *d)
{
    snprintf(a->nodes, sizeof(a->nodes), "--nodes=%d", d->nodes);
    add(a, a->nodes);
    add_pair(a, "--partition", d->partition);
    add_pair(a, "--account", d->account);
    if (d->cpus_per_task) {
        snprintf(a->cpus, sizeof(a->cpus), "--cpus-per-task=%d", d->cpus_per_task);
        add(a, a->cpus);
    } else { /* as a training job that names none */
        add(a, "--exclusive");
        add(a, "--mem=0");
    }
}

static void add_script(struct arguments *a, const struct doctor *d, const struct meeting *m,
                       const char *script, char *const *addresses)
{
    add(a, script);
    add(a, m->path);
    add(a, d->programs);
    add_pair(a, "--word", m->word);
    for (; addresses && *addresses; addresses++)
        add_pair(a, "--address", *addresses);
}

static void report_answer(struct doctor *d, const struct subprocess_said *said)
{
    char line[500];

    command_last_line(said->err, line, sizeof(line));
    report_finding(&d->findings, "job", VERDICT_PROBLEM,
                   "`sinfo` lists partitions and their nodes, `sacctmgr show assoc user=$USER` "
                   "accounts: choose with --partition, --account, --nodes, --cpus-per-task",
                   "sbatch refuses a job of %d nodes: %s", d->nodes,
                   said->status == SUBPROCESS_LATE ? "no answer for 120 s" : line);
}

static bool submit(struct doctor *d, const struct arguments *a, struct slurm_job *job)
{
    const struct job_slurm request = {.partition = (char *)d->partition,
                                      .account = (char *)d->account};
    const struct subprocess p = {.argv = a->argv, .timeout_ms = SUBMIT_MS};
    struct subprocess_said said;
    bool accepted;

    if (!command_run(&d->findings, "job", COMMAND_SLURM_REMEDY, &p, &request, &said))
        return false;
    accepted = said.status == 0;
    if (accepted) /* "17;cluster" where there are several */
        snprintf(job->id, sizeof(job->id), "%.*s", (int)strcspn(said.out, ";\n"), said.out);
    else
        report_answer(d, &said);
    subprocess_free(&said);
    return accepted;
}

bool submit_job(struct doctor *d, const struct meeting *m, char *const *addresses,
                struct slurm_job *job)
{
    static const char *const fixed[] = {"sbatch",
                                        "--parsable",
                                        "--job-name=dash-doctor",
                                        "--output=/dev/null",
                                        "--time=5",
                                        "--ntasks-per-node=1",
                                        "--no-requeue"};
    struct arguments a = {.n = 0};
    char *script = file_join(m->path, "job.sh");
    bool accepted = false;
    size_t i;

    for (i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        add(&a, fixed[i]);
    add_request(&a, d);
    add_script(&a, d, m, script, addresses);
    if (script)
        accepted = submit(d, &a, job);
    else
        report_finding(&d->findings, "job", VERDICT_PROBLEM, NULL, "out of memory");
    free(script);
    return accepted;
}
