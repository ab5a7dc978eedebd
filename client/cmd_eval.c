/* client/cmd_eval.c - dashctl eval ...: hands over to `dash-worker eval`, which holds the model's
 * mathematics, or with --queue has a dashd run it as a job. */
#include "client/client.h"
#include "client/follow.h"
#include "client/hand_over.h"
#include "client/json.h"
#include "client/label_options.h"
#include "core/file.h"
#include "core/job/evaluation_options.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct arguments {
    struct client *client;
    struct evaluation_options evaluation;
    char *queue;             /* folder of the results; NULL: in the foreground */
    const char *needs_queue; /* an option that was given, or NULL */
    struct label_options labels;
    int32_t priority;
    bool watch;
};

enum { OPTION_QUEUE = 4000, OPTION_NAME, OPTION_HERE };

static const struct argp_option options[] = {
    {"queue", OPTION_QUEUE, "FOLDER", 0,
     "Have dashd do it, as a job that waits in its queue; the results are written to this new or "
     "empty folder. The options below go with it",
     1},
    {"name", OPTION_NAME, "NAME", 0, "Name of the job (default: that of the folder)", 1},
    {"priority", 'p', "N", 0,
     "Of queued jobs, the one of greatest priority starts first: -1000 to 1000 (default: 0)", 1},
    {"label", OPTION_LABEL, "NAME=VALUE", 0, "Give the job a label; may be repeated", 1},
    {"watch", 'w', NULL, 0, "Then watch it, as `dashctl watch` does", 1},
    {"here", OPTION_HERE, NULL, 0,
     "On the machine of dashd, although the job was trained under Slurm", 1},
    {0},
};

static void check(const struct arguments *a, struct argp_state *state)
{
    if (a->needs_queue && !a->queue)
        argp_error(state, "%s needs --queue", a->needs_queue);
    if (a->queue && a->evaluation.details)
        argp_error(state, "--details is for the foreground: with --queue the examples are in "
                          "FOLDER/" EVALUATION_DETAILS);
}

static error_t parse_queue(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;

    switch (key) {
    case OPTION_NAME:
        a->needs_queue = "--name";
        a->evaluation.request.name = arg;
        return 0;
    case OPTION_HERE:
        a->needs_queue = "--here";
        a->evaluation.request.here = true;
        return 0;
    case 'p':
        a->needs_queue = "--priority";
        a->priority = (int32_t)client_parse_integer(state, "--priority", arg, -1000, 1000);
        return 0;
    case 'w':
        a->needs_queue = "--watch";
        a->watch = true;
        return 0;
    case OPTION_LABEL:
        a->needs_queue = "--label";
        label_options_add(&a->labels, arg, state);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->evaluation;
        state->child_inputs[1] = a->client;
        return 0;
    case OPTION_QUEUE:
        a->queue = arg;
        return 0;
    case ARGP_KEY_SUCCESS:
        check(a, state);
        return 0;
    default:
        return parse_queue(key, arg, state);
    }
}

/* ---- the request ---- */

/* Its paths are made absolute; they are freed with it. */
struct request {
    Dash__V1__CreateJobRequest create;
    Dash__V1__Evaluation evaluation;
    char *paths[EVALUATION_DATA_MAX + 4];
    int n_paths;
    char folder[PATH_MAX]; /* where we are */
};

/* "" where there is none; NULL for lack of memory. */
static char *absolute(struct request *r, const char *path)
{
    char *joined = path ? file_join(r->folder, path) : NULL;

    if (!path)
        return (char *)"";
    if (joined)
        r->paths[r->n_paths++] = joined;
    return joined;
}

static char *text_of(char *text)
{
    return text ? text : (char *)"";
}

static int fill_paths(struct request *r, const struct arguments *a, char **data, struct err *err)
{
    const struct evaluation_request *q = &a->evaluation.request;
    Dash__V1__Evaluation *e = &r->evaluation;

    if (!getcwd(r->folder, sizeof(r->folder)))
        return err_errno(err, "the current folder cannot be found");
    e->from = absolute(r, q->from);
    e->model = absolute(r, q->model);
    e->chat_template = absolute(r, q->chat_template);
    e->output = absolute(r, a->queue);
    for (int i = 0; i < q->n_data; i++)
        data[i] = absolute(r, q->data[i]);
    e->data = data;
    e->n_data = (size_t)q->n_data;
    return r->n_paths == q->n_data + 1 + !!q->from + !!q->model + !!q->chat_template
               ? 0
               : err_nomem(err, sizeof(r->folder));
}

static void fill_rest(struct request *r, const struct arguments *a)
{
    const struct evaluation_request *q = &a->evaluation.request;
    Dash__V1__Evaluation *e = &r->evaluation;

    e->name = text_of(q->name);
    e->task = text_of(q->task);
    e->template_kind = text_of(q->template_kind);
    e->base_only = q->base_only;
    e->without_directions = q->without_directions;
    e->checkpoint = q->checkpoint;
    e->here = q->here;
    e->max_tokens = (uint32_t)q->max_tokens;
    e->new_tokens = (uint32_t)q->new_tokens;
    e->limit = (uint32_t)q->limit;
    e->threads = (uint32_t)q->threads;
    r->create.evaluation = e;
    r->create.priority = a->priority;
    r->create.labels = (Dash__V1__Label **)a->labels.list;
    r->create.n_labels = a->labels.n;
}

static void print_result(const struct client *c, const Dash__V1__CreateJobResponse *response)
{
    const Dash__V1__Job *job = response->job;

    if (c->json) {
        json_print(&response->base, true);
        return;
    }
    printf("job %s (%s) is %s\n", job->id, job->name,
           job->queue_position > 1 ? "in the queue" : "accepted");
    printf("  results: %s\n", job->output);
    if (response->runs_as[0])
        printf("  it runs as %s, the user of dashd\n", response->runs_as);
}

static int queue(struct client *c, const struct arguments *a)
{
    struct request r = {.create = DASH__V1__CREATE_JOB_REQUEST__INIT,
                        .evaluation = DASH__V1__EVALUATION__INIT};
    Dash__V1__CreateJobResponse *response = NULL;
    char *data[EVALUATION_DATA_MAX];
    struct err err;
    int status;

    if (fill_paths(&r, a, data, &err) < 0) {
        status = client_fail(&err);
    } else {
        fill_rest(&r, a);
        status =
            client_call(c, "CreateJob", &r.create.base, &dash__v1__create_job_response__descriptor,
                        VALIDATE_TIMEOUT_MS, &response);
    }
    for (int i = 0; i < r.n_paths; i++)
        free(r.paths[i]);
    if (!response)
        return status;
    if (!a->watch || !c->json)
        print_result(c, response);
    if (a->watch)
        status = follow_to_end(c, response->job->id, 1, false);
    dash__v1__create_job_response__free_unpacked(response, NULL);
    return status;
}

int cmd_eval(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {
        {&evaluation_argp, 0, NULL, 0}, {&client_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .options = options,
        .parser = parse,
        .args_doc = "[FOLDER]",
        .doc = "Measures a model on a data set. FOLDER is the output folder of a job, whose data "
               "settings are used, or that of a PEFT adapter.",
        .children = children};
    struct arguments a = {.client = c};

    argp_parse(&parser, argc, argv, 0, NULL, &a);
    return a.queue ? queue(c, &a) : hand_over("eval", argc, argv);
}
