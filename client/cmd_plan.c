/* client/cmd_plan.c - dashctl plan JOB.YAML: what would run, and everything that is wrong with it.
 *
 * A dashd that was named, or that answers at the default address, is asked, for it knows the other
 * jobs too. Without one the same checks are made here.
 */
#include "client/job_file.h"
#include "client/json.h"
#include "client/printable.h"
#include "core/job/job_check.h"
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

static int ask_dashd(struct client *c, const struct job_file *f)
{
    Dash__V1__PlanJobRequest request = DASH__V1__PLAN_JOB_REQUEST__INIT;
    Dash__V1__PlanJobResponse *response = NULL;
    int status;

    request.job_yaml = f->text;
    request.directory = f->directory;
    request.file_name = (char *)f->path;
    request.overrides = f->sets.items;
    request.n_overrides = (size_t)f->sets.n;
    status = client_call(c, "PlanJob", &request.base, &dash__v1__plan_job_response__descriptor,
                         VALIDATE_TIMEOUT_MS, &response);
    if (status != 0)
        return status;
    print_plan(c, response);
    dash__v1__plan_job_response__free_unpacked(response, NULL);
    return EXIT_OK;
}

static int plan_here(struct client *c, const struct job_file *f)
{
    Dash__V1__PlanJobResponse response = DASH__V1__PLAN_JOB_RESPONSE__INIT;
    struct problems problems = {0};
    struct job_plan plan = {0};
    struct job *job = NULL;
    char *yaml = NULL;
    int status = EXIT_OK, rc;
    struct err err;

    rc = job_validate(f->text, f->path, f->directory, (const char *const *)f->sets.items, f->sets.n,
                      JOB_OUTPUT_NEW, &job, &plan, &problems, &err);
    if (rc == 0 && !(yaml = job_to_yaml(job)))
        rc = err_nomem(&err, strlen(f->text));
    if (rc < 0) {
        status = client_fail_problems(&problems, &err);
    } else {
        response.job_yaml = yaml;
        response.lines = plan.lines;
        response.n_lines = (size_t)plan.n_lines;
        print_plan(c, &response);
    }
    free(yaml);
    job_plan_free(&plan);
    job_free(job);
    problems_free(&problems);
    return status;
}

int cmd_plan(struct client *c, int argc, char **argv)
{
    const struct argp_child children[] = {{&job_file_argp, 0, NULL, 0}, {0}};
    const struct argp parser = {
        .args_doc = "JOB.YAML",
        .doc = "Checks a job as `submit` does and shows what would run: sizes, shards, "
               "memory. Starts nothing.",
        .children = children};
    struct job_file f = {.client = c};
    int status;

    argp_parse(&parser, argc, argv, 0, NULL, &f);
    status = job_file_read(&f);
    if (status == 0)
        status = client_has_dashd(c) ? ask_dashd(c, &f) : plan_here(c, &f);
    job_file_free(&f);
    return status;
}
