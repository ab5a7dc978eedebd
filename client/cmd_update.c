/* client/cmd_update.c - dashctl update ID: a job's priority and labels. */
#include "client/client.h"
#include "client/json.h"
#include "client/label_options.h"
#include <stdio.h>

enum { REMOVED_MAX = 64, OPTION_REMOVE_LABEL = 'r' };

struct update {
    struct job_argument job;
    struct label_options labels;
    char *removed[REMOVED_MAX];
    size_t n_removed;
    Dash__V1__Priority priority;
    bool sets_priority;
};

static const struct argp_option options[] = {
    {"priority", 'p', "N", 0,
     "Of queued jobs, the one of greatest priority starts first: -1000 to 1000", 0},
    LABEL_OPTION("Set a label"),
    {"remove-label", OPTION_REMOVE_LABEL, "NAME", 0, "Remove a label; may be repeated", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct update *u = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &u->job;
        return 0;
    case 'p':
        u->priority.value = (int32_t)client_parse_integer(state, "--priority", arg, -1000, 1000);
        u->sets_priority = true;
        return 0;
    case OPTION_LABEL:
        label_options_add(&u->labels, arg, state);
        return 0;
    case OPTION_REMOVE_LABEL:
        if (u->n_removed == REMOVED_MAX)
            argp_error(state, "at most %d --remove-label", REMOVED_MAX);
        u->removed[u->n_removed++] = arg;
        return 0;
    case ARGP_KEY_SUCCESS:
        if (!u->sets_priority && !u->labels.n && !u->n_removed)
            argp_error(state, "what is to change? --priority, --label or --remove-label says it");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cmd_update(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&job_argument_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {.options = options,
                                .parser = parse,
                                .args_doc = "ID",
                                .doc = "Changes the priority and the labels of a job.",
                                .children = children};
    Dash__V1__UpdateJobRequest request = DASH__V1__UPDATE_JOB_REQUEST__INIT;
    Dash__V1__UpdateJobResponse *response = NULL;
    struct update u = {.job.client = c, .priority = DASH__V1__PRIORITY__INIT};
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &u);
    request.id = u.job.id;
    request.labels = u.labels.list;
    request.n_labels = u.labels.n;
    request.remove_labels = u.removed;
    request.n_remove_labels = u.n_removed;
    request.priority = u.sets_priority ? &u.priority : NULL;
    status = client_call(c, "UpdateJob", &request.base, &dash__v1__update_job_response__descriptor,
                         CALL_TIMEOUT_MS, &response);
    if (status != 0)
        return status;
    if (c->json)
        json_print(&response->job->base, true);
    else
        printf("job %s (%s) is changed\n", response->job->id, response->job->name);
    dash__v1__update_job_response__free_unpacked(response, NULL);
    return EXIT_OK;
}
