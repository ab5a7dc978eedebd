/* daemon/service/run_slurm.c - see run_slurm.h. Slurm's answers are news, which may be late or
 * missing; only the output folder proves an end. */
#include "daemon/service/run_slurm.h"
#include "core/clock.h"
#include "core/job/job_read.h"
#include "core/log.h"
#include "daemon/service/outcome.h"
#include "daemon/service/run_end.h"
#include "daemon/service/run_report.h"
#include "daemon/service/slurm.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TRY_AGAIN_MS = 30 * 1000, LATE_LOOKS = 10, REASON_LOOKS = 40 };

/* ---- while it is in Slurm's hands ---- */

/* What the log says, since it last did so, of why Slurm took the nodes away; NULL: nothing. What
 * led to a requeue counts before the requeue. */
static const char *why_requeued(const char *output, int64_t from)
{
    static const struct {
        const char *said, *words;
    } reasons[] = {
        {"the time limit is near", "its time limit was near"},
        {"DUE TO TIME LIMIT", "it reached its time limit"},
        {"DUE TO PREEMPTION", "it was preempted by another job"},
        {"DUE TO NODE FAILURE", "a node failed"},
        {"batch: not all nodes answer", "a node did not answer"},
        {"DUE TO JOB REQUEUE", "somebody requeued it"},
    };
    struct buf log = {0};
    const char *words = NULL;
    int64_t next;
    size_t i;

    if (outcome_read_log(output, from, 1 << 20, &log, &next, NULL) < 0 || !log.data)
        return NULL;
    for (i = 0; i < sizeof(reasons) / sizeof(reasons[0]) && !words; i++)
        if (strstr(log.data, reasons[i].said))
            words = reasons[i].words;
    buf_free(&log);
    return words;
}

/* The reason may reach the log long after Slurm has reported that the job waits, when its last
 * process has ended; not after it runs again. */
static void note_requeued(struct run *run, bool runs_again)
{
    const char *why = why_requeued(run->row.output, run->slurm.log_seen);
    char text[200];

    run->slurm.reason_looks = runs_again ? 0 : run->slurm.reason_looks - 1;
    if (!why && run->slurm.reason_looks > 0)
        return;
    run->slurm.reason_looks = 0;
    run->slurm.log_seen = outcome_log_size(run->row.output);
    snprintf(text, sizeof(text), "after step %d Slurm queued the job again: %s",
             run->slurm.requeued_after, why ? why : "the log gives no reason");
    run_add_notice(run, text, NULL);
}

/* Changes id, nodes and reason where they differ, by an event or without. */
static void update(struct run *run, const struct slurm_row *row, bool requeued, const char *words)
{
    bool moves = row->nodes[0] && strcmp(run->row.nodes, row->nodes) != 0;
    bool speaks = !requeued && !run->row.stop && strcmp(run->row.reason, words) != 0;
    struct run_row next = run->row;
    struct err err;
    int rc;

    if (!requeued && !moves && !speaks && run->row.slurm_job == row->id)
        return;
    next.slurm_job = row->id;
    if (moves)
        next.nodes = strdup(row->nodes);
    if (speaks)
        next.reason = strdup(words);
    if (!next.nodes || !next.reason)
        rc = err_nomem(&err, sizeof(next)); /* the next look has it too */
    else if (requeued)
        rc = run_transit(run, &next, RUN_REQUEUED, run->row.stop ? run->row.reason : words, &err);
    else
        rc = run_save(run, &next, &err);
    if (rc < 0) {
        if (moves)
            free(next.nodes);
        if (speaks)
            free(next.reason);
        run_log_once(run, "cannot save what Slurm reported; retrying", &err);
    }
}

/* Rows of the run's folder, where nobody reports. The first one says that it runs. */
static void read_folder(struct run *run)
{
    int before = run->steps.done;
    struct run_row next;

    if (run->report)
        return;
    run_catch_up(run, NULL);
    next = run->row;
    if (run->row.state == RUN_STARTING && run->steps.done > before)
        run_transit(run, &next, RUN_FIRST_REPORT, NULL, NULL);
}

static void on_news(void *arg, const struct slurm_row *row)
{
    struct run *run = arg;
    bool waits = row->state == SLURM_PENDING || row->state == SLURM_PREPARING;
    char words[300];

    if (!run_is_under_way(run->row.state))
        return;
    read_folder(run);
    slurm_describe(row, words, sizeof(words));
    if (waits && run->slurm.ran) {
        run->slurm.reason_looks = REASON_LOOKS;
        run->slurm.requeued_after = run->steps.done;
    }
    if (run->slurm.reason_looks > 0)
        note_requeued(run, row->state == SLURM_RUNNING);
    update(run, row, waits && run->row.state == RUN_RUNNING, words);
    run->slurm.ran = row->state == SLURM_RUNNING || (run->slurm.ran && !waits);
}

