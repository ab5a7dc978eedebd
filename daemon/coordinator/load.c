/* daemon/coordinator/load.c - see load.h. dashd has validated all of it before; what is wrong now
 * has changed since. */
#include "daemon/coordinator/load.h"
#include "core/memory.h"
#include "core/clock.h"
#include "core/log.h"
#include "core/slurm/environment.h"
#include "core/job/job_read.h"
#include "core/file.h"
#include "core/job/parallel_shape.h"
#include "core/text/tokenizer.h"
#include <stdlib.h>
#include <string.h>

/* Makes one error of all problems. */
enum { PROGRESS_S = 5 };

static int refuse(int rc, struct problems *problems, struct err *err)
{
    char *text = problems->n ? problems_text(problems) : NULL;

    if (rc < 0 && text)
        err_set(err, rc, "%s", text);
    free(text);
    problems_free(problems);
    return rc;
}

/* The folder is the one of the command line, whatever a job.yaml there says. */
static int keep_output(struct job *job, const char *output, struct err *err)
{
    char *copy = strdup(output);

    if (!copy)
        return err_nomem(err, strlen(output));
    free(job->output);
    job->output = copy;
    return 0;
}

static int read_job(const char *output, struct job **ret, struct err *err)
{
    char *path = file_join(output, "job.yaml"), *text = NULL;
    struct problems problems = {0};
    size_t len;
    int rc = path ? file_read_no_link(path, JOB_FILE_MAX, &text, &len, err) : err_nomem(err, 0);

    if (rc == 0)
        rc = refuse(job_parse(text, path, output, NULL, 0, ret, &problems, err), &problems, err);
    if (rc == 0)
        rc = keep_output(*ret, output, err);
    free(text);
    free(path);
    return rc;
}

/* A line of the log now and then. */
struct reading {
    double started, told;
};

static void log_progress(void *arg, long rows)
{
    struct reading *r = arg;
    double now = clock_s();

    if (now - r->told < PROGRESS_S)
        return;
    r->told = now;
    log_info("reading the data: %ld rows in %.0f s", rows, now - r->started);
}

static int read_data(const struct data_names *names, const struct loaded *l,
                     const struct tokenizer *tokenizer, const struct err *refusal,
                     struct dataset *ret, struct err *err)
{
    struct reading reading = {clock_s(), clock_s()};
    const struct dataset_input in = {.names = names,
                                     .data = &l->job->data,
                                     .tokenizer = tokenizer,
                                     .refusal = refusal->code ? refusal : NULL,
                                     .vocab = model_config(l->model)->vocab,
                                     .folder = l->job->output,
                                     .progress = log_progress,
                                     .arg = &reading};
    struct problems problems = {0};

    return refuse(dataset_load(&in, ret, &problems, err), &problems, err);
}

static void note_rows(const struct dataset *d, const char *key, const struct data_options *data,
                      struct buf *notices)
{
    struct buf lines = {0};
    char *at, *end;

    dataset_notes(d, data, &lines);
    for (at = lines.data; at && (end = strchr(at, '\n')); at = end + 1)
        buf_printf(notices, "%s: %.*s\n", key, (int)(end - at), at);
    buf_free(&lines);
}

static void note_template(const struct dataset *d, struct buf *notices)
{
    if (d->template_source)
        buf_printf(notices, "the rows are rendered by the template %s\n", d->template_source);
}

int load_job(const char *output, struct loaded *ret, struct buf *notices, struct err *err)
{
    struct loaded l = {0};
    struct tokenizer *tokenizer = NULL;
    struct problems problems = {0};
    struct err refusal = {0};
    int rc = read_job(output, &l.job, err);

    if (rc == 0)
        rc = refuse(model_open(l.job->model, &l.model, &problems, err), &problems, err);
    if (rc == 0)
        rc = model_open_tokenizer_if_usable(l.model, &tokenizer, &refusal, err);
    if (rc == 0)
        rc = read_data(&l.job->data.train, &l, tokenizer, &refusal, &l.train, err);
    if (rc == 0)
        note_template(&l.train, notices);
    if (rc == 0)
        note_rows(&l.train, "data.train", &l.job->data, notices);
    if (rc == 0 && l.job->data.eval.n)
        rc = read_data(&l.job->data.eval, &l, tokenizer, &refusal, &l.eval, err);
    if (rc == 0 && l.job->data.eval.n)
        note_rows(&l.eval, "data.eval", &l.job->data, notices);
    tokenizer_free(tokenizer);
    if (rc == 0) {
        job_resolve_steps(l.job, l.train.n - l.train.untrained.n);
        job_notes(l.job, l.train.n - l.train.untrained.n, notices);
        rc = trainable_of_job(l.job, model_config(l.model), &l.layout, err);
    }
    if (rc < 0)
        loaded_free(&l);
    else
        *ret = l;
    return rc;
}

void loaded_free(struct loaded *l)
{
    job_free(l->job);
    model_close(l->model);
    dataset_free(&l->train);
    dataset_free(&l->eval);
    trainable_free(&l->layout);
    *l = (struct loaded){0};
}

/* Memory of this node, which the others are taken to be like. */
static double node_bytes(void)
{
    double bytes = memory_total();
    double megabytes = (double)environment_number("SLURM_MEM_PER_NODE"); /* 0: all */

    return megabytes > 0 && megabytes * (1 << 20) < bytes ? megabytes * (1 << 20) : bytes;
}

static struct worker_limits find_limits(const struct loaded *l,
                                        const struct micro_batch_sizes *sizes)
{
    double tokens = 0, trained = 0;

    for (long i = 0; i < l->train.n; i++) {
        tokens += l->train.examples[i].n;
        trained += l->train.examples[i].n_trained;
    }
    return worker_limits(l->model, sizes, tokens > 0 ? trained / tokens : 0,
                         parallel_shape_worker_bytes(l->job, &l->layout, node_bytes()));
}

int loaded_choose_shape(struct loaded *l, const struct micro_batch_sizes *sizes, int workers,
                        struct err *err)
{
    const struct job_parallel *parallel = &l->job->parallel;
    int rc;

    l->limits = find_limits(l, sizes);
    if (parallel->stages && parallel->replicas)
        return job_workers(parallel) == workers
                   ? 0
                   : err_set(err, ERR_INVALID,
                             "the job needs %d workers (stages x replicas) but %d were started",
                             job_workers(parallel), workers);
    do
        rc = parallel_shape_choose(&l->job->parallel, model_config(l->model), &l->layout,
                                   &l->limits, workers, err);
    while (rc == ERR_INVALID && --workers > 0);
    return rc;
}
