/* client/cmd_submit.c - dashctl submit JOB.YAML: queues a job. */
#include "client/follow.h"
#include "client/job_file.h"
#include "client/json.h"
#include <stdio.h>

struct submit {
    struct job_file file;
    bool watch;
};

enum { OPTION_VALIDATE_ONLY = 3000, OPTION_REQUEST_ID };

static const struct argp_option options[] = {
    {"watch", 'w', NULL, 0, "Then watch it, as `dashctl watch` does", 0},
    {"validate-only", OPTION_VALIDATE_ONLY, NULL, 0, "Check everything, and queue nothing", 0},
    {"priority", 'p', "N", 0,
     "Of queued jobs, the one of greatest priority starts first: -1000 to 1000 (default: 0)", 0},
    LABEL_OPTION("Give the job a label"),
    {"request-id", OPTION_REQUEST_ID, "TEXT", 0,
     "A name for this request: sent again, it queues no second job", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct submit *s = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &s->file;
        return 0;
    case 'w':
        s->watch = true;
        return 0;
    case OPTION_VALIDATE_ONLY:
        s->file.validate_only = true;
        return 0;
    case 'p':
        s->file.priority = (int32_t)client_parse_integer(state, "--priority", arg, -1000, 1000);
        return 0;
    case OPTION_LABEL:
        label_options_add(&s->file.labels, arg, state);
        return 0;
    case OPTION_REQUEST_ID:
        s->file.request_id = arg;
        return 0;
    case ARGP_KEY_SUCCESS:
        if (s->watch && s->file.validate_only)
            argp_error(state, "--validate-only queues no job that could be watched");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_result(const struct client *c, const struct submit *s,
                         const Dash__V1__CreateJobResponse *r)
{
    const Dash__V1__Job *job = r->job;
    size_t i;

    if (c->json && !s->watch)
        json_print(&r->base, true);
    if (c->json)
        return;
    if (s->file.validate_only) {
        printf("the job (%s) can be submitted; its output would be %s\n", job->name, job->output);
        return;
    }
    printf("job %s (%s) is %s\n", job->id, job->name,
           job->queue_position > 1 ? "in the queue" : "accepted");
    if (!s->watch)
        printf("  dashctl watch %s    follow its progress\n", job->id);
    printf("  output: %s\n", job->output);
    if (r->runs_as[0])
        printf("  it runs as %s, the user of dashd\n", r->runs_as);
    for (i = 0; !s->watch && i < job->n_notices; i++)
        printf("  note: %s\n", job->notices[i]);
}

int cmd_submit(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&job_file_resume_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .options = options,
        .parser = parse,
        .args_doc = "JOB.YAML",
        .doc = "Queues a job, once it has been checked as a whole: job file, model "
               "and data.",
        .children = children};
    struct submit s = {.file.client = c};
    Dash__V1__CreateJobResponse *response = NULL;
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &s);
    status = job_file_read(&s.file);
    if (status == 0)
        status = job_file_create(c, &s.file, &response);
    job_file_free(&s.file);
    if (status != 0)
        return status;
    print_result(c, &s, response);
    if (s.watch)
        status = follow_to_end(c, response->job->id, 1, false);
    dash__v1__create_job_response__free_unpacked(response, NULL);
    return status;
}
