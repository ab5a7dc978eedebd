/* daemon/service/run_end.c - see run_end.h. An end is set first and committed from there, at once
 * or at a later tick: there is one way to the store, whatever has ended. */
#include "daemon/service/run_end.h"
#include "core/clock.h"
#include "core/job/job_units.h"
#include "core/log.h"
#include "daemon/service/outcome.h"
#include "daemon/service/restart.h"
#include "daemon/service/run_memory.h"
#include "daemon/service/run_report.h"
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GATE_PAUSE_MS = 50 };

void run_set_deadline(struct run *run, uint64_t ms)
{
    run->kill_at_ms = uv_now(run->runs->loop) + ms;
    runs_arm(run->runs);
}

static void set_ending(struct run *run, struct run_ending ending)
{
    free(run->ending.reason);
    run->ending = ending;
    run_commit_end(run);
}

void run_end(struct run *run, enum run_event event, char *reason)
{
    set_ending(run, (struct run_ending){ENDING_EVENT, .event = event, .reason = reason});
}

void run_end_until(struct run *run, char *reason, int64_t not_before_ms)
{
    set_ending(run, (struct run_ending){ENDING_EVENT, .event = RUN_UNSTARTED, .reason = reason,
                                        .not_before_ms = not_before_ms});
}

/* Signals that others send, not those of an error in the program. */
static bool is_from_outside(int signal)
{
    return signal == SIGKILL || signal == SIGTERM || signal == SIGINT || signal == SIGHUP;
}

/* A library that is refused memory ends its process, each in its own way. */
static void name_limit(const struct run *run, int signal, char *text, size_t size)
{
    double bytes = run_memory_limit(run);
    char limit[UNIT_TEXT_MAX];

    text[0] = '\0';
    if (bytes == 0 || (signal != SIGABRT && signal != SIGSEGV && signal != SIGKILL))
        return;
    bytes_print(bytes, limit);
    snprintf(text, size, "; limits.memory of %s may be too low", limit);
}

/* "mpirun noticed that process rank 1 with PID 7 on node n exited on signal 9 (Killed)." */
static char *explain_signal(const struct run *run, const char *line, bool *ret_from_outside)
{
    const char *rank = strstr(line, "process rank "), *on = strstr(line, " exited on signal ");
    char *words, *end, plan[80] = "", limit[80];
    long number, signal;

    if (!rank || !on)
        return NULL;
    number = strtol(rank + strlen("process rank "), NULL, 10);
    signal = strtol(on + strlen(" exited on signal "), &end, 10);
    *ret_from_outside = is_from_outside((int)signal);
    if (run->row.memory_bytes)
        snprintf(plan, sizeof(plan), " (the plan says about %.0f MB for all processes)",
                 (double)run->row.memory_bytes / 1e6);
    name_limit(run, (int)signal, limit, sizeof(limit));
    if (asprintf(&words, "%s (rank %ld) was ended by signal %ld%.*s%s%s%s",
                 number == 0 ? "the coordinator" : "a worker", number, signal,
                 (int)strcspn(end, ".\n"), end,
                 signal == 9 ? ": somebody killed it, or the machine ran out of memory" : "",
                 signal == 9 ? plan : "", limit) < 0)
        return NULL;
    return words;
}

/* NULL where no rank was ended by a signal. */
static char *explain_dead_rank(const struct run *run, bool *ret_from_outside)
{
    char *line = outcome_telling_line(run->row.output, run->row.log_offset);
    char *words = line ? explain_signal(run, line, ret_from_outside) : NULL;

    free(line);
    return words;
}

/* mpirun's status is that of a shell: 128 + the signal that ended a rank. 0: none did. */
static int signal_of_rank(const struct launch_end *end)
{
    return end->status > 128 && end->status < 128 + NSIG ? end->status - 128 : 0;
}

/* mpirun names a rank that died, but its words can be lost with it. */
static char *explain_death(const struct run *run, const struct launch_end *end,
                           bool *ret_from_outside)
{
    char *words =
        end->out_of_memory ? run_memory_explain(run) : explain_dead_rank(run, ret_from_outside);
    char *line, how[100];
    const char *program = run->row.kind == RUN_EVALUATION ? "dash-worker" : "mpirun";
    int of_rank = signal_of_rank(end);

    if (words)
        return words;
    *ret_from_outside = end->known && is_from_outside(end->signal ? end->signal : of_rank);
    line = *ret_from_outside ? NULL : outcome_telling_line(run->row.output, run->row.log_offset);
    if (end->hung)
        snprintf(how, sizeof(how), "%s was left without ranks", program);
    else if (!end->known)
        snprintf(how, sizeof(how), "it ended while no dashd watched, and left no outcome");
    else if (end->signal)
        snprintf(how, sizeof(how), "%s was ended by signal %d (%s)", program, end->signal,
                 strsignal(end->signal));
    else if (of_rank)
        snprintf(how, sizeof(how), "a process of the job was ended by signal %d (%s)", of_rank,
                 strsignal(of_rank));
    else
        snprintf(how, sizeof(how), "%s ended with status %d and no %s was reported", program,
                 end->status, run->row.kind == RUN_EVALUATION ? "result" : "adapter");
    if (asprintf(&words, "%s%s%s", how, line ? ": " : "", line ? line : "") < 0)
        words = NULL;
    free(line);
    return words;
}

