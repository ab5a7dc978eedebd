/* client/cmd_data.c - dashctl data check: a job's data as training reads it, without training. */
#include "client/client.h"
#include "client/data_look.h"
#include "client/data_report.h"
#include "client/job_file.h"
#include "core/job/job_read.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_ROW = 1, KEY_IDS, KEY_EVAL };

struct request {
    struct job_file file; /* of one argument */
    const char *arguments[2];
    int n_arguments;
    int row; /* 0: the whole */
    bool ids, eval;
};

static const struct argp_option options[] = {
    SETS_OPTION,
    {"row", KEY_ROW, "N", 0,
     "print the row in line N as the model sees it: trained tokens in "
     "colour, or in brackets",
     0},
    {"ids", KEY_IDS, NULL, 0, "with --row: a token a line, with its id", 0},
    {"eval", KEY_EVAL, NULL, 0, "check data.eval in place of data.train", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct request *r = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = r->file.client;
        break;
    case OPTION_SET:
        sets_add(&r->file.sets, arg, state);
        break;
    case KEY_ROW:
        r->row = (int)client_parse_integer(state, "--row", arg, 1, 2147483647);
        break;
    case KEY_IDS:
        r->ids = true;
        break;
    case KEY_EVAL:
        r->eval = true;
        break;
    case ARGP_KEY_ARG:
        if (r->n_arguments == 2)
            argp_error(state, "too many arguments: give JOB.YAML, or MODEL and DATA");
        r->arguments[r->n_arguments++] = arg;
        break;
    case ARGP_KEY_END:
        if (r->n_arguments == 0)
            argp_error(state, "give JOB.YAML, or MODEL and DATA");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static int read_job(struct request *r, struct job **ret, struct problems *problems, struct err *err)
{
    if (r->n_arguments == 2)
        return data_look_paths(r->arguments[0], r->arguments[1], r->file.sets.items, r->file.sets.n,
                               ret, problems, err);
    return job_read(r->file.text, r->file.path, r->file.directory,
                    (const char *const *)r->file.sets.items, r->file.sets.n, ret, problems, err);
}

static int print(const struct request *r, const struct data_look *l, struct err *err)
{
    const struct data_report report = {
        .data = &l->data,
        .tokenizer = l->tokenizer,
        .options = &l->job->data,
        .json = r->file.client->json,
    };

    return r->row ? data_report_print_row(&report, r->row, r->ids, err)
                  : data_report_print(&report, err);
}

static int check(struct request *r, struct problems *problems, struct err *err)
{
    struct data_look look = {0};
    struct job *job = NULL;
    int rc = read_job(r, &job, problems, err);

    if (rc == 0)
        rc = data_look_open(&look, job, r->eval, r->row > 0, problems, err);
    if (rc == 0)
        rc = print(r, &look, err);
    data_look_close(&look);
    return rc;
}

int cmd_data(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&client_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .options = options,
        .parser = parse,
        .args_doc = "check JOB.YAML\ncheck MODEL DATA",
        .doc = "Reads a job's data as training does: rows by kind, lengths, what is cut, what is "
               "trained. Starts nothing.",
        .children = children};
    struct request r = {.file = {.client = c}};
    struct problems problems = {0};
    struct err err;
    int status = 0;

    if (argc > 1 && strcmp(argv[1], "check") == 0) {
        argv[1] = argv[0];
        argc--;
        argv++;
    } else if (argc > 1 && argv[1][0] != '-') {
        fprintf(stderr, "dashctl data: there is no '%s': `dashctl data check` is meant\n", argv[1]);
        return EXIT_USAGE;
    }
    argp_parse(&parser, argc, argv, 0, NULL, &r);
    r.file.path = r.arguments[0];
    if (r.n_arguments == 1)
        status = job_file_read(&r.file);
    if (status == 0 && check(&r, &problems, &err) < 0)
        status = client_fail_problems(&problems, &err);
    problems_free(&problems);
    job_file_free(&r.file);
    return status;
}
