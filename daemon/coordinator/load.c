/* daemon/coordinator/load.c - see load.h. dashd has validated all of it before; what is wrong now
 * has changed since. */
#include "daemon/coordinator/load.h"
#include "core/cpus.h"
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

enum { PROGRESS_S = 5 };
enum {
    TAKE_MS = 200,     /* between two looks whether a stop is wanted */
    SAMPLE_ROWS = 8192 /* whose sizes decide the layout, so that it does not depend on time */
};

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

/* A line of the log now and then; of whichever thread reads. */
static void log_progress(void *arg, long rows)
{
    struct reading_clock *r = arg;
    double now = clock_s();

    if (now - r->told < PROGRESS_S)
        return;
    r->told = now;
    log_info("reading the data: %ld rows in %.0f s", rows, now - r->started);
}

static struct dataset_input input_of(struct loaded *l, const struct data_names *names)
{
    l->reading_clock = (struct reading_clock){clock_s(), clock_s()};
    return (struct dataset_input){.names = names,
                                  .data = &l->job->data,
                                  .tokenizer = l->tokenizer,
                                  .refusal = l->refusal.code ? &l->refusal : NULL,
                                  .vocab = model_config(l->model)->vocab,
                                  .folder = l->job->output,
                                  .progress = log_progress,
                                  .arg = &l->reading_clock};
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

static int read_eval(struct loaded *l, struct buf *notices, struct err *err)
{
    const struct dataset_input in = input_of(l, &l->job->data.eval);
    struct problems problems = {0};
    int rc = refuse(dataset_load(&in, &l->eval, &problems, err), &problems, err);

    if (rc == 0)
        note_rows(&l->eval, "data.eval", &l->job->data, notices);
    return rc;
}

static int start_reading(struct loaded *l, struct err *err)
{
    const struct dataset_input in = input_of(l, &l->job->data.train);

    return reading_start(&in, &l->reading, err);
}

/* The training data is whole. */
static void note_whole(struct loaded *l, struct buf *notices)
{
    long rows = l->train.n - l->train.untrained.n;

    l->whole = true;
    log_info("all %ld rows of the data are read after %.1f s", l->train.n_rows,
             clock_s() - l->reading_clock.started);
    if (l->train.template_source)
        buf_printf(notices, "the rows are rendered by the template %s\n", l->train.template_source);
    note_rows(&l->train, "data.train", &l->job->data, notices);
    job_resolve_steps(l->job, rows);
    job_notes(l->job, rows, notices);
}

int loaded_take(struct loaded *l, bool wait, struct buf *notices, struct err *err)
{
    bool done;
    int rc = l->whole ? 0 : reading_take(l->reading, &l->train, wait ? TAKE_MS : 0, &done, err);

    if (rc == 0 && !l->whole && done)
        note_whole(l, notices);
    return rc;
}

int load_job(const char *output, struct loaded *ret, struct buf *notices, struct err *err)
{
    struct problems problems = {0};
    int rc = read_job(output, &ret->job, err);

    if (rc == 0)
        rc = refuse(model_open(ret->job->model, &ret->model, &problems, err), &problems, err);
    if (rc == 0)
        rc = model_open_tokenizer_if_usable(ret->model, &ret->tokenizer, &ret->refusal, err);
    if (rc == 0 && ret->job->data.eval.n)
        rc = read_eval(ret, notices, err);
    if (rc == 0)
        rc = start_reading(ret, err);
    /* A job whose steps are not said has as many as its rows make. */
    while (rc == 0 && !ret->whole && (ret->train.n < SAMPLE_ROWS || ret->job->training.steps == 0))
        rc = loaded_take(ret, true, notices, err);
    return rc < 0 ? rc : trainable_of_job(ret->job, model_config(ret->model), &ret->layout, err);
}

void loaded_free(struct loaded *l)
{
    reading_close(l->reading);
    tokenizer_free(l->tokenizer);
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

/* The first rows of the training data, as if they were all. */
static struct dataset sample_of(const struct loaded *l)
{
    struct dataset sample = l->train;

    sample.n = sample.n < SAMPLE_ROWS ? sample.n : SAMPLE_ROWS;
    return sample;
}

static double trained_fraction(const struct dataset *d)
{
    double tokens = 0, trained = 0;

    for (long i = 0; i < d->n; i++) {
        tokens += d->examples[i].n;
        trained += d->examples[i].n_trained;
    }
    return tokens > 0 ? trained / tokens : 0;
}

/* Adds what micro-batches of that data have, in `most` of its steps. */
static int look(const struct loaded *l, const struct dataset *d, bool shuffle, int steps, int most,
                struct micro_batch_sizes *sizes, struct err *err)
{
    const struct packing_rules rules = packing_rules(l->job, model_config(l->model));
    struct data_order order;
    int rc = data_order_open(&l->job->training, shuffle, d, &order, err);

    if (rc < 0) /* none of those rows trains anything */
        return rc == ERR_INVALID ? 0 : rc;
    if (steps == 0)
        steps = (int)job_steps_of_pass(order.batch_size, order.n);
    rc = micro_batches_look(&order, &rules, steps, most, sizes, err);
    data_order_close(&order);
    return rc;
}

/* Where no row trains anything, sizes are what the job asks for. An evaluation takes memory, too,
 * but decides nothing else. */
static int find_limits(struct loaded *l, const struct dataset *train, int most, struct err *err)
{
    const struct worker_room room =
        parallel_shape_worker_room(l->job, &l->layout, node_bytes(), cpus_allowed());
    struct micro_batch_sizes sizes = {.n = 1}, of_eval = {.n = 1};
    int rc = look(l, train, l->job->data.shuffle, l->job->training.steps, most, &sizes, err);

    if (rc == 0 && l->eval.n > 0)
        rc = look(l, &l->eval, false, 0, LOOK_AT_ALL, &of_eval, err);
    if (sizes.longest == 0)
        sizes = (struct micro_batch_sizes){1, l->job->training.micro_batch_tokens, train->longest};
    micro_batch_sizes_raise(&sizes, &of_eval);
    if (rc == 0)
        l->limits = worker_limits(l->model, &sizes, trained_fraction(train), &room,
                                  l->job->training.precision);
    return rc;
}

static int choose(struct loaded *l, int workers, struct job_parallel *parallel, struct err *err)
{
    int rc;

    if (parallel->stages && parallel->replicas)
        return job_workers(parallel) == workers
                   ? 0
                   : err_set(err, ERR_INVALID,
                             "the job needs %d workers (stages x replicas) but %d were started",
                             job_workers(parallel), workers);
    do
        rc = parallel_shape_choose(parallel, model_config(l->model), &l->layout, &l->limits,
                                   workers, err);
    while (rc == ERR_INVALID && --workers > 0);
    return rc;
}

/* Whether a shape has memory for any rows that may follow the first. */
static int is_roomy(const struct loaded *l, int stages, bool *ret, struct err *err)
{
    const struct packing_rules rules = packing_rules(l->job, model_config(l->model));
    struct worker_limits limits = l->limits;
    int most = micro_batches_most(&rules, l->job->data.max_tokens);

    if (most > limits.micro_batch_tokens)
        limits.micro_batch_tokens = most;
    if (l->job->data.max_tokens > limits.row_tokens)
        limits.row_tokens = l->job->data.max_tokens;
    return parallel_shape_is_roomy(stages, model_config(l->model), &l->layout, &limits, ret, err);
}

int loaded_choose_shape(struct loaded *l, int workers, struct buf *notices, struct err *err)
{
    const struct dataset sample = sample_of(l);
    struct job_parallel shaped = l->job->parallel;
    bool roomy = false;
    int rc = find_limits(l, &sample, LOOK_AT_SOME, err);

    if (rc == 0)
        rc = choose(l, workers, &shaped, err);
    if (rc == 0)
        rc = is_roomy(l, shaped.stages, &roomy, err);
    if (rc == 0 && !roomy) { /* the largest micro-batch of all decides */
        while (rc == 0 && !l->whole)
            rc = loaded_take(l, true, notices, err);
        shaped = l->job->parallel;
        if (rc == 0)
            rc = find_limits(l, &l->train, LOOK_AT_ALL, err);
        if (rc == 0)
            rc = choose(l, workers, &shaped, err);
    }
    if (rc < 0)
        return rc;
    if (!job_workers(&l->job->parallel)) /* a plan could not know it */
        parallel_shape_note(l->job, &shaped, l->limits.micro_batches, notices);
    l->job->parallel = shaped;
    return 0;
}
