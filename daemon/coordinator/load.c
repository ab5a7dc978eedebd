/* daemon/coordinator/load.c - see load.h. dashd has validated all of it before; what is wrong now
 * has changed since. */
#include "daemon/coordinator/load.h"
#include "core/slurm/environment.h"
#include "core/job/job_read.h"
#include "core/file.h"
#include "core/job/parallel_shape.h"
#include "core/text/tokenizer.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Makes one error of all problems. */
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

static int read_data(const char *path, const struct loaded *l, const struct tokenizer *tokenizer,
                     const struct err *refusal, struct dataset *ret, struct err *err)
{
    struct problems problems = {0};
    int rc = dataset_load(path, &l->job->data, tokenizer, refusal->code ? refusal : NULL,
                          model_config(l->model)->vocab, ret, &problems, err);

    return refuse(rc, &problems, err);
}

static void note_rows(const struct dataset *d, const char *path, int max_tokens,
                      struct buf *notices)
{
    if (d->n_truncated)
        buf_printf(notices,
                   "%s: %ld of %ld rows are longer than data.max_tokens (%d) and were cut; the "
                   "first is row %d\n",
                   path, d->n_truncated, d->n, max_tokens, d->first_truncated);
    if (d->n_untrained)
        buf_printf(notices,
                   "%s: %ld of %ld rows have no trained token and are left out; the first is row "
                   "%d\n",
                   path, d->n_untrained, d->n, d->first_untrained);
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
        rc = read_data(l.job->data.train, &l, tokenizer, &refusal, &l.train, err);
    if (rc == 0)
        note_rows(&l.train, l.job->data.train, l.job->data.max_tokens, notices);
    if (rc == 0 && l.job->data.eval)
        rc = read_data(l.job->data.eval, &l, tokenizer, &refusal, &l.eval, err);
    if (rc == 0 && l.job->data.eval)
        note_rows(&l.eval, l.job->data.eval, l.job->data.max_tokens, notices);
    tokenizer_free(tokenizer);
    if (rc == 0) {
        job_resolve_steps(l.job, l.train.n - l.train.n_untrained);
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

double loaded_trained_fraction(const struct loaded *l)
{
    double tokens = 0, trained = 0;
    long i;

    for (i = 0; i < l->train.n; i++) {
        tokens += l->train.examples[i].n;
        trained += l->train.examples[i].n_trained;
    }
    return tokens > 0 ? trained / tokens : 0;
}

/* What a worker may take: of this node, which the others are taken to be like. */
static double worker_bytes(const struct job_slurm *slurm)
{
    double bytes = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    double megabytes = (double)environment_number("SLURM_MEM_PER_NODE"); /* 0: all */

    if (megabytes > 0 && megabytes * (1 << 20) < bytes)
        bytes = megabytes * (1 << 20);
    return bytes / slurm->workers_per_node;
}

int loaded_choose_shape(struct loaded *l, int workers, struct err *err)
{
    const struct job_parallel *parallel = &l->job->parallel;
    struct parallel_shape_limits limits;
    double tokens = 0;
    long i;
    int rc;

    if (parallel->stages && parallel->replicas)
        return job_workers(parallel) == workers
                   ? 0
                   : err_set(err, ERR_INVALID,
                             "the job needs %d workers (stages x replicas) but %d were started",
                             job_workers(parallel), workers);
    for (i = 0; i < l->train.n; i++)
        tokens += l->train.examples[i].n;
    limits = parallel_shape_limits(&l->job->training, tokens / (double)l->train.n,
                                   loaded_trained_fraction(l), worker_bytes(&l->job->slurm));
    do
        rc = parallel_shape_choose(&l->job->parallel, model_config(l->model), &l->layout, &limits,
                                   workers, err);
    while (rc == ERR_INVALID && --workers > 0);
    return rc;
}
