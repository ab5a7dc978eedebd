/* client/doctor_local.c - see doctor.h: this machine, as `dashctl run` and a dashd without Slurm
 * use it. */
#include "client/doctor.h"
#include "core/paths.h"
#include "core/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PROBE_MS = 60 * 1000 };

void doctor_no_findings(struct doctor *d, const char *log, int status, const char *remedy)
{
    char words[600];

    doctor_rank_words(log, words, sizeof(words));
    if (log && doctor_is_other_cpu(log, status)) {
        d->is_other_cpu = true;
        report_finding(d, "cpu", DOCTOR_PROBLEM, doctor_march_remedy, "built for another CPU: %s",
                       words[0] ? words : "Illegal instruction");
    } else if (status == SUBPROCESS_LATE || status == 124) {
        report_finding(d, "mpi", DOCTOR_PROBLEM, remedy, "the ranks did not come to an end: %s",
                       words[0] ? words : "they say nothing");
    } else {
        report_finding(d, "mpi", DOCTOR_PROBLEM, remedy, "the ranks failed (status %d): %s", status,
                       words[0] ? words : "they say nothing");
    }
}

/* Runs the probe. Returns whether it left its findings; if not it has reported why. */
static bool run_probe(struct doctor *d, const struct doctor_meeting *m, const char *const *argv)
{
    const struct job_slurm none = {.partition = NULL};
    char **env = script_environment(&none); /* without what would speak for a job around us */
    const struct subprocess p = {argv, env, PROBE_MS, true};
    struct subprocess_said said;
    struct err err;
    bool has;
    int rc = env ? subprocess_run(&p, &said, &err) : err_nomem(&err, 0);

    free(env);
    if (rc < 0) {
        report_finding(d, "mpi", DOCTOR_PROBLEM, "install Open MPI, or load its module", "%s",
                       err.text);
        return false;
    }
    has = said.status == 0 && doctor_meeting_has(m, "probe.json");
    d->was_interrupted |= said.status == SUBPROCESS_INTERRUPTED;
    if (!has && !d->was_interrupted)
        doctor_no_findings(d, said.err[0] ? said.err : said.out, said.status,
                           "start `mpirun -np 2 hostname` by hand: it says more");
    subprocess_free(&said);
    return has;
}

static bool by_mpirun(struct doctor *d, const struct doctor_meeting *m, const char *worker)
{
    const char *const argv[] = {
        "mpirun",   "--oversubscribe", "--bind-to", "none",  "-np",           "2", worker, "probe",
        "--folder", m->path,           "--word",    m->word, "--one-machine", NULL};

    return run_probe(d, m, argv);
}

static bool alone(struct doctor *d, const struct doctor_meeting *m, const char *worker)
{
    const char *const argv[] = {worker,    "probe",  "--folder", m->path,
                                "--alone", "--word", m->word,    NULL};

    return run_probe(d, m, argv);
}

static void judge(struct doctor *d, const struct doctor_meeting *m, bool mpi)
{
    json_t *ranks = doctor_meeting_ranks(m);
    json_t *here = json_pack("[O]", json_array_get(ranks, 0)); /* it has measured */
    const json_t *other = json_array_get(ranks, 1);

    if (mpi && doctor_has(other, "silent"))
        doctor_silent(d, ranks);
    else if (mpi)
        report_finding(
            d, "mpi", DOCTOR_OK, NULL,
            "mpirun starts 2 ranks on this machine; a message and its answer take %.3g us, "
            "4 MB travel at %.0f MB/s",
            doctor_number(other, "round_trip"), doctor_number(other, "bandwidth"));
    doctor_cores(d, here);
    doctor_threads(d, here);
    doctor_rates(d, here);
    doctor_memory(d, here);
    json_decref(here);
    json_decref(ranks);
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

void doctor_local(struct doctor *d)
{
    const char *tmp = getenv("TMPDIR");
    char *worker = file_join(d->programs, "dash-worker");
    struct doctor_meeting m = {0};
    struct err err;
    bool mpi = false;

    if (!worker || doctor_meeting_make(tmp && *tmp ? tmp : "/tmp", &m, &err) < 0) {
        report_finding(d, "folder", DOCTOR_PROBLEM, "set TMPDIR to a folder that can be written",
                       "%s", worker ? err.text : "out of memory");
        free(worker);
        return;
    }
    set_environment();
    if (paths_has_program("mpirun"))
        mpi = by_mpirun(d, &m, worker);
    else
        report_finding(d, "mpi", DOCTOR_PROBLEM, "install Open MPI, or load its module",
                       "there is no mpirun in PATH");
    if (mpi || (!d->was_interrupted && !d->is_other_cpu && alone(d, &m, worker)))
        judge(d, &m, mpi);
    doctor_meeting_end(&m);
    free(worker);
}
