/* client/cmd_run.c - dashctl run JOB.YAML: trains on this machine, with a dashd of its own, and
 * returns when the adapter is written.
 *
 * Ctrl-C once cancels the job, which finishes its step and writes a checkpoint; twice kills it.
 */
#include "client/follow.h"
#include "client/interrupt.h"
#include "client/job_file.h"
#include "client/private_dashd.h"
#include "client/words.h"
#include <stdio.h>
#include <string.h>

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct job_file *f = state->input;

    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = f;
        return 0;
    case ARGP_KEY_END:
        if (f->client->server_was_named)
            argp_error(
                state,
                "run has a dashd of its own: `dashctl submit --watch` sends a job to another");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void cancel(struct client *c, const char *id)
{
    Dash__V1__CancelJobRequest request = DASH__V1__CANCEL_JOB_REQUEST__INIT;
    Dash__V1__CancelJobResponse *response = NULL;
    ProtobufCMessage *reply = NULL;
    struct err err;

    request.id = (char *)id;
    /* That it has just ended is no failure: the watch reports it. */
    if (channel_call(c->channel, "/dash.v1.FineTuning/CancelJob", &request.base,
                     &dash__v1__cancel_job_response__descriptor, CALL_TIMEOUT_MS, &reply, &err) < 0)
        return;
    response = (Dash__V1__CancelJobResponse *)reply;
    dash__v1__cancel_job_response__free_unpacked(response, NULL);
}

static void print_resume_hint(const struct job_file *f)
{
    int i;

    fprintf(stderr, "`dashctl run --resume");
    for (i = 0; i < f->sets.n; i++)
        fprintf(stderr, " --set '%s'", f->sets.items[i]);
    fprintf(stderr, " %s` continues from its last checkpoint\n", f->path);
}

static int print_end(struct client *c, const struct job_file *f, const Dash__V1__Job *job)
{
    int status;

    if (job->state != DASH__V1__JOB_STATE__CANCELLED) {
        status = follow_print_end(c, job);
    } else {
        status = EXIT_FAILED;
        fprintf(stderr, "stopped after step %u of %u\n", job->steps_done, job->steps_total);
    }
    if (status != EXIT_OK && job->steps_done > 0)
        print_resume_hint(f);
    return status;
}

/* Shows the job to its end, through up to two interrupts. */
static int follow_to_its_end(struct client *c, const struct job_file *f,
                             struct private_dashd *dashd, const char *id)
{
    struct follow follow = {.client = c, .id = id};
    Dash__V1__Job *job = NULL;
    enum follow_end end;
    int status = EXIT_FAILED;

    do {
        follow.interrupts = interrupt_count() + 1;
        if (job) {
            follow.from_step = (int)job->steps_done + 1;
            dash__v1__job__free_unpacked(job, NULL);
            job = NULL;
        }
        end = follow_job(&follow, &job);
        if (end != FOLLOW_INTERRUPTED)
            break;
        if (interrupt_count() == 1) {
            fprintf(stderr, "stopping after this step (Ctrl-C again kills the job)\n");
            cancel(c, id);
        }
    } while (interrupt_count() < 2);
    if (end == FOLLOW_FINAL) {
        status = print_end(c, f, job);
    } else if (end == FOLLOW_INTERRUPTED) {
        fprintf(stderr, "killed\n");
        private_dashd_terminate(dashd); /* the second one follows at the end */
        print_resume_hint(f);
    } else {
        private_dashd_explain(dashd);
    }
    if (job)
        dash__v1__job__free_unpacked(job, NULL);
    return status;
}

static int run_with(struct client *c, const struct job_file *f, struct private_dashd *dashd)
{
    Dash__V1__CreateJobResponse *response = NULL;
    int status;

    status = job_file_create(c, f, &response);
    if (status != 0)
        return status;
    if (!c->json)
        fprintf(stderr, "output: %s\n", response->job->output);
    status = follow_to_its_end(c, f, dashd, response->job->id);
    dash__v1__create_job_response__free_unpacked(response, NULL);
    return status;
}

int cmd_run(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&job_file_resume_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .parser = parse,
        .args_doc = "JOB.YAML",
        .doc =
            "Trains on this machine, with a dashd that ends with it. The exit status is 0 when the "
            "adapter is written. Ctrl-C stops after a checkpoint.",
        .children = children};
    struct job_file f = {.client = c};
    struct private_dashd dashd;
    struct err err;
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &f);
    status = job_file_read(&f);
    if (status == 0 && private_dashd_start(&dashd, &err) < 0)
        status = client_fail(&err);
    else if (status == 0) {
        interrupt_catch();
        c->server = dashd.address;
        status = run_with(c, &f, &dashd);
        channel_close(c->channel);
        c->channel = NULL;
        private_dashd_terminate(&dashd);
        private_dashd_end(&dashd);
    }
    job_file_free(&f);
    return status;
}
