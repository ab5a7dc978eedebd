/* client/cmd_watch.c - dashctl watch ID: a job shown as it runs. */
#include "client/follow.h"
#include <stdlib.h>

struct watch_options {
    struct client *client;
    const char *id;
    int from_step;
};

static const struct argp_option options[] = {
    {"from", 'F', "STEP", 0, "Show the steps from this one on (default: all)", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct watch_options *o = state->input;
    char *end;
    long step;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = o->client;
        return 0;
    case 'F':
        step = strtol(arg, &end, 10);
        if (end == arg || *end || step < 0 || step > 1000000000)
            argp_error(state, "--from must be the number of a step, not '%s'", arg);
        o->from_step = (int)step;
        return 0;
    case ARGP_KEY_ARG:
        if (o->id)
            argp_error(state, "one job at a time: what is '%s'?", arg);
        o->id = arg;
        return 0;
    case ARGP_KEY_END:
        if (!o->id)
            argp_error(state, "which job? `dashctl list` shows those there are");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

int cmd_watch(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&client_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .options = options,
        .parser = parse,
        .args_doc = "ID",
        .doc = "Shows a job as it runs. Ctrl-C leaves it running. The exit status is 0 if "
               "the job succeeds.",
        .children = children};
    struct watch_options o = {.client = c};

    argp_parse(&parser, argc, argv, 0, NULL, &o);
    return follow_to_end(c, o.id, o.from_step);
}
