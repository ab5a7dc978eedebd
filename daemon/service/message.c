/* daemon/service/message.c - see message.h. A message borrows from the run: it is sent before
 * anything changes. */
#include "daemon/service/message.h"
#include "daemon/service/runs.h"
#include "proto/phase.h"
#include <stdio.h>

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

void message_job(const struct run *run, struct message_job *ret)
{
    const struct run_row *row = &run->row;
    Dash__V1__Job *job = &ret->job;

    dash__v1__job__init(job);
    snprintf(ret->id, sizeof(ret->id), "%ld", row->id);
    job->id = ret->id;
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
    estimate(run, job);
}
