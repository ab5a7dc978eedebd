/* daemon/service/message.c - see message.h. A message borrows from the run: it is sent before
 * anything changes. */
#include "daemon/service/message.h"
#include "core/clock.h"
#include "daemon/service/runs.h"
#include "proto/phase.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is left of an evaluation, at its pace since it was launched. */
static void estimate_evaluation(const struct run *run, Dash__V1__Job *job)
{
    double seconds = (double)(clock_unix_ms() - run->row.started_ms) / 1000;
    int left = run->row.steps_total - run->steps.done;

    if (run->row.state == RUN_RUNNING && run->steps.done > 0 && left > 0 && seconds > 0)
        job->eta_seconds = seconds / run->steps.done * left;
}

/* Speed and what is left, from the last steps. */
static void estimate(const struct run *run, Dash__V1__Job *job)
{
    double seconds = 0, tokens = 0;
    int left = run->row.steps_total - run->steps.done, i;

    for (i = 0; i < run->steps.n_recent; i++) {
        seconds += run->steps.recent[i].seconds;
        tokens += (double)run->steps.recent[i].tokens;
    }
    if (!(seconds > 0))
        return;
    job->tokens_per_second = tokens / seconds;
    if (run->row.state == RUN_RUNNING && left > 0)
        job->eta_seconds = seconds / run->steps.n_recent * left;
}

struct message_labels {
    Dash__V1__Label labels[LABELS_MAX], *list[LABELS_MAX];
    char text[]; /* what they point into */
};

/* Left out for lack of memory: the rest of the job is still of use. */
static void add_labels(const struct run *run, struct message_job *ret)
{
    size_t len = strlen(run->row.labels) + 1, n, i;
    struct message_labels *m = len > 1 ? malloc(sizeof(*m) + len) : NULL;
    struct label labels[LABELS_MAX];

    ret->labels = m;
    if (!m)
        return;
    memcpy(m->text, run->row.labels, len);
    n = labels_split(m->text, labels);
    for (i = 0; i < n; i++) {
        dash__v1__label__init(&m->labels[i]);
        m->labels[i].name = (char *)labels[i].name;
        m->labels[i].value = (char *)labels[i].value;
        m->list[i] = &m->labels[i];
    }
    ret->job.labels = m->list;
    ret->job.n_labels = n;
}

void message_job(const struct run *run, struct message_job *ret)
{
    const struct run_row *row = &run->row;
    Dash__V1__Job *job = &ret->job;

    dash__v1__job__init(job);
    ret->id[0] = '\0';
    if (row->id) /* of one that is only validated there is none */
        snprintf(ret->id, sizeof(ret->id), "%ld", row->id);
    job->id = ret->id;
    job->kind =
        row->kind == RUN_EVALUATION ? DASH__V1__JOB_KIND__EVALUATION : DASH__V1__JOB_KIND__TRAINING;
    job->name = row->name;
    job->state = (Dash__V1__JobState)row->state;
    job->reason = row->reason;
    job->created_ms = row->created_ms;
    job->started_ms = row->started_ms;
    job->finished_ms = row->finished_ms;
    job->steps_done = (uint32_t)run->steps.done;
    job->steps_total = (uint32_t)row->steps_total;
    job->output = row->output;
    job->phase = (Dash__V1__Phase)row->phase;
    job->restarts = (uint32_t)row->restarts;
    job->slurm_job = row->slurm_job;
    job->created_by = row->created_by;
    job->notices = run->notices;
    job->n_notices = (size_t)run->n_notices;
    job->queue_position = (uint32_t)runs_queue_position(run);
    job->priority = row->priority;
    job->tokens = (uint64_t)run->steps.tokens;
    job->trained_tokens = (uint64_t)run->steps.trained_tokens;
    job->nodes = row->nodes;
    job->memory_bytes = (uint64_t)row->memory_bytes;
    job->created_by = row->created_by;
    add_labels(run, ret);
    if (run->steps.n_recent) {
        step_row_to_message(&run->steps.recent[run->steps.n_recent - 1], &ret->last_step);
        job->last_step = &ret->last_step;
    }
    if (run->decomposition.matrices > 0 && row->state == RUN_RUNNING &&
        (row->phase == PHASE_PRELAUNCH || row->phase == PHASE_IDENTIFICATION)) {
        dash__v1__decomposition__init(&ret->decomposition);
        ret->decomposition.done = (uint32_t)run->decomposition.done;
        ret->decomposition.matrices = (uint32_t)run->decomposition.matrices;
        ret->decomposition.seconds_left = run->decomposition.seconds_left;
        job->decomposition = &ret->decomposition;
    }
    if (row->kind == RUN_EVALUATION)
        estimate_evaluation(run, job);
    else
        estimate(run, job);
    if (job->eta_seconds > 0)
        job->estimated_finish_ms = clock_unix_ms() + (int64_t)(1000 * job->eta_seconds);
}

void message_job_close(struct message_job *m)
{
    free(m->labels);
    m->labels = NULL;
}

void message_reply_job(struct rpc_call *call, ProtobufCMessage *response,
                       Dash__V1__Job **job_of_response, const struct run *run)
{
    struct message_job m;

    message_job(run, &m);
    *job_of_response = &m.job;
    rpc_reply(call, response);
    message_job_close(&m);
}

int message_read_labels(Dash__V1__Label *const *list, size_t n, struct label ret[LABELS_MAX],
                        struct err *err)
{
    size_t i;

    if (n > LABELS_MAX)
        return err_set(err, ERR_INVALID, "labels: a job has at most %d, not %zu", LABELS_MAX, n);
    for (i = 0; i < n; i++)
        ret[i] = (struct label){list[i]->name, list[i]->value};
    return 0;
}

void message_event(const struct event_row *row, Dash__V1__Event *ret)
{
    dash__v1__event__init(ret);
    ret->id = row->id;
    ret->time_ms = row->at_ms;
    ret->kind = (Dash__V1__EventKind)row->kind;
    ret->state = (Dash__V1__JobState)row->state;
    ret->phase = (Dash__V1__Phase)row->phase;
    ret->text = (char *)row->text;
}

int message_check_priority(int priority, struct err *err)
{
    if (priority >= -PRIORITY_MAX && priority <= PRIORITY_MAX)
        return 0;
    return err_set(err, ERR_INVALID, "priority must be an integer from %d to %d, not %d",
                   -PRIORITY_MAX, PRIORITY_MAX, priority);
}
