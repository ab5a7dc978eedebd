/* client/cmd_list.c - dashctl list: the jobs, newest first. */
#include "client/client.h"
#include "client/json.h"
#include "client/words.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { COLUMN_COUNT = 7, STATES_MAX = 16 };

struct list_options {
    struct client *client;
    Dash__V1__JobState states[STATES_MAX];
    size_t n_states;
};

static const struct argp_option options[] = {
    {"state", 's', "STATE", 0,
     "Only jobs in this state: queued, starting, running, succeeded, failed or cancelled; may be "
     "repeated",
     0},
    {0},
};

static void add_state(struct list_options *o, const char *name, struct argp_state *state)
{
    const ProtobufCEnumDescriptor *d = &dash__v1__job_state__descriptor;
    unsigned i;

    for (i = 0; i < d->n_values; i++)
        if (d->values[i].value && strcasecmp(d->values[i].name, name) == 0 &&
            o->n_states < STATES_MAX) {
            o->states[o->n_states++] = (Dash__V1__JobState)d->values[i].value;
            return;
        }
    argp_error(state, "there is no state '%s'", name);
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct list_options *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = o->client;
        return 0;
    case 's':
        add_state(o, arg, state);
        return 0;
    case ARGP_KEY_ARG:
        argp_error(state, "unexpected argument '%s'", arg);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

struct row {
    char cells[COLUMN_COUNT][96];
};

static void fill_row(struct row *r, const Dash__V1__Job *job, double now_ms)
{
    double seconds = (now_ms - (double)job->created_ms) / 1000;
    char age[32];

    snprintf(r->cells[0], 96, "%s", job->id);
    snprintf(r->cells[1], 96, "%.*s", (int)words_cut(job->name, 32), job->name);
    snprintf(r->cells[2], 96, "%s", words_state(job->state));
    snprintf(r->cells[3], 96, "%u/%u", job->steps_done, job->steps_total);
    if (job->last_step)
        snprintf(r->cells[4], 96, "%.4f", job->last_step->loss);
    if (job->eta_seconds > 0)
        words_duration(job->eta_seconds, r->cells[5], 96);
    words_duration(seconds, age, sizeof(age));
    snprintf(r->cells[6], 96, "%s ago", age);
}

static void print_table(const Dash__V1__ListJobsResponse *list)
{
    static const struct row titles = {{"ID", "NAME", "STATE", "STEP", "LOSS", "ETA", "CREATED"}};
    struct row *rows = calloc(list->n_jobs + 1, sizeof(*rows));
    double now_ms = (double)time(NULL) * 1000;
    int widths[COLUMN_COUNT] = {0}, column, pad;
    size_t i;

    if (!rows)
        return;
    rows[0] = titles;
    for (i = 0; i < list->n_jobs; i++)
        fill_row(&rows[i + 1], list->jobs[i], now_ms);
    for (i = 0; i <= list->n_jobs; i++)
        for (column = 0; column < COLUMN_COUNT; column++)
            if (words_columns(rows[i].cells[column]) > widths[column])
                widths[column] = words_columns(rows[i].cells[column]);
    for (i = 0; i <= list->n_jobs; i++)
        for (column = 0; column < COLUMN_COUNT; column++) {
            const char *cell = rows[i].cells[column];
            pad = column == COLUMN_COUNT - 1 ? 0 : widths[column] - words_columns(cell) + 2;
            printf("%s%*s%s", cell, pad, "", column == COLUMN_COUNT - 1 ? "\n" : "");
        }
    free(rows);
}

int cmd_list(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&client_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {.options = options,
                                .parser = parse,
                                .doc = "Lists the jobs, newest first.",
                                .children = children};
    struct list_options o = {.client = c};
    Dash__V1__ListJobsRequest request = DASH__V1__LIST_JOBS_REQUEST__INIT;
    Dash__V1__ListJobsResponse *list = NULL;
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &o);
    request.states = o.states;
    request.n_states = o.n_states;
    status = client_call(c, "ListJobs", &request.base, &dash__v1__list_jobs_response__descriptor,
                         CALL_TIMEOUT_MS, &list);
    if (status != 0)
        return status;
    if (c->json)
        json_print(&list->base, true);
    else if (list->n_jobs)
        print_table(list);
    else
        printf(o.n_states ? "no such jobs\n"
                          : "no jobs yet: `dashctl submit JOB.YAML` makes one\n");
    dash__v1__list_jobs_response__free_unpacked(list, NULL);
    return EXIT_OK;
}
