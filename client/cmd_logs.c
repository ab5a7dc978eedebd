/* client/cmd_logs.c - dashctl logs ID: what a job's programs wrote, and with -f what they continue
 * to write. */
#include "client/client.h"
#include "client/interrupt.h"
#include "client/printable.h"
#include "client/words.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POLL_MS = 300 };

struct logs_options {
    struct job_argument job;
    uint32_t max_bytes;
    bool follow;
};

static const struct argp_option options[] = {
    {"follow", 'f', NULL, 0, "Continue until the job has ended; Ctrl-C leaves it running", 0},
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

/* Prints what is new and moves *offset. *ret_some: there was something. */
static int print_more(const struct logs_options *o, uint64_t *offset, bool *ret_some)
{
    Dash__V1__GetLogsRequest request = DASH__V1__GET_LOGS_REQUEST__INIT;
    Dash__V1__GetLogsResponse *response = NULL;
    int status;

    request.id = o->job.id;
    request.max_bytes = o->max_bytes;
    request.from_offset = *offset;
    status = client_call(o->job.client, "GetLogs", &request.base,
                         &dash__v1__get_logs_response__descriptor, CALL_TIMEOUT_MS, &response);
    if (status != 0)
        return status;
    printable_print(stdout, response->text);
    fflush(stdout);
    *ret_some = response->text[0];
    *offset = response->next_offset;
    dash__v1__get_logs_response__free_unpacked(response, NULL);
    return 0;
}

static int has_ended(const struct logs_options *o, bool *ret_ended)
{
    Dash__V1__GetJobRequest request = DASH__V1__GET_JOB_REQUEST__INIT;
    Dash__V1__GetJobResponse *response = NULL;
    int status;

    request.id = o->job.id;
    status = client_call(o->job.client, "GetJob", &request.base,
                         &dash__v1__get_job_response__descriptor, CALL_TIMEOUT_MS, &response);
    if (status != 0)
        return status;
    *ret_ended = words_is_final(response->job->state);
    dash__v1__get_job_response__free_unpacked(response, NULL);
    return 0;
}

/* The end is looked for before the last read: what was written before it is printed. */
static int follow(const struct logs_options *o, uint64_t offset)
{
    bool some = true, ended = false;
    int status = 0;

    interrupt_catch();
    while (status == 0 && !interrupt_count() && !(ended && !some)) {
        if (!some)
            interrupt_sleep_ms(POLL_MS);
        status = has_ended(o, &ended);
        if (status == 0)
            status = print_more(o, &offset, &some);
    }
    return status;
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
    uint64_t offset = 0;
    bool some;
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &o);
    status = print_more(&o, &offset, &some);
    if (status == 0 && o.follow)
        status = follow(&o, offset);
    return status;
}
