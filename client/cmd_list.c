/* client/cmd_list.c - dashctl list: the jobs, newest first. */
#include "client/client.h"
#include "client/interrupt.h"
#include "client/json.h"
#include "client/label_options.h"
#include "client/words.h"
#include "core/duration.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { COLUMN_COUNT = 7, STATES_MAX = 16, WATCH_MS = 1000 };

struct list_options {
    struct client *client;
    Dash__V1__JobState states[STATES_MAX];
    size_t n_states;
    struct label_options labels;
    char *name;
    long limit; /* 0: all */
    bool ids, watch;
};

static const struct argp_option options[] = {
    {"state", 's', "STATE", 0,
     "Only jobs in this state: queued, starting, running, paused, succeeded, failed or cancelled; "
     "may be repeated",
     0},
    {"name", 'n', "NAME", 0, "Only jobs of this name; with a * at its end, of names that begin so",
     0},
    LABEL_OPTION("Only jobs with this label"),
    {"limit", 'L', "N", 0, "At most the newest N jobs", 0},
    {"ids", 'i', NULL, 0, "Print ids alone, a line each", 0},
    {"watch", 'w', NULL, 0, "Show the table anew every second until Ctrl-C", 0},
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
    case 'n':
        o->name = arg;
        return 0;
    case OPTION_LABEL:
        label_options_add(&o->labels, arg, state);
        return 0;
    case 'L':
        o->limit = client_parse_integer(state, "--limit", arg, 1, 1000000);
        return 0;
    case 'i':
        o->ids = true;
        return 0;
    case 'w':
        o->watch = true;
        return 0;
    case ARGP_KEY_SUCCESS:
        if (o->watch && (o->ids || o->client->json || !isatty(STDOUT_FILENO)))
            argp_error(state, "--watch shows a table on a terminal: `dashctl watch ID` follows a "
                              "job in a pipe");
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
        duration_words(job->eta_seconds, r->cells[5], 96);
    duration_words(seconds, age, sizeof(age));
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

/* Moves the jobs of a page to the end of the list. */
static int add_page(Dash__V1__ListJobsResponse *list, Dash__V1__ListJobsResponse *page)
{
    size_t n = list->n_jobs + page->n_jobs;
    Dash__V1__Job **jobs = realloc(list->jobs, (n + 1) * sizeof(Dash__V1__Job *));

    if (!jobs)
        return client_fail_with("out of memory");
    list->jobs = jobs;
    if (page->n_jobs)
        memcpy(jobs + list->n_jobs, page->jobs, page->n_jobs * sizeof(Dash__V1__Job *));
    list->n_jobs = n;
    page->n_jobs = 0;
    return 0;
}

/* All pages, or as many jobs as are wanted. */
static int get_list(struct list_options *o, Dash__V1__ListJobsResponse *list)
{
    Dash__V1__ListJobsRequest request = DASH__V1__LIST_JOBS_REQUEST__INIT;
    Dash__V1__ListJobsResponse *page = NULL;
    char token[64] = "";
    int status;

    request.states = o->states;
    request.n_states = o->n_states;
    request.labels = o->labels.list;
    request.n_labels = o->labels.n;
    if (o->name)
        request.name = o->name;
    request.page_token = token;
    do {
        request.page_size = (uint32_t)(o->limit ? o->limit - (long)list->n_jobs : 0);
        status = client_call(o->client, "ListJobs", &request.base,
                             &dash__v1__list_jobs_response__descriptor, CALL_TIMEOUT_MS, &page);
        if (status != 0)
            return status;
        snprintf(token, sizeof(token), "%s", page->next_page_token);
        status = add_page(list, page);
        dash__v1__list_jobs_response__free_unpacked(page, NULL);
    } while (status == 0 && token[0] && (!o->limit || (long)list->n_jobs < o->limit));
    return status;
}

static void free_list(Dash__V1__ListJobsResponse *list)
{
    size_t i;

    for (i = 0; i < list->n_jobs; i++)
        dash__v1__job__free_unpacked(list->jobs[i], NULL);
    free(list->jobs);
}

static bool is_filtered(const struct list_options *o)
{
    return o->n_states || o->labels.n || o->name;
}

static void print_list(const struct list_options *o, const Dash__V1__ListJobsResponse *list)
{
    size_t i;

    if (o->client->json)
        json_print(&list->base, true);
    else if (o->ids)
        for (i = 0; i < list->n_jobs; i++)
            printf("%s\n", list->jobs[i]->id);
    else if (list->n_jobs)
        print_table(list);
    else
        printf(is_filtered(o) ? "no such jobs\n"
                              : "no jobs yet: `dashctl submit JOB.YAML` makes one\n");
}

static int show_list(struct list_options *o)
{
    Dash__V1__ListJobsResponse list = DASH__V1__LIST_JOBS_RESPONSE__INIT;
    int status = get_list(o, &list);

    if (status == 0) {
        if (o->watch)
            printf("\033[H\033[J");
        print_list(o, &list);
        fflush(stdout);
    }
    free_list(&list);
    return status;
}

int cmd_list(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&client_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {.options = options,
                                .parser = parse,
                                .doc = "Lists the jobs, newest first.",
                                .children = children};
    struct list_options o = {.client = c};
    struct winsize size;
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &o);
    if (!o.watch)
        return show_list(&o);
    if (!o.limit && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 2)
        o.limit = size.ws_row - 2; /* what fits */
    interrupt_catch();
    if ((status = show_list(&o)) != 0)
        return status;
    /* dashd may start anew meanwhile */
    while ((status == 0 || channel_is_away(c->channel)) && !interrupt_count()) {
        interrupt_sleep_ms(WATCH_MS);
        if (!interrupt_count())
            status = show_list(&o);
    }
    return status;
}
