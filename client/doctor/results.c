/* client/doctor/results.c - what a job left: results of its ranks, or output in its log, or nothing
 * that this machine sees. */
#include "client/doctor/command.h"
#include "client/doctor/doctor.h"
#include "client/doctor/rates.h"
#include <stdlib.h>
#include <string.h>

enum { NO_FOLDER = 66 };  /* job.sh exits with it */
enum { TIMED_OUT = 124 }; /* timeout(1) exits with it */

void report_no_results(struct doctor *d, const char *log, int status, const char *remedy)
{
    char reason[600];

    command_reason(log, reason, sizeof(reason));
    if (log && command_is_other_cpu(log, status)) {
        d->is_other_cpu = true;
        report_finding(&d->findings, "cpu", VERDICT_PROBLEM, COMMAND_MARCH_REMEDY,
                       "built for another CPU: %s", reason[0] ? reason : "Illegal instruction");
    } else if (status == SUBPROCESS_LATE || status == TIMED_OUT) {
        report_finding(&d->findings, "mpi", VERDICT_PROBLEM, remedy, "the ranks did not end: %s",
                       reason[0] ? reason : "they print nothing");
    } else {
        report_finding(&d->findings, "mpi", VERDICT_PROBLEM, remedy,
                       "the ranks failed (status %d): %s", status,
                       reason[0] ? reason : "they print nothing");
    }
}

bool read_results(struct findings *f, const struct meeting *m, struct probed *ret)
{
    char *text = meeting_read(m, "probe.json");
    struct err err;
    int rc = text ? probed_parse(text, ret, &err) : err_set(&err, ERR_IO, "cannot read probe.json");

    if (rc < 0)
        report_finding(f, "mpi", VERDICT_PROBLEM, "try again; if it is damaged again, report it",
                       "the results of the ranks are damaged: %s", err.text);
    free(text);
    return rc == 0;
}

bool check_answers(struct findings *f, const struct probed *p)
{
    bool all = true;
    size_t i;

    for (i = 0; i < p->n; i++) {
        const struct probed_rank *rank = &p->ranks[i];
        if (!rank->is_silent)
            continue;
        all = false;
        report_finding(f, "mpi", VERDICT_PROBLEM,
                       "ask an administrator to look at Open MPI: which network it takes "
                       "(OMPI_MCA_btl_tcp_if_include names one), and firewalls between nodes",
                       "rank %d%s%s does not answer rank 0", rank->rank,
                       rank->node[0] ? " on " : "", rank->node);
    }
    return all;
}

static void check_placement(struct findings *f, const char *starter, const struct slurm_job *job,
                            const struct probed *p)
{
    size_t nodes = probed_count_nodes(p);

    if (nodes < p->n)
        report_finding(f, "mpi", VERDICT_PROBLEM, "look at how Slurm and Open MPI place ranks",
                       "%s put %zu ranks on %zu nodes", starter, p->n, nodes);
    else
        report_finding(f, "mpi", VERDICT_OK, NULL,
                       "%s starts a rank on each node of job %s, %s%s%s", starter, job->id,
                       p->ranks[0].node, p->n > 2 ? " ... " : (p->n > 1 ? " and " : ""),
                       p->n > 1 ? p->ranks[p->n - 1].node : "");
}

static void check_ranks(struct doctor *d, const struct meeting *m, const struct slurm_job *job,
                        const struct probed *p)
{
    struct findings *f = &d->findings;
    char *starter = meeting_read(m, "starter");

    if (starter)
        starter[strcspn(starter, "\n")] = '\0';
    check_placement(f, starter ? starter : "the script", job, p);
    free(starter);
    check_answers(f, p);
    check_folder(d, m, p);
    check_cpus(f, p);
    check_cores(f, p);
    check_threads(f, p);
    check_rates(f, p);
    check_memory(f, p);
    check_network(f, p);
    check_ports(f, p);
}

static void report_log(struct doctor *d, const struct meeting *m, const struct slurm_job *job,
                       const char *log)
{
    char *status = meeting_read(m, "status");

    report_no_results(d, log, status ? atoi(status) : job->exit_code,
                      "try `srun --mpi=pmix -N2 hostname` by hand; DASH_MPI_START=mpirun uses "
                      "mpirun instead of srun; programs and libraries must be on the nodes too");
    free(status);
}

static void report_nothing_left(struct doctor *d, const struct slurm_job *job)
{
    if (job->exit_code == NO_FOLDER || job->exit_code < 0)
        report_finding(&d->findings, "folder", VERDICT_PROBLEM, SHARED_FOLDER_REMEDY,
                       "the first node of job %s does not share %s with this machine", job->id,
                       d->folder);
    else
        report_finding(&d->findings, "job", VERDICT_PROBLEM,
                       "see `scontrol show job` and the node's slurmd.log",
                       "job %s ended with %s (exit code %d) and left nothing in %s", job->id,
                       job->state, job->exit_code, d->folder);
}

void report_results(struct doctor *d, const struct meeting *m, const struct slurm_job *job)
{
    char *log = meeting_read(m, "job.log");
    struct probed p;

    if (meeting_has(m, "probe.json")) {
        if (read_results(&d->findings, m, &p)) {
            check_ranks(d, m, job, &p);
            probed_free(&p);
        }
    } else if (log) {
        report_log(d, m, job, log);
    } else {
        report_nothing_left(d, job);
    }
    free(log);
}
