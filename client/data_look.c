/* client/data_look.c - see data_look.h. */
#include "client/data_look.h"
#include "core/buf.h"
#include "core/job/job_check.h"
#include "core/job/job_read.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A path may have whatever YAML takes for its own. */
static char *set_path(const char *key, const char *path)
{
    struct buf set = {0};

    buf_printf(&set, "%s=", key);
    job_put_quoted(&set, path);
    return buf_take(&set);
}

int data_look_paths(const char *model, const char *data, char *const *sets, int n_sets,
                    struct job **ret, struct problems *problems, struct err *err)
{
    char **all = calloc((size_t)n_sets + 2, sizeof(*all)), *here = getcwd(NULL, 0);
    char *of_model = set_path("model", model), *of_data = set_path("data.train", data);
    int rc = 0;

    if (all && here && of_model && of_data) {
        all[0] = of_model;
        all[1] = of_data;
        for (int i = 0; i < n_sets; i++)
            all[2 + i] = sets[i];
        rc = job_read("output: none", NULL, here, (const char *const *)all, n_sets + 2, ret,
                      problems, err);
    } else {
        rc = err_nomem(err, strlen(model) + strlen(data));
    }
    free(of_model);
    free(of_data);
    free(all);
    free(here);
    return rc;
}

static void show_progress(void *arg, long rows)
{
    (void)arg;
    fprintf(stderr, "\rreading the data: %ld rows", rows);
}

int data_look_open(struct data_look *l, struct job *job, bool eval, bool with_ids,
                   struct problems *problems, struct err *err)
{
    const struct data_names *names = eval ? &job->data.eval : &job->data.train;
    struct err refusal = {0};
    int rc;

    *l = (struct data_look){.job = job};
    if (problems_count(problems)) /* job_read() has put defaults in place of what is wrong */
        return err_set(err, ERR_INVALID, "the job has %d problems", problems_count(problems));
    if (!job->model || !names->n)
        return err_set(err, ERR_INVALID, "the job has no %s",
                       !job->model ? "model"
                       : eval      ? "data.eval"
                                   : "data.train");
    rc = model_open(job->model, &l->model, problems, err);
    if (rc == 0)
        rc = model_open_tokenizer_if_usable(l->model, &l->tokenizer, &refusal, err);
    if (rc == 0)
        rc = job_set_date(job, l->tokenizer, err);
    if (rc == 0) {
        const struct dataset_input in = {.names = names,
                                         .data = &job->data,
                                         .tokenizer = l->tokenizer,
                                         .refusal = refusal.code ? &refusal : NULL,
                                         .vocab = model_config(l->model)->vocab,
                                         .sample_only = !with_ids,
                                         .progress = isatty(STDERR_FILENO) ? show_progress : NULL};
        rc = dataset_load(&in, &l->data, problems, err);
        if (in.progress)
            fputs("\r\033[K", stderr);
    }
    return rc;
}

void data_look_close(struct data_look *l)
{
    dataset_free(&l->data);
    tokenizer_free(l->tokenizer);
    model_close(l->model);
    job_free(l->job);
    *l = (struct data_look){0};
}
