/* client/cmd_watch.c - dashctl watch ID: a job shown as it runs. */
#include "client/follow.h"
#include <unistd.h>

struct watch_options {
    struct job_argument job;
    int from_step;
    bool plot;
};

static const struct argp_option options[] = {
    {"from", 'F', "STEP", 0, "Show the steps from this one on (default: all)", 0},
    {"plot", 'p', NULL, 0, "Draw the loss above the line; only on a terminal", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct watch_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->job;
        return 0;
    case 'F':
        o->from_step = (int)client_parse_integer(state, "--from", arg, 0, 1000000000);
        return 0;
    case 'p':
        o->plot = true;
        return 0;
    case ARGP_KEY_SUCCESS:
        if (o->plot && (o->job.client->json || !isatty(STDOUT_FILENO)))
            argp_error(state, "--plot draws on a terminal: `dashctl report ID` writes a page");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cmd_watch(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&job_argument_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .options = options,
        .parser = parse,
        .args_doc = "ID",
        .doc = "Shows a job as it runs. Ctrl-C leaves it running. The exit status is 0 if "
               "the job succeeds.",
        .children = children};
    struct watch_options o = {.job.client = c};

    argp_parse(&parser, argc, argv, 0, NULL, &o);
    return follow_to_end(c, o.job.id, o.from_step, o.plot);
}
