/* client/cmd_logs.c - dashctl logs ID: what a job's programs wrote, and with -f what they continue
 * to write. */
#include "client/client.h"
#include "client/interrupt.h"
#include "client/printable.h"
#include <stdio.h>

enum { LOOK_MS = 200 };

struct logs_options {
    struct job_argument job;
    uint32_t max_bytes;
    bool follow;
};

static const struct argp_option options[] = {
    {"follow", 'f', NULL, 0,
     "Continue until the job has ended or is paused; Ctrl-C leaves it running", 0},
    {"bytes", 'b', "N", 0, "At most the newest N bytes (default: 65536)", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct logs_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &o->job;
        return 0;
    case 'f':
        o->follow = true;
        return 0;
    case 'b':
        o->max_bytes = (uint32_t)client_parse_integer(state, "--bytes", arg, 1, 4194304);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int print_end(const struct logs_options *o)
{
    Dash__V1__GetLogsRequest request = DASH__V1__GET_LOGS_REQUEST__INIT;
    Dash__V1__GetLogsResponse *response = NULL;
    int status;

    request.id = o->job.id;
    request.max_bytes = o->max_bytes;
    status = client_call(o->job.client, "GetLogs", &request.base,
                         &dash__v1__get_logs_response__descriptor, CALL_TIMEOUT_MS, &response);
    if (status != 0)
        return status;
    printable_print(stdout, response->text);
    dash__v1__get_logs_response__free_unpacked(response, NULL);
    return 0;
}

/* *next: the offset behind what was printed. */
static int print_stream(struct stream *s, uint64_t *next, struct err *err)
{
    ProtobufCMessage *m = NULL;
    int rc = 0;

    while (rc >= 0 && rc != STREAM_END && !interrupt_count()) {
        rc = stream_read(s, LOOK_MS, &m, err);
        if (rc != STREAM_MESSAGE)
            continue;
        printable_print(stdout, ((Dash__V1__FollowLogsResponse *)m)->text);
        *next = ((Dash__V1__FollowLogsResponse *)m)->next_offset;
        fflush(stdout);
        protobuf_c_message_free_unpacked(m, NULL);
    }
    return rc < 0 ? rc : 0;
}

static int follow_once(const struct logs_options *o, uint64_t *next, bool *ret_expired,
                       struct err *err)
{
    Dash__V1__FollowLogsRequest request = DASH__V1__FOLLOW_LOGS_REQUEST__INIT;
    struct channel *channel = NULL;
    struct stream *s = NULL;
    int rc;

    request.id = o->job.id;
    request.max_bytes = o->max_bytes;
    request.from_offset = *next;
    rc = client_open_channel(o->job.client, &channel, err);
    if (rc == 0)
        rc = stream_open(channel, "/dash.v1.FineTuning/FollowLogs", &request.base,
                         &dash__v1__follow_logs_response__descriptor, &s, err);
    if (rc == 0)
        rc = print_stream(s, next, err);
    *ret_expired = rc < 0 && client_has_expired(o->job.client, channel);
    stream_close(s);
    channel_close(channel);
    return rc;
}

static int follow(const struct logs_options *o)
{
    uint64_t next = 0;
    bool expired;
    struct err err;
    int rc;

    interrupt_catch();
    do
        rc = follow_once(o, &next, &expired, &err);
    while (expired && !interrupt_count());
    return rc < 0 ? client_fail(&err) : EXIT_OK;
}

int cmd_logs(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&job_argument_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {.options = options,
                                .parser = parse,
                                .args_doc = "ID",
                                .doc = "Prints the end of a job's log.",
                                .children = children};
    struct logs_options o = {.job.client = c};

    argp_parse(&parser, argc, argv, 0, NULL, &o);
    return o.follow ? follow(&o) : print_end(&o);
}