/* ---- its end ---- */

static const char *words_of_end(enum slurm_state state)
{
    switch (state) {
    case SLURM_TIMEOUT:
        return "Slurm ended it at its time limit";
    case SLURM_PREEMPTED:
        return "it was preempted by another job";
    case SLURM_NODE_FAIL:
        return "a node failed";
    case SLURM_OUT_OF_MEMORY:
        return "it needed more memory than Slurm gave it: raise slurm.mem, or use more stages";
    case SLURM_GONE:
        return "Slurm no longer knows it, and it left no outcome";
    case SLURM_COMPLETED:
        return "its batch script ended, but no adapter was written";
    default:
        return "its batch script ended with an error";
    }
}

static char *explain(const struct run *run, const struct slurm_end *end)
{
    char *line = outcome_telling_line(run->row.output, run->row.log_offset), *words;
    int rc;

    if (end->row.state == SLURM_FAILED && !line)
        rc = asprintf(&words,
                      "Slurm job %lld failed on %s and wrote nothing: is %s on a folder that the "
                      "nodes share? `dashctl doctor` looks",
                      (long long)end->row.id, end->row.nodes, run->row.output);
    else if (end->row.state == SLURM_OUT_OF_MEMORY) /* the same words each time: see restart.h */
        rc = asprintf(&words, "%s", words_of_end(end->row.state));
    else
        rc = asprintf(&words, "%s (Slurm job %lld)%s%s", words_of_end(end->row.state),
                      (long long)end->row.id, line ? ": " : "", line ? line : "");
    free(line);
    return rc < 0 ? NULL : words;
}

static bool by_slurm(enum slurm_state state)
{
    return state == SLURM_TIMEOUT || state == SLURM_PREEMPTED || state == SLURM_NODE_FAIL ||
           state == SLURM_OUT_OF_MEMORY || state == SLURM_GONE || state == SLURM_COMPLETED ||
           state == SLURM_OVER;
}

/* The script has said what could not be done, or could not even say something: another would fare
 * no better. Else it was killed. */
static bool has_given_up(const struct run *run)
{
    struct buf log = {0};
    int64_t size = outcome_log_size(run->row.output), next;
    int64_t from = size - (1 << 20) > run->row.log_offset ? size - (1 << 20) : run->row.log_offset;
    bool given_up;

    if (size <= run->row.log_offset)
        return true;
    if (outcome_read_log(run->row.output, from, 1 << 20, &log, &next, NULL) < 0 || !log.data)
        return false;
    given_up = strstr(log.data, " error batch: ") != NULL;
    buf_free(&log);
    return given_up;
}

static char *explain_cancel(const struct run *run, const struct slurm_end *end)
{
    char *words;

    if (asprintf(&words,
                 "cancelled in Slurm, not here (scancel of job %lld), after step %d; `dashctl "
                 "resume %ld` continues from there",
                 (long long)end->row.id, run->steps.done, run->row.id) < 0)
        return NULL;
    return words;
}

/* Neither an adapter nor a failure in words: Slurm's state decides. */
static void judge_without_outcome(struct run *run, const struct slurm_end *end)
{
    if (run->row.stop || run->interrupting)
        run_end(run, run_resolve_event(run, RUN_RANK_DIED), run_explain_stop(run));
    else if (end->row.state == SLURM_CANCELLED)
        run_end(run, RUN_STOPPED, explain_cancel(run, end));
    else if (run->row.external || (!by_slurm(end->row.state) && has_given_up(run)))
        run_end(run, RUN_BROKE, explain(run, end));
    else
        run_die(run, explain(run, end), end->row.state != SLURM_OUT_OF_MEMORY);
}

static void end_never(struct run *run, const struct slurm_end *end)
{
    char *words = NULL;

    if (run->row.stop || run->interrupting) {
        run_end(run, run_resolve_event(run, RUN_RANK_DIED), run_explain_stop(run));
    } else if (!end->may_pass) {
        if (asprintf(&words, "Slurm rejected the job: %s", end->words) < 0)
            words = NULL;
        run_end(run, RUN_BROKE, words);
    } else {
        if (end->words[0] &&
            asprintf(&words, "cannot submit the job to Slurm; retrying: %s", end->words) < 0)
            words = NULL;
        run_end_until(run, words, clock_unix_ms() + (end->words[0] ? TRY_AGAIN_MS : 0));
    }
}

static int follow(struct run *run, struct err *err);

/* A script ends well only with an outcome in the folder; over a network it may take a while until
 * that is seen here. */
