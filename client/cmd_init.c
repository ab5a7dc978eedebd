/* client/cmd_init.c - dashctl init MODEL DATA: a job file to begin with, after a look at both. What
 * is written is what a job would do by default, but for lengths and steps, which follow from the
 * data. */
#include "client/client.h"
#include "client/data_look.h"
#include "core/buf.h"
#include "core/job/job.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LENGTH_STEP = 64, STEPS_LEAST = 60, EPOCHS = 3, PASSED_ROWS = 20000, PERCENT = 99 };

struct request {
    struct client *client;
    const char *arguments[2];
    int n;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct request *r = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = r->client;
        break;
    case ARGP_KEY_ARG:
        if (r->n == 2)
            argp_error(state, "too many arguments: give MODEL and DATA");
        r->arguments[r->n++] = arg;
        break;
    case ARGP_KEY_END:
        if (r->n < 2)
            argp_error(state, "give MODEL and DATA");
        if (r->client->json)
            argp_error(state, "a job file is YAML: init has no --output json");
        break;
    default:
        return ARGP_ERR_UNKNOWN;
    }
    return 0;
}

static int by_value(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

/* A length that nearly all rows are within, and the model knows. */
static int choose_length(const struct data_look *l, int *ret_longest)
{
    const struct dataset *d = &l->data;
    int *lengths = malloc((size_t)d->n * sizeof(*lengths)),
        most = model_config(l->model)->max_positions;
    int length = 256;

    *ret_longest = d->longest;
    for (long i = 0; lengths && i < d->n; i++)
        lengths[i] = d->examples[i].n_whole;
    if (lengths) {
        qsort(lengths, (size_t)d->n, sizeof(*lengths), by_value);
        length =
            (lengths[(d->n * PERCENT - 1) / 100] + LENGTH_STEP - 1) / LENGTH_STEP * LENGTH_STEP;
    }
    free(lengths);
    return length < most ? length : most;
}

/* In double quotes. */
static void put_text(const char *text)
{
    struct buf quoted = {0};

    job_put_quoted(&quoted, text);
    fputs(quoted.data ? quoted.data : "", stdout);
    buf_free(&quoted);
}

static const char *const format_words[] = {"",
                                           "{\"prompt\", \"completion\"}",
                                           "{\"instruction\", \"input\", \"output\"}",
                                           "{\"messages\"}",
                                           "{\"text\"}",
                                           "{\"input_ids\", \"labels\"}"};

static void put_data(const struct request *r, const struct data_look *l)
{
    const struct dataset *d = &l->data;
    int longest, length = choose_length(l, &longest);

    printf("data:\n  train: ");
    put_text(r->arguments[1]);
    printf("   # %ld rows %s\n", d->n, format_words[d->format]);
    if (d->template_source)
        printf("  template: auto        # here: %s\n", d->template_source);
    printf("  max_tokens: %d       # %d%% of the rows are within it; the longest has %d\n", length,
           PERCENT, longest);
}

/* The default, or all that the smallest matrix has. */
static int choose_directions(const struct data_look *l)
{
    const struct model_config *c = model_config(l->model);
    int directions = l->job->dash.directions, rows, columns;

    for (int kind = 0; kind < MODULE_KINDS; kind++) {
        if (!model_has_module(c, kind))
            continue;
        model_module_shape(c, kind, &rows, &columns);
        directions = rows < directions ? rows : directions;
        directions = columns < directions ? columns : directions;
    }
    return directions;
}

static void put_training(const struct data_look *l)
{
    long rows = l->data.n - l->data.untrained.n;
    long per_pass = job_steps_of_pass(l->job->training.batch_size, rows);
    long epochs = rows > PASSED_ROWS ? 1 : EPOCHS, steps;
    long least = (STEPS_LEAST + per_pass - 1) / per_pass;

    epochs = epochs < least ? least : epochs;
    steps = epochs * per_pass;
    printf("dash:\n"
           "  prelaunch_steps: %ld  # plain LoRA, before the directions are chosen\n"
           "  directions: %d        # of each matrix\n",
           steps / 3 < 100 ? steps / 3 : 100, choose_directions(l));
    printf("training:\n"
           "  batch_size: %d       # rows a step\n"
           "  steps: %ld           # the same as epochs: %ld, passes over the data\n"
           "  learning_rate: %g\n"
           "  warmup_steps: %ld\n",
           l->job->training.batch_size, steps, epochs, l->job->optimizer.learning_rate, steps / 20);
}

static void put_job(const struct request *r, const struct data_look *l)
{
    const struct model_config *c = model_config(l->model);

    printf(
        "# Written by `dashctl init`. Every key is explained in dash-job(5).\n"
        "# Look at the data with `dashctl data check`, and at what would run with `dashctl plan`.\n"
        "model: ");
    put_text(r->arguments[0]);
    printf("   # %s, %d layers\n", c->architecture, c->n_layers);
    put_data(r, l);
    printf("method: lora-dash       # or lora\n"
           "lora:\n"
           "  rank: %d\n"
           "  alpha: %g\n"
           "  # target_modules: all-linear\n",
           l->job->lora.rank, l->job->lora.alpha);
    put_training(l);
    printf("output: runs/first      # a folder that does not exist yet\n");
}

int cmd_init(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&client_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .parser = parse,
        .args_doc = "MODEL DATA",
        .doc = "Writes a commented job file to standard output, after a look at a model and at "
               "its data.",
        .children = children};
    struct request r = {.client = c};
    struct problems problems = {0};
    struct data_look look = {0};
    struct job *job = NULL;
    struct err err;
    int rc;

    argp_parse(&parser, argc, argv, 0, NULL, &r);
    rc = data_look_paths(r.arguments[0], r.arguments[1], NULL, 0, &job, &problems, &err);
    if (rc == 0) {
        job->data.max_tokens = 1 << 20; /* to see how long rows are */
        rc = data_look_open(&look, job, false, false, &problems, &err);
    }
    if (rc == 0)
        put_job(&r, &look);
    rc = rc < 0 ? client_fail_problems(&problems, &err) : EXIT_OK;
    data_look_close(&look);
    problems_free(&problems);
    return rc;
}
