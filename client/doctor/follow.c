/* client/doctor/follow.c - follows the job: squeue is asked once a second, and its folder looked at
 * more often, since the script's last act is seen there before Slurm has cleaned up. Whatever ends
 * the watch before the job has ended cancels the job. */
#include "client/doctor/doctor.h"
#include "client/subprocess.h"
#include "core/slurm/state.h"
#include "core/clock.h"
#include "client/interrupt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 200, LOOKS_A_SQUEUE = 5, ANSWER_MS = 30 * 1000 };
enum { RUN_S = 330, AWAY_S = 180, ENDING_S = 15, SIGHT_S = 6 };

enum look { LOOK_PENDING, LOOK_RUNNING, LOOK_OVER, LOOK_GONE, LOOK_AWAY };

static enum look look_of(const char *name)
{
    enum slurm_state state = slurm_state_of(name);

    if (state == SLURM_PENDING || state == SLURM_PREPARING)
        return LOOK_PENDING;
    return slurm_is_over(state) ? LOOK_OVER : LOOK_RUNNING;
}

/* "PENDING|Resources": the state, and why. */
static enum look read_row(struct slurm_job *job, const char *row)
{
    size_t state = strcspn(row, "|\n");
    const char *reason = row[state] == '|' ? row + state + 1 : "";

    snprintf(job->state, sizeof(job->state), "%.*s", (int)state, row);
    snprintf(job->reason, sizeof(job->reason), "%.*s", (int)strcspn(reason, "\n"), reason);
    return look_of(job->state);
}

static enum look look(struct slurm_job *job)
{
    const char *const argv[] = {"squeue", "-h", "-t", "all", "-j", job->id, "-o", "%T|%r", NULL};
    const struct subprocess p = {.argv = argv, .timeout_ms = ANSWER_MS};
    struct subprocess_said said;
    enum look now = LOOK_AWAY;
    struct err ignored;

    if (subprocess_run(&p, &said, &ignored) < 0)
        return LOOK_AWAY;
    if (said.status == 0 && said.out[0])
        now = read_row(job, said.out);
    else if (said.status == 0 || strstr(said.err, "Invalid job id"))
        now = LOOK_GONE;
    subprocess_free(&said);
    return now;
}

static void read_exit_code(struct slurm_job *job)
{
    const char *const argv[] = {"scontrol", "show", "job", "-o", job->id, NULL}, *at;
    const struct subprocess p = {.argv = argv, .timeout_ms = ANSWER_MS};
    struct subprocess_said said;
    struct err ignored;

    if (subprocess_run(&p, &said, &ignored) < 0)
        return;
    at = strstr(said.out, " ExitCode=");
    if (said.status == 0 && at)
        job->exit_code = atoi(at + strlen(" ExitCode="));
    subprocess_free(&said);
}

static void cancel(const struct slurm_job *job)
{
    const char *const argv[] = {"scancel", job->id, NULL};
    const struct subprocess p = {.argv = argv, .timeout_ms = ANSWER_MS};
    struct subprocess_said said = {0};
    struct err err;

    if (subprocess_run(&p, &said, &err) < 0)
        report_progress("job %s cannot be cancelled: %s", job->id, err.text);
    else if (said.status != 0)
        report_progress("job %s may still be there: `scancel %s` ends it", job->id, job->id);
    else
        report_progress("job %s is cancelled", job->id);
    subprocess_free(&said);
}

/* The watch: what was seen last, and when. */
struct watch {
    enum look now;
    double submitted, answered;
    double running_first; /* 0: not yet */
    char printed[400];
};

static void print_news(struct watch *w, const struct slurm_job *job)
{
    char news[sizeof(w->printed)];
    bool has_reason = w->now == LOOK_PENDING && strcmp(job->reason, "None") != 0;

    snprintf(news, sizeof(news), "job %s is %s%s%s", job->id, job->state, has_reason ? ": " : "",
             has_reason ? job->reason : "");
    if (strcmp(news, w->printed) != 0)
        report_progress("%s", news);
    strcpy(w->printed, news);
}

static void apply_look(struct watch *w, struct slurm_job *job)
{
    enum look now = look(job);
    double at = clock_s();

    if (now == LOOK_AWAY)
        return;
    w->now = now;
    w->answered = at;
    if (now != LOOK_PENDING && w->running_first == 0)
        w->running_first = at;
    if (now == LOOK_PENDING || now == LOOK_RUNNING)
        print_news(w, job);
}

static bool will_not_pass(const char *reason)
{
    static const char *const reasons[] = {
        "PartitionNodeLimit", "PartitionTimeLimit", "BadConstraints", "InvalidAccount",
        "InvalidQOS",         "AccountNotAllowed",  "QOSNotAllowed"};
    size_t i;

    for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++)
        if (strcmp(reason, reasons[i]) == 0)
            return true;
    return false;
}

/* Whether the watch ends, and how, if it does not end with the job. */
static bool must_end(const struct doctor *d, const struct watch *w, const struct slurm_job *job,
                     enum job_end *ret_end)
{
    double now = clock_s();

    if (interrupt_count() > 0)
        *ret_end = JOB_INTERRUPTED;
    else if (now - w->answered > AWAY_S)
        *ret_end = JOB_LOST;
    else if (w->now == LOOK_PENDING &&
             (now - w->submitted > d->timeout_s || will_not_pass(job->reason)))
        *ret_end = JOB_PENDING;
    else if (w->running_first > 0 && now - w->running_first > RUN_S)
        *ret_end = JOB_HUNG;
    else
        return false;
    return true;
}

/* Lets the script end, so that its folder can be removed, or what it wrote come into sight. */
static void wait_a_little(const struct meeting *m, struct watch *w, struct slurm_job *job)
{
    double since = clock_s();

    while (w->now < LOOK_OVER && clock_s() - since < ENDING_S && interrupt_count() == 0) {
        interrupt_sleep_ms(LOOK_MS);
        apply_look(w, job);
    }
    while (!meeting_has(m, "status") && clock_s() - since < SIGHT_S && interrupt_count() == 0)
        interrupt_sleep_ms(LOOK_MS);
}

enum job_end follow_slurm_job(const struct doctor *d, const struct meeting *m,
                              struct slurm_job *job)
{
    double start = clock_s();
    struct watch w = {.submitted = start, .answered = start};
    enum job_end end = JOB_RAN;
    int looks;

    strcpy(job->state, "PENDING");
    for (looks = 0; w.now < LOOK_OVER && !meeting_has(m, "status"); looks++) {
        if (must_end(d, &w, job, &end)) {
            job->pending_s = (int)(clock_s() - start);
            cancel(job);
            return end;
        }
        if (looks % LOOKS_A_SQUEUE == 0)
            apply_look(&w, job);
        else
            interrupt_sleep_ms(LOOK_MS);
    }
    wait_a_little(m, &w, job);
    read_exit_code(job);
    return JOB_RAN;
}