char *run_explain_stop(const struct run *run)
{
    const char *what = run->row.stop == STOP_PAUSE ? "paused" : "stopped";
    char *words;
    int rc;

    if (run->row.kind == RUN_EVALUATION)
        rc = asprintf(&words, "%s after %d of %d examples; `dashctl resume %ld` measures anew",
                      what, run->steps.done, run->row.steps_total, run->row.id);
    else
        rc = asprintf(&words, "%s after step %d; `dashctl resume %ld` continues from there", what,
                      run->steps.done, run->row.id);
    return rc < 0 ? NULL : words;
}

enum run_event run_resolve_event(const struct run *run, enum run_event event)
{
    bool over = event == RUN_RANK_DIED || event == RUN_UNSTARTED;

    if (run->interrupting && (event == RUN_STOPPED || over))
        return RUN_INTERRUPTED;
    if (run->row.stop && over)
        event = RUN_STOPPED;
    return run->row.stop == STOP_PAUSE && event == RUN_STOPPED ? RUN_HELD : event;
}

/* A stop that nobody here asked for: mpirun ends the other ranks by SIGTERM when one dies. What is
 * behind it is known when mpirun has ended; until then it stands in outcome.json, as does the
 * reason of a launch that was lost. */
static bool is_unasked(const struct run *run, enum run_event event)
{
    return event == RUN_STOPPED && !run->row.stop && !run->interrupting;
}

int run_ended(struct run *run, enum run_event event, const char *reason, struct err *err)
{
    struct run_row next = run->row;
    char *words = NULL;
    int rc;

    if (!run_is_under_way(run->row.state))
        return 0; /* sent again: it is known */
    rc = run_flush(run, err);
    if (rc < 0)
        return rc;
    if ((is_unasked(run, event) || event == RUN_RANK_DIED) && run->launch) {
        if (!run->row.slurm) /* there the batch script continues it */
            run_set_deadline(run, (uint64_t)run->launch->ops->linger_ms);
        return 0;
    }
    event = run_resolve_event(run, event);
    if (event == RUN_STOPPED || event == RUN_HELD)
        words = run_explain_stop(run);
    else if (event != RUN_BROKE)
        reason = "";
    next.stop = STOP_NONE;
    rc = run_transit(run, &next, event, words ? words : reason, err);
    free(words);
    if (rc < 0)
        return rc;
    if (run->launch)
        run_set_deadline(run, (uint64_t)run->launch->ops->linger_ms);
    return 0;
}

void run_die(struct run *run, char *reason, bool from_outside)
{
    set_ending(run, (struct run_ending){ENDING_DEATH, .event = RUN_RANK_DIED, .reason = reason,
                                        .from_outside = from_outside});
}

/* The launch is over and nobody has reported how: what the folder says, else what mpirun's end
 * says. */
static void judge(struct run *run, const struct launch_end *end)
{
    enum run_event event = RUN_RANK_DIED;
    bool from_outside = false;
    char *reason = NULL;

    if (outcome_read(run->row.output, &event, &reason, NULL) == 0) {
        if (is_unasked(run, event)) {
            event = RUN_RANK_DIED;
            free(reason);
            reason = explain_death(run, end, &from_outside);
        }
    } else {
        if (!end->known && run->row.state == RUN_STARTING && !run->row.stop) {
            run_end(run, RUN_UNSTARTED, NULL);
            return;
        }
        reason = explain_death(run, end, &from_outside);
    }
    if (event == RUN_RANK_DIED && !run->row.stop && !run->interrupting) {
        run_die(run, reason, from_outside);
        return;
    }
    event = run_resolve_event(run, event);
    if (event != RUN_BROKE) {
        free(reason);
        reason = event == RUN_STOPPED || event == RUN_HELD ? run_explain_stop(run) : NULL;
    }
    run_end(run, event, reason);
}

bool run_launch_is_over(struct run *run)
{
    run->launch = NULL;
    run->kill_at_ms = 0;
    if (run->report) { /* of a process that has gone: nothing more comes */
        rpc_set_data(run->report, NULL);
        rpc_finish(run->report, RPC_ABORTED, "the job has ended");
        run_report_gone(run);
    }
    run_flush(run, NULL);
    if (run_is_under_way(run->row.state)) {
        run_catch_up(run, NULL); /* tried again before the end is committed */
        return false;
    }
    set_ending(run, (struct run_ending){.kind = ENDING_OVER});
    return true;
}

void run_on_launch_end(void *arg, const struct launch_end *end)
{
    struct run *run = arg;
    struct launch_end what = *end;

    what.out_of_memory = run_memory_end(run);
    if (!run_launch_is_over(run))
        judge(run, &what);
}

static const char *words_of(const struct run_ending *e)
{
    return e->reason ? e->reason : "";
}

/* For the next launch, whether it is a restart or a user resumes the job. The caller frees
 * next->death_reason where the row is not saved. */
