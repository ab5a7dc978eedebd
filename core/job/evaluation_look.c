/* core/job/evaluation_look.c - whether what an evaluation names is there, and what it will take.
 * See evaluation_request.h. */
#include "core/job/evaluation_request.h"
#include "core/cpus.h"
#include "core/job/export_source.h"
#include "core/job/output_check.h"
#include "core/job/worker_memory.h"
#include "core/text/data_files.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int open_source(const struct evaluation_request *r, struct export_source *s,
                       struct problems *problems, struct err *err)
{
    const struct export_choice choice = {.from = r->from,
                                         .model = r->model,
                                         .lora_only = r->without_directions,
                                         .checkpoint = r->checkpoint};
    struct buf notices = {0};
    int rc;

    *s = (struct export_source){.step = -1};
    if (!r->from)
        return model_open(r->model, &s->model, problems, err);
    rc = export_source_open(&choice, s, &notices, problems, err);
    buf_free(&notices);
    return rc;
}

static int check_data(const struct evaluation_request *r, const struct export_source *s,
                      struct problems *problems, struct err *err)
{
    struct data_files files = {0};
    int rc;

    if (r->n_data == 0 && (!s->job || s->job->data.eval.n == 0))
        problems_add(problems, NULL, 0, "data is missing: files of rows%s",
                     s->job ? ", since the job has no data.eval" : "");
    if (r->n_data == 0)
        return 0;
    rc = data_files_find((const char *const *)r->data, r->n_data, &files, problems, err);
    data_files_free(&files);
    return rc;
}

static void check_launcher(const struct evaluation_request *r, const struct export_source *s,
                           struct problems *problems)
{
    if (s->job && s->job->launcher == LAUNCHER_SLURM && !r->here)
        problems_add(problems, NULL, 0,
                     "from: the job was trained under Slurm, and a queued evaluation runs on the "
                     "machine of dashd: run `dashctl eval` in an allocation of Slurm's, or say "
                     "that it may run here (--here)");
}

static void check_output(const struct evaluation_request *r, struct problems *problems)
{
    struct job folder = {.output = r->output};

    output_check(&folder, false, problems);
}

/* Rows are measured by themselves: nothing is kept for a backward pass. */
static double memory_of(const struct model *model, const struct adapter *adapter)
{
    enum { BATCH_TOKENS = 1024 }; /* as worker/score.c has it */
    const struct model_config *c = model_config(model);
    const struct micro_batch_sizes sizes = {1, BATCH_TOKENS, BATCH_TOKENS};
    const struct worker_room room = {.threads = cpus_allowed()};
    const struct worker_limits limits = worker_limits(model, &sizes, 1, &room, PRECISION_F32);
    const struct worker_share whole = {0, 1, 0, c->n_layers, 0};
    const struct trainable none = {0};
    struct worker_memory memory;
    double numbers = 0;

    worker_memory_of(&limits, c, &none, &whole, &memory);
    for (int i = 0; adapter && i < adapter->n; i++) {
        int rows, columns;
        model_module_shape(c, adapter->maps[i].kind, &rows, &columns);
        numbers += adapter->maps[i].rank * ((double)rows + columns);
    }
    return worker_memory_sum(&memory) + 4 * 2 * numbers;
}

static int look(const struct evaluation_request *r, struct export_source *s,
                struct evaluation_plan *ret, struct problems *problems, struct err *err)
{
    int rc = open_source(r, s, problems, err);

    if (rc < 0)
        return rc;
    rc = check_data(r, s, problems, err);
    check_launcher(r, s, problems);
    if (rc < 0 || problems_count(problems) > 0)
        return rc;
    ret->memory_bytes = memory_of(s->model, r->base_only ? NULL : s->adapter);
    if (asprintf(&ret->line, "processes: 1, about %.0f MB", ret->memory_bytes / 1e6) < 0) {
        ret->line = NULL;
        return err_nomem(err, 1);
    }
    return 0;
}

int evaluation_request_look(const struct evaluation_request *r, struct evaluation_plan *ret,
                            struct problems *problems, struct err *err)
{
    struct export_source s;
    int rc = 0;

    *ret = (struct evaluation_plan){0};
    evaluation_request_check(r, problems);
    if (r->output && r->output[0] == '/')
        check_output(r, problems);
    if (problems_count(problems) == 0) {
        rc = look(r, &s, ret, problems, err);
        export_source_close(&s);
    }
    if (rc == 0 && problems_count(problems) > 0)
        rc = err_set(err, ERR_INVALID, "the evaluation cannot run");
    return rc;
}

void evaluation_plan_free(struct evaluation_plan *p)
{
    free(p->line);
    p->line = NULL;
}
