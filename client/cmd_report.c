/* client/cmd_report.c - dashctl report ID|FOLDER: a job as a page in one file. */
#include "client/asked_result.h"
#include "client/client.h"
#include "report/report_page.h"
#include "core/file.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct report {
    struct client *client;
    char *asked, *out;
};

static const struct argp_option options[] = {
    {"out", 'o', "FILE", 0,
     "Where to (default: report.html in the output folder, or in the current one where dashd may "
     "be on another machine)",
     0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct report *r = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = r->client;
        return 0;
    case 'o':
        r->out = arg;
        return 0;
    case ARGP_KEY_ARG:
        if (r->asked)
            argp_error(state, "one job at a time: what is '%s'? `dashctl compare` takes several",
                       arg);
        r->asked = arg;
        return 0;
    case ARGP_KEY_END:
        if (!r->asked)
            argp_error(state, "which job? The ID of one, or its output folder");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static void print_path(const struct client *c, const char *path)
{
    json_t *o;
    char *text, *absolute = realpath(path, NULL);

    if (!c->json) {
        printf("%s\n", absolute ? absolute : path);
        free(absolute);
        return;
    }
    o = json_pack("{s:s}", "path", absolute ? absolute : path);
    text = o ? json_dumps(o, JSON_INDENT(1)) : NULL;
    if (text)
        printf("%s\n", text);
    free(text);
    free(absolute);
    json_decref(o);
}

int cmd_report(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&client_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .options = options,
        .parser = parse,
        .args_doc = "ID|FOLDER",
        .doc = "Writes a page that shows the curves and the directions of a job, in one file that "
               "needs neither dashd nor a network. FOLDER is the output folder of a job.",
        .children = children};
    struct report r = {.client = c};
    struct job_result job = {0};
    char *path = NULL;
    struct err err;
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &r);
    status = asked_result_read(c, r.asked, true, &job);
    if (status != EXIT_OK)
        return status;
    path = r.out ? strdup(r.out) : file_join(job.output, "report.html");
    if (!path)
        status = client_fail_with("out of memory");
    else if (report_write(path, &job, 1, &err) < 0)
        status = client_fail(&err);
    else
        print_path(c, path);
    free(path);
    job_result_free(&job);
    return status;
}
