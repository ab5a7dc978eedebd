/* client/cmd_plan.c - dashctl plan JOB.YAML: what would run, and everything that is wrong with it.
 *
 * A dashd that was named, or that answers at the default address, is asked, for it knows the other
 * jobs too. Without one the same checks are made here.
 */
#include "client/job_file.h"
#include "client/json.h"
#include "client/plan_nodes.h"
#include "client/printable.h"
#include "core/job/job_check.h"
#include "proto/plan_message.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_plan(const struct client *c, Dash__V1__PlanJobResponse *plan)
{
    size_t i;

    if (c->json) {
        json_print(&plan->base, true);
        return;
    }
    for (i = 0; i < plan->n_lines; i++) {
        printable_print(stdout, plan->lines[i]);
        putchar('\n');
    }
}

/* The command's arguments: those of a job file, and the nodes to plan for. */
struct plan_arguments {
    struct job_file file;
    struct plan_nodes nodes;
};

enum { OPTION_NODE = 1, OPTION_NODES };

static const struct argp_option options[] = {
    {"node", OPTION_NODE, "DESCRIPTION", 0,
     "Plan for nodes such as cores=64,gib=256,gflops=3000,gbits=100 instead of those here", 0},
    {"nodes", OPTION_NODES, "N,...", 0,
     "Choose the fastest shape on these numbers of nodes; with --node the default is 1", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct plan_arguments *a = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = &a->file;
        return 0;
    case OPTION_NODE:
        a->nodes.node = arg;
        return 0;
    case OPTION_NODES:
        a->nodes.counts = arg;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static int ask_dashd(struct client *c, const struct job_file *f, const struct job_plan_nodes *nodes)
{
    Dash__V1__Node node = DASH__V1__NODE__INIT;
    uint32_t counts[PLAN_COUNTS_MAX];
    Dash__V1__PlanJobRequest request = DASH__V1__PLAN_JOB_REQUEST__INIT;
    Dash__V1__PlanJobResponse *response = NULL;
    int status;

    request.job_yaml = f->text;
    request.directory = f->directory;
    request.file_name = (char *)f->path;
    request.overrides = f->sets.items;
    request.n_overrides = (size_t)f->sets.n;
    node.cores = (uint32_t)nodes->node.cores;
    node.memory_bytes = nodes->node.bytes;
    node.gflops = nodes->node.gflops;
    node.gbits = nodes->node.gbits;
    node.origin = (char *)nodes->origin;
    request.node = &node;
    for (int i = 0; i < nodes->n_counts; i++)
        counts[i] = (uint32_t)nodes->counts[i];
    request.node_counts = counts;
    request.n_node_counts = (size_t)nodes->n_counts;
    status = client_call(c, "PlanJob", &request.base, &dash__v1__plan_job_response__descriptor,
                         VALIDATE_TIMEOUT_MS, &response);
    if (status != 0)
        return status;
    print_plan(c, response);
    dash__v1__plan_job_response__free_unpacked(response, NULL);
    return EXIT_OK;
}

static int plan_here(struct client *c, const struct job_file *f, const struct job_plan_nodes *nodes)
{
    Dash__V1__PlanJobResponse response = DASH__V1__PLAN_JOB_RESPONSE__INIT;
    struct problems problems = {0};
    struct job_plan plan = {0};
    struct plan_message message = {0};
    struct job *job = NULL;
    char *yaml = NULL;
    int status = EXIT_OK, rc;
    struct err err;

    rc = job_validate(f->text, f->path, f->directory, (const char *const *)f->sets.items, f->sets.n,
                      JOB_OUTPUT_NEW, &job, &plan, &problems, &err);
    if (rc == 0)
        rc = job_plan_cost(job, nodes, &plan, &err);
    if (rc == 0 && plan_message_open(&message, plan.estimates, plan.n_estimates) < 0)
        rc = err_nomem(&err, 0);
    if (rc == 0 && !(yaml = job_to_yaml(job)))
        rc = err_nomem(&err, strlen(f->text));
    if (rc < 0) {
        status = client_fail_problems(&problems, &err);
    } else {
        response.job_yaml = yaml;
        response.lines = plan.lines;
        response.n_lines = (size_t)plan.n_lines;
        response.estimates = message.list;
        response.n_estimates = message.n;
        print_plan(c, &response);
    }
    free(yaml);
    plan_message_close(&message);
    job_plan_free(&plan);
    job_free(job);
    problems_free(&problems);
    return status;
}

int cmd_plan(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&job_file_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .options = options,
        .parser = parse,
        .args_doc = "JOB.YAML",
        .doc = "Checks a job as `submit` does and shows what would run: sizes, shards, "
               "memory, time. Starts nothing.",
        .children = children};
    struct plan_arguments a = {.file = {.client = c}};
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &a);
    status = job_file_read(&a.file);
    if (status == 0)
        status = plan_nodes_find(c, &a.file, &a.nodes);
    if (status == 0)
        status = client_has_dashd(c) ? ask_dashd(c, &a.file, &a.nodes.found)
                                     : plan_here(c, &a.file, &a.nodes.found);
    job_file_free(&a.file);
    return status;
}
