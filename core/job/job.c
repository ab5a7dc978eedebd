/* core/job/job.c - what follows from a job's values alone. */
#include "core/job/job.h"
#include "core/job/job_units.h"
#include <math.h>
#include <stdlib.h>

double lora_scale(double alpha, int rank, enum job_scaling scaling)
{
    return alpha / (scaling == SCALING_RSLORA ? sqrt(rank) : rank);
}

bool job_has_command(const struct job *job)
{
    return job->notify.command && job->notify.command[0];
}

double job_memory(const struct job *job)
{
    double planned = job->parallel.memory, limit = job->limits.memory;

    return planned > 0 && limit > 0 ? fmin(planned, limit) : fmax(planned, limit);
}

void job_limits_print(const struct job_limits *limits, struct buf *out)
{
    const char *comma = "";
    char text[UNIT_TEXT_MAX];

    if (limits->memory > 0) {
        bytes_print(limits->memory, text);
        buf_printf(out, "memory %s", text);
        comma = ", ";
    }
    if (limits->disk > 0) {
        bytes_print(limits->disk, text);
        buf_printf(out, "%sdisk %s", comma, text);
        comma = ", ";
    }
    if (limits->seconds > 0) {
        duration_print(limits->seconds, text);
        buf_printf(out, "%stime %s", comma, text);
    }
}

int job_workers(const struct job_parallel *parallel)
{
    return parallel->stages * parallel->replicas;
}

long job_steps_of_pass(int batch_size, long rows)
{
    return rows > batch_size ? (rows + batch_size - 1) / batch_size : 1;
}

void job_resolve_steps(struct job *job, long rows)
{
    double steps;

    if (job->training.epochs <= 0)
        return;
    steps = ceil(job->training.epochs * (double)job_steps_of_pass(job->training.batch_size, rows) -
                 1e-9);
    job->training.steps = steps < 1 ? 1 : steps > 2147483647.0 ? 2147483647 : (int)steps;
}

void job_notes(const struct job *job, long rows, struct buf *out)
{
    const struct job_training *t = &job->training;
    long left = rows % t->batch_size;

    if (rows < t->batch_size)
        buf_printf(out,
                   "training.batch_size is %d and the data have %ld rows: every step has all\n",
                   t->batch_size, rows);
    else if (left && t->steps >= job_steps_of_pass(t->batch_size, rows))
        buf_printf(out,
                   "%ld rows are no multiple of training.batch_size (%d): the last step of a pass "
                   "has %ld\n",
                   rows, t->batch_size, left);
    if (job->optimizer.schedule != SCHEDULE_CONSTANT && job->optimizer.warmup_steps >= t->steps)
        buf_printf(out,
                   "training.warmup_steps is %d and the job has %d steps: the learning rate "
                   "never reaches training.learning_rate\n",
                   job->optimizer.warmup_steps, t->steps);
}

void job_free_strings(char **strings)
{
    int i;

    for (i = 0; strings && strings[i]; i++)
        free(strings[i]);
    free(strings);
}

void job_free_patterns(struct job_patterns *patterns)
{
    for (int i = 0; i < patterns->n; i++)
        free(patterns->of[i].pattern);
    free(patterns->of);
    *patterns = (struct job_patterns){0};
}

void job_free_names(struct data_names *names)
{
    for (int i = 0; i < names->n; i++)
        free(names->of[i].path);
    free(names->of);
    *names = (struct data_names){0};
}

void job_lora_free(struct job_lora *lora)
{
    job_free_strings(lora->target_modules);
    free(lora->target_pattern);
    free(lora->layers.of);
    job_free_patterns(&lora->rank_pattern);
    job_free_patterns(&lora->alpha_pattern);
    free(lora->init_adapter);
    *lora = (struct job_lora){0};
}

void job_free(struct job *job)
{
    if (!job)
        return;
    free(job->name);
    free(job->model);
    free(job->output);
    job_free_names(&job->data.train);
    job_free_names(&job->data.eval);
    free(job->data.chat_template);
    free(job->data.date);
    json_decref(job->data.template_variables);
    json_decref(job->data.fields);
    job_lora_free(&job->lora);
    free(job->tracking.mlflow);
    free(job->tracking.experiment);
    job_free_strings(job->notify.command);
    free(job->notify.url);
    free(job->slurm.partition);
    free(job->slurm.account);
    free(job->slurm.time);
    free(job->slurm.qos);
    free(job->slurm.nodes);
    free(job->slurm.mem);
    free(job->slurm.constraint);
    job_free_strings(job->slurm.extra);
    free(job->file);
    free(job->lines);
    free(job->given);
    free(job);
}
