/* client/data_look.h - a model and its data as training reads them, for commands that only look. */
#pragma once
#include "core/job/job.h"
#include "core/model/model.h"
#include "core/text/dataset.h"
#include "core/text/tokenizer.h"

struct data_look {
    struct job *job;
    struct model *model;
    struct tokenizer *tokenizer; /* NULL: rows of ids */
    struct dataset data;
};

/* The job that two paths, relative to the current folder, and settings make. */
int data_look_paths(const char *model, const char *data, char *const *sets, int n_sets,
                    struct job **ret, struct problems *problems, struct err *err);
/* Opens what the job names; the job is the look's from then on, on failure too. eval: data.eval in
 * place of data.train. with_ids: else rows are only counted. Fails where reading the job has found
 * problems. */
int data_look_open(struct data_look *l, struct job *job, bool eval, bool with_ids,
                   struct problems *problems, struct err *err);
void data_look_close(struct data_look *l);