static int remember_death(const struct run *run, struct run_row *next, struct err *err)
{
    const char *reason = words_of(&run->ending);
    char *copy = strdup(reason);

    if (!copy)
        return err_nomem(err, strlen(reason));
    next->death_step = run->steps.done;
    next->death_reason = copy;
    return 0;
}

/* What a restart changes in the row, and the words for it. Caller frees *ret_words. */
static int plan_restart(struct run *run, int deaths, struct run_row *next, char **ret_words)
{
    const char *reason = words_of(&run->ending);
    int64_t delay = restart_delay_ms(deaths, run->runs->options.restart_delay_ms);

    next->deaths = deaths;
    next->restarts++;
    next->not_before_ms = clock_unix_ms() + delay;
    if (remember_death(run, next, NULL) < 0)
        return -1;
    if (asprintf(ret_words, "restart %d of %d, %.3g s after this end at step %d: %s", deaths,
                 next->max_restarts, (double)delay / 1000, run->steps.done, reason) >= 0) {
        run->runs->totals.restarts++;
        return 0;
    }
    free(next->death_reason);
    return -1;
}

/* The end of a launch after which the job waits for its restart. */
static int commit_restart(struct run *run, int deaths, struct run_row *next, struct err *err)
{
    char *words = NULL;
    int rc;

    if (plan_restart(run, deaths, next, &words) < 0)
        return err_nomem(err, 1);
    rc = run_transit(run, next, RUN_RANK_DIED, words, err);
    if (rc < 0)
        free(next->death_reason);
    else
        run_add_notice(run, words, NULL); /* the row has it too, for now */
    free(words);
    return rc;
}

/* Why a death is the last one. Caller frees; NULL for lack of memory. */
static char *explain_last(const struct run *run, enum restart_verdict verdict)
{
    const char *reason = words_of(&run->ending);
    char *words = NULL;
    int rc;

    if (verdict == RESTART_REPEATS)
        rc = asprintf(&words, "twice in a row at step %d: %s", run->steps.done + 1, reason);
    else if (run->row.max_restarts == 0)
        rc = asprintf(&words, "%s", reason);
    else
        rc = asprintf(&words, "%s; it was the last of %d restarts without progress", reason,
                      run->row.max_restarts);
    return rc < 0 ? NULL : words;
}

/* A death is followed by a restart, or is the job's end. */
static int commit_death(struct run *run, struct run_row *next, struct err *err)
{
    const struct run_ending *e = &run->ending;
    int deaths, rc;
    enum restart_verdict verdict =
        restart_judge(&run->row, run->steps.done, words_of(e), e->from_outside, &deaths);
    char *words;

    if (verdict == RESTART_AGAIN)
        return commit_restart(run, deaths, next, err);
    rc = remember_death(run, next, err);
    if (rc < 0)
        return rc;
    words = explain_last(run, verdict);
    next->stop = STOP_NONE;
    rc = run_transit(run, next, RUN_BROKE, words ? words : words_of(e), err);
    if (rc < 0)
        free(next->death_reason);
    free(words);
    return rc;
}

static int commit_event(struct run *run, struct run_row *next, struct err *err)
{
    const struct run_ending *e = &run->ending;

    next->stop = STOP_NONE;
    if (e->event == RUN_UNSTARTED && uv_now(run->runs->loop) < run->gate_until_ms)
        next->not_before_ms = clock_unix_ms() + GATE_PAUSE_MS;
    if (e->not_before_ms)
        next->not_before_ms = e->not_before_ms;
    return run_transit(run, next, e->event, words_of(e), err);
}

/* A cancel or a pause that came while the end waited: the job is not launched again. */
static void apply_stop(struct run *run)
{
    struct run_ending *e = &run->ending;

    if (!run->row.stop || e->kind == ENDING_OVER ||
        (e->event != RUN_RANK_DIED && e->event != RUN_UNSTARTED && e->event != RUN_INTERRUPTED))
        return;
    free(e->reason);
    *e = (struct run_ending){ENDING_EVENT, .event = run_resolve_event(run, RUN_STOPPED),
                             .reason = run_explain_stop(run)};
}

static int commit_ending(struct run *run, struct err *err)
{
    struct run_row next;
    int rc = 0;

    if (run->ending.kind != ENDING_OVER)
        rc = run_catch_up(run, err);
    if (rc < 0)
        return rc;
    apply_stop(run);
    next = run->row;
    next.pid = 0;
    next.slurm_job = 0;
    memset(next.token, 0, sizeof(next.token)); /* of the launch that is over */
    switch (run->ending.kind) {
    case ENDING_OVER:
        return run_save(run, &next, err);
    case ENDING_DEATH:
        return commit_death(run, &next, err);
    default:
        return commit_event(run, &next, err);
    }
}

void run_commit_end(struct run *run)
{
    struct err err;

    if (commit_ending(run, &err) < 0) {
        run_log_once(run, "cannot save the final state; retrying", &err);
    } else {
        run_steps_free_pending(&run->steps);
        free(run->ending.reason);
        run->ending = (struct run_ending){ENDING_NONE};
    }
    runs_arm(run->runs);
}
