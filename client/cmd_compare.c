/* client/cmd_compare.c - dashctl compare A B ...: jobs side by side, as a table, as JSON or as a
 * page. */
#include "client/asked_result.h"
#include "client/client.h"
#include "client/compare.h"
#include "report/report_page.h"
#include <stdio.h>
#include <stdlib.h>

enum { JOBS_MAX = 8 }; /* as many as the page has colours */

struct comparison {
    struct client *client;
    char *asked[JOBS_MAX], *html;
    int n;
};

static const struct argp_option options[] = {
    {"html", 'H', "FILE", 0, "Write a page with the curves over one another, too", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct comparison *o = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = o->client;
        return 0;
    case 'H':
        o->html = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (o->n == JOBS_MAX)
            argp_error(state, "at most %d jobs", JOBS_MAX);
        o->asked[o->n++] = arg;
        return 0;
    case ARGP_KEY_END:
        if (o->n < 2)
            argp_error(state, "two jobs or more are compared: their IDs or output folders");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int print(const struct comparison *o, const struct job_result *jobs)
{
    struct err err;

    if (compare_print(jobs, o->asked, o->n, o->client->json, &err) < 0)
        return client_fail(&err);
    if (o->html && report_write(o->html, jobs, o->n, &err) < 0)
        return client_fail(&err);
    return EXIT_OK;
}

int cmd_compare(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&client_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .options = options,
        .parser = parse,
        .args_doc = "ID|FOLDER ID|FOLDER...",
        .doc = "Compares jobs: what came out, and the settings that differ. FOLDER is the output "
               "folder of a job.",
        .children = children};
    struct comparison o = {.client = c};
    struct job_result jobs[JOBS_MAX] = {0};
    int status = EXIT_OK, i;

    argp_parse(&parser, argc, argv, 0, NULL, &o);
    for (i = 0; status == EXIT_OK && i < o.n; i++)
        status = asked_result_read(c, o.asked[i], false, &jobs[i]);
    if (status == EXIT_OK)
        status = print(&o, jobs);
    for (i = 0; i < o.n; i++)
        job_result_free(&jobs[i]);
    return status;
}