static bool is_late(struct run *run, const struct slurm_end *end)
{
    enum run_event event;
    char *reason = NULL;

    if (end->row.state != SLURM_COMPLETED || !run_is_under_way(run->row.state))
        return false;
    if (outcome_read(run->row.output, &event, &reason, NULL) == 0) {
        free(reason);
        return false;
    }
    return run->slurm.late_looks++ < LATE_LOOKS && follow(run, NULL) == 0;
}

static void on_end(void *arg, const struct slurm_end *end)
{
    struct run *run = arg;
    enum run_event event;
    char *reason = NULL;

    if (run->slurm.reason_looks > 0)
        note_requeued(run, true);
    if (is_late(run, end) || run_launch_is_over(run))
        return;
    if (end->row.state == SLURM_NEVER) {
        end_never(run, end);
    } else if (outcome_read(run->row.output, &event, &reason, NULL) == 0 &&
               (event == RUN_ADAPTER_WRITTEN || event == RUN_BROKE)) {
        if (event == RUN_ADAPTER_WRITTEN) {
            free(reason);
            reason = NULL;
        }
        run_end(run, event, reason);
    } else {
        free(reason);
        judge_without_outcome(run, end);
    }
}

/* ---- launching ---- */

static struct slurm_spec spec_of(struct run *run)
{
    return (struct slurm_spec){
        .mark = run->row.mark,
        .output = run->row.output,
        .external = run->row.external,
        .id = run->row.slurm_job,
        .on_news = on_news,
        .on_end = on_end,
        .arg = run,
    };
}

static int submit(struct run *run, const struct job *job, struct err *err)
{
    struct slurm_spec spec = spec_of(run);
    char *script = script_text(job, run->runs->options.programs, run->row.mark);
    char **env = script_environment(&job->slurm);
    int rc;

    if (script && env)
        rc = slurm_submit(run->runs->slurm, &spec, script, env, &run->launch, err);
    else
        rc = err_nomem(err, strlen(run->row.job_yaml));
    free(script);
    free(env);
    return rc;
}

static int follow(struct run *run, struct err *err)
{
    struct slurm_spec spec = spec_of(run);

    return slurm_follow(run->runs->slurm, &spec, &run->launch, err);
}

int run_start_slurm(struct run *run, struct err *err)
{
    struct run_row next = run->row;
    struct job *job = NULL;
    int rc;

    run->slurm.ran = false;
    run->slurm.late_looks = 0;
    run->slurm.reason_looks = 0;
    run->slurm.log_seen = run->row.log_offset;
    if (!run->runs->slurm)
        return err_set(err, ERR_NOT_FOUND,
                       "this machine has no sbatch, squeue and scancel in its PATH");
    if (run->row.external) {
        next.reason = strdup("waits for its batch script to be submitted");
        if (next.reason && run_save(run, &next, NULL) < 0)
            free(next.reason);
        return follow(run, err);
    }
    rc = job_from_yaml(run->row.job_yaml, &job, err);
    if (rc == 0)
        rc = submit(run, job, err);
    job_free(job);
    return rc;
}

int run_adopt_slurm(struct run *run, struct err *err)
{
    const struct run_row *row = &run->row;

    if (row->state != RUN_STARTING && row->state != RUN_RUNNING && !row->slurm_job)
        return 0;
    run->slurm.ran = row->state == RUN_RUNNING;
    run->slurm.log_seen = outcome_log_size(row->output);
    if (!run->runs->slurm) {
        log_warn(
            "job %ld is Slurm's, and this machine has no squeue in its PATH: it is not followed",
            row->id);
        return 0;
    }
    return follow(run, err);
}

int run_write_script(struct run *run, char **ret_script, struct err *err)
{
    struct job *job = NULL;
    int rc;

    if (run->row.state != RUN_STARTING)
        return err_set(err, ERR_STATE, "job %ld is kept, but cannot be prepared: %s", run->row.id,
                       run->row.reason);
    rc = job_from_yaml(run->row.job_yaml, &job, err);
    if (rc < 0)
        return rc;
    *ret_script = script_text(job, run->runs->options.programs, run->row.mark);
    job_free(job);
    return *ret_script ? 0 : err_nomem(err, strlen(run->row.job_yaml));
}

void run_slurm_away(void *arg, const char *words)
{
    struct runs *r = arg;
    char text[500], when[32];
    time_t now = time(NULL);
    struct tm utc;
    int i;

    strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%SZ", gmtime_r(&now, &utc));
    if (words)
        snprintf(text, sizeof(text),
                 "%s: Slurm's controller does not answer (%s); what runs continues", when, words);
    else
        snprintf(text, sizeof(text), "%s: Slurm's controller answers again", when);
    log_warn("%s", text);
    for (i = 0; i < r->n; i++)
        if (r->items[i]->row.slurm && r->items[i]->launch &&
            run_is_under_way(r->items[i]->row.state))
            run_add_notice(r->items[i], text, NULL);
}
