/* client/doctor/local.c - this machine, as `dashctl run` and a dashd without Slurm use it. Where
 * mpirun fails, the probe without MPI still examines the rest. */
#include "client/doctor/command.h"
#include "client/doctor/doctor.h"
#include "client/doctor/rates.h"
#include "core/file.h"
#include "core/paths.h"
#include <stdlib.h>
#include <unistd.h>

enum { PROBE_MS = 60 * 1000 };

/* Runs the probe. Returns whether it left results; if not it has reported why. */
static bool run_probe(struct doctor *d, const struct meeting *m, const char *const *argv)
{
    const struct job_slurm none = {.partition = NULL};
    const struct subprocess p = {.argv = argv, .timeout_ms = PROBE_MS, .until_interrupt = true};
    struct subprocess_said said;
    bool has;

    if (!command_run(&d->findings, "mpi", "install Open MPI, or load its module", &p, &none, &said))
        return false;
    has = said.status == 0 && meeting_has(m, "probe.json");
    d->was_interrupted |= said.status == SUBPROCESS_INTERRUPTED;
    if (!has && !d->was_interrupted)
        report_no_results(d, said.err[0] ? said.err : said.out, said.status,
                          "start `mpirun -np 2 hostname` by hand for more messages");
    subprocess_free(&said);
    return has;
}

static bool probe_by_mpirun(struct doctor *d, const struct meeting *m, const char *worker)
{
    const char *const argv[] = {
        "mpirun",   "--oversubscribe", "--bind-to", "none",  "-np",           "2", worker, "probe",
        "--folder", m->path,           "--word",    m->word, "--one-machine", NULL};

    return run_probe(d, m, argv);
}

static bool probe_alone(struct doctor *d, const struct meeting *m, const char *worker)
{
    const char *const argv[] = {worker,    "probe",  "--folder", m->path,
                                "--alone", "--word", m->word,    NULL};

    return run_probe(d, m, argv);
}

/* As dashd's launcher does. */
static void set_environment(void)
{
    setenv("OMPI_MCA_btl_vader_single_copy_mechanism", "none", 1); /* containers refuse it */
    if (geteuid() == 0) {
        setenv("OMPI_ALLOW_RUN_AS_ROOT", "1", 1);
        setenv("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1", 1);
    }
}

/* Returns whether there are results, and in *ret_mpi whether ranks of MPI left them. */
static bool probe_machine(struct doctor *d, const struct meeting *m, const char *worker,
                          bool *ret_mpi)
{
    *ret_mpi = false;
    set_environment();
    if (paths_has_program("mpirun"))
        *ret_mpi = probe_by_mpirun(d, m, worker);
    else
        report_finding(&d->findings, "mpi", VERDICT_PROBLEM, "install Open MPI, or load its module",
                       "there is no mpirun in PATH");
    if (*ret_mpi)
        return true;
    return !d->was_interrupted && !d->is_other_cpu && probe_alone(d, m, worker);
}

static void check_messages(struct findings *f, const struct probed *p)
{
    const struct probed_rank *other = &p->ranks[p->n - 1];

    if (check_answers(f, p))
        report_finding(f, "mpi", VERDICT_OK, NULL,
                       "mpirun starts %zu ranks on this machine; a message and its answer take "
                       "%.3g us, 4 MB are sent at %.0f MB/s",
                       p->n, other->round_trip_us, other->bandwidth);
}

static void check_results(struct findings *f, const struct meeting *m, bool mpi)
{
    struct probed p, first;

    if (!read_results(f, m, &p))
        return;
    if (mpi)
        check_messages(f, &p);
    first = (struct probed){.ranks = p.ranks, .n = 1}; /* the one that has measured */
    check_cores(f, &first);
    check_threads(f, &first);
    check_rates(f, &first);
    check_memory(f, &first);
    probed_free(&p);
}

void check_machine(struct doctor *d)
{
    const char *tmp = getenv("TMPDIR");
    char *worker = file_join(d->programs, "dash-worker");
    struct meeting m = {0};
    struct err err;
    bool mpi;
    int rc = worker ? meeting_create(tmp && *tmp ? tmp : "/tmp", &m, &err) : err_nomem(&err, 0);

    if (rc < 0)
        report_finding(&d->findings, "folder", VERDICT_PROBLEM, "set TMPDIR to a writable folder",
                       "%s", err.text);
    else if (probe_machine(d, &m, worker, &mpi))
        check_results(&d->findings, &m, mpi);
    meeting_remove(&m);
    free(worker);
}
