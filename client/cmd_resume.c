/* client/cmd_resume.c - dashctl resume ID: a job that failed, was cancelled or is paused continues,
 * in another shape if asked. */
#include "client/client.h"
#include "client/json.h"
#include "client/sets.h"
#include <stdio.h>
#include <stdlib.h>

struct resume {
    struct job_argument job;
    struct sets sets;
    uint32_t from_step;
};

static const struct argp_option options[] = {
    {"from-step", 'F', "STEP", 0,
     "Continue from the checkpoint of this step, which `dashctl checkpoints` lists; later ones are "
     "removed (default: the newest)",
     0},
    SETS_OPTION,
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct resume *r = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &r->job;
        return 0;
    case 'F':
        r->from_step = (uint32_t)client_parse_integer(state, "--from-step", arg, 1, INT32_MAX);
        return 0;
    case OPTION_SET:
        sets_add(&r->sets, arg, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_result(const struct client *c, const Dash__V1__Job *job, uint32_t from_step)
{
    if (c->json)
        json_print(&job->base, true);
    else
        printf("job %s (%s) continues after step %u; `dashctl watch %s` shows it\n", job->id,
               job->name, from_step ? from_step : job->steps_done, job->id);
}

int cmd_resume(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&job_argument_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .options = options,
        .parser = parse,
        .args_doc = "ID",
        .doc = "Queues a job that failed, was cancelled or is paused again. It continues from its "
               "last "
               "checkpoint; with --set parallel.stages=2 and the like in another shape, which does "
               "not change the result.",
        .children = children};
    Dash__V1__ResumeJobRequest request = DASH__V1__RESUME_JOB_REQUEST__INIT;
    Dash__V1__ResumeJobResponse *response = NULL;
    struct resume r = {.job.client = c};
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &r);
    request.id = r.job.id;
    request.from_step = r.from_step;
    request.overrides = r.sets.items;
    request.n_overrides = (size_t)r.sets.n;
    status = client_call(c, "ResumeJob", &request.base, &dash__v1__resume_job_response__descriptor,
                         VALIDATE_TIMEOUT_MS, &response);
    free(r.sets.items);
    if (status != 0)
        return status;
    print_result(c, response->job, r.from_step);
    dash__v1__resume_job_response__free_unpacked(response, NULL);
    return EXIT_OK;
}
