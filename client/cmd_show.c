/* client/cmd_show.c - dashctl show ID: all there is to know about a job. */
#include "client/client.h"
#include "client/json.h"
#include "client/words.h"
#include "core/job/evaluation_request.h"
#include "core/job/job.h"
#include "core/job/job_read.h"
#include "proto/phase.h"
#include "core/duration.h"
#include <stdio.h>
#include <string.h>

static void print_time(const char *title, int64_t ms)
{
    char text[64];

    if (!ms)
        return;
    words_time(ms, text, sizeof(text));
    printf("%-10s %s\n", title, text);
}

static bool is_evaluation(const Dash__V1__Job *job)
{
    return job->kind == DASH__V1__JOB_KIND__EVALUATION;
}

static void print_progress(const Dash__V1__Job *job)
{
    char time[32], text[100];

    printf("%-10s %u of %u%s%s\n", is_evaluation(job) ? "examples" : "steps", job->steps_done,
           job->steps_total, phase_name((int)job->phase)[0] ? ", phase " : "",
           phase_name((int)job->phase));
    if (job->decomposition) {
        words_decomposition(job->decomposition, text, sizeof(text));
        printf("%-10s %s\n", "directions", text);
    }
    if (job->last_step)
        printf("%-10s %.6g (grad_norm %.4g, learning_rate %.4g)\n", "loss", job->last_step->loss,
               job->last_step->grad_norm, job->last_step->learning_rate);
    if (job->tokens_per_second > 0)
        printf("%-10s %.0f tokens/s\n", "speed", job->tokens_per_second);
    if (job->eta_seconds > 0) {
        duration_words(job->eta_seconds, time, sizeof(time));
        printf("%-10s %s\n", "ETA", time);
    }
    print_time("finish", job->estimated_finish_ms);
    if (job->trained_tokens)
        printf("%-10s %llu, %llu of them trained\n", "tokens", (unsigned long long)job->tokens,
               (unsigned long long)job->trained_tokens);
    if (job->restarts)
        printf("%-10s %u\n", "restarts", job->restarts);
}

static void print_indented(const char *title, const char *text)
{
    size_t len;

    printf("%s:\n", title);
    while (*text) {
        len = strcspn(text, "\n");
        printf("    ");
        fwrite(text, 1, len, stdout);
        putchar('\n');
        text += len + (text[len] == '\n');
    }
}

/* As the job file has them. */
static void print_limits(const Dash__V1__Job *job)
{
    struct job *read = NULL;
    struct buf text = {0};
    struct err ignored;

    if (is_evaluation(job) || job_from_yaml(job->job_yaml, &read, &ignored) < 0)
        return;
    job_limits_print(&read->limits, &text);
    if (text.len && !text.failed)
        printf("%-10s %s\n", "limits", text.data);
    buf_free(&text);
    job_free(read);
}

static void print_job(const Dash__V1__Job *job)
{
    size_t i;

    printf("job %s (%s): %s", job->id, job->name, words_state(job->state));
    if (job->queue_position)
        printf(", number %u in the queue", job->queue_position);
    printf("\n");
    if (job->reason[0])
        printf("%-10s %s\n", "reason", job->reason);
    print_progress(job);
    print_time("created", job->created_ms);
    print_time("started", job->started_ms);
    print_time("finished", job->finished_ms);
    if (job->created_by[0])
        printf("%-10s %s\n", "creator", job->created_by);
    if (job->nodes[0])
        printf("%-10s %s\n", "nodes", job->nodes);
    if (job->priority)
        printf("%-10s %d\n", "priority", job->priority);
    for (i = 0; i < job->n_labels; i++)
        printf("%-10s %s=%s\n", "label", job->labels[i]->name, job->labels[i]->value);
    if (job->slurm_job)
        printf("%-10s %lld\n", "slurm job", (long long)job->slurm_job);
    print_limits(job);
    printf("%-10s %s\n", "output", job->output);
    if (job->state == DASH__V1__JOB_STATE__SUCCEEDED)
        printf("%-10s %s/%s\n", is_evaluation(job) ? "result" : "adapter", job->output,
               is_evaluation(job) ? EVALUATION_RESULT : "adapter");
    for (i = 0; i < job->n_notices; i++)
        printf("%-10s %s\n", "note", job->notices[i]);
    if (job->log_tail[0])
        print_indented("log", job->log_tail);
    if (job->state == DASH__V1__JOB_STATE__FAILED)
        printf("`dashctl logs %s` shows the whole log; `dashctl resume %s` tries again%s\n",
               job->id, job->id, is_evaluation(job) ? "" : " from the last checkpoint");
}

int cmd_show(struct client *c, int argc, char **argv)
{
    Dash__V1__GetJobRequest request = DASH__V1__GET_JOB_REQUEST__INIT;
    Dash__V1__GetJobResponse *response = NULL;
    int status;

    request.id = client_parse_job(
        c, argc, argv,
        "Shows a job: state and reason, progress, notes, and the end of its log if it failed.");
    status = client_call(c, "GetJob", &request.base, &dash__v1__get_job_response__descriptor,
                         CALL_TIMEOUT_MS, &response);
    if (status != 0)
        return status;
    if (c->json)
        json_print(&response->job->base, true);
    else
        print_job(response->job);
    dash__v1__get_job_response__free_unpacked(response, NULL);
    return EXIT_OK;
}
