/* core/slurm/script.c - see script.h. The script's second part is script_body.sh, which is the same
 * for all jobs; what is written here are the #SBATCH lines and the variables. */
#include "core/slurm/script.h"
#include "core/slurm/environment.h"
#include "core/slurm/script_body.h"
#include "core/file.h"
#include "core/job/job_slurm.h"
#include "core/random.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int script_make_mark(char ret_mark[SCRIPT_MARK_LEN + 1], struct err *err)
{
    return random_hex(ret_mark, SCRIPT_MARK_LEN / 2, err);
}

int script_prepare(const char *output, const char *job_yaml, const char *mark, struct err *err)
{
    char *logs = file_join(output, "logs");
    int rc = logs ? file_make_private_folder(logs, err) : err_nomem(err, strlen(output));

    free(logs);
    if (rc == 0)
        rc = file_write_in(output, "job.yaml", job_yaml, strlen(job_yaml), err);
    if (rc == 0)
        rc = file_remove_in(output, "outcome.json", err);
    if (rc == 0)
        rc = file_remove_in(output, "logs/runs", err);
    if (rc == 0)
        rc = file_remove_in(output, "logs/dashd.json", err); /* of an earlier launch */
    return rc == 0 ? file_write_in(output, "logs/launch", mark, strlen(mark), err) : rc;
}

static bool starts_with(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

/* sbatch lets a variable win over an #SBATCH line. A user's default stays one where the job file
 * says nothing. */
static bool is_wanted(const char *variable, const struct job_slurm *slurm)
{
    if (starts_with(variable, "SLURM_CONF="))
        return true;
    if (environment_is_of_job(variable))
        return false;
    if (!starts_with(variable, "SBATCH_"))
        return true;
    return slurm && ((starts_with(variable, "SBATCH_ACCOUNT=") && !slurm->account) ||
                     (starts_with(variable, "SBATCH_PARTITION=") && !slurm->partition) ||
                     (starts_with(variable, "SBATCH_QOS=") && !slurm->qos) ||
                     (starts_with(variable, "SBATCH_TIMELIMIT=") && !slurm->time) ||
                     (starts_with(variable, "SBATCH_CONSTRAINT=") && !slurm->constraint) ||
                     starts_with(variable, "SBATCH_RESERVATION="));
}

char **script_environment(const struct job_slurm *slurm)
{
    int n = 0, i;
    char **env;

    while (environ[n])
        n++;
    env = calloc((size_t)n + 1, sizeof(*env));
    for (n = i = 0; env && environ[i]; i++)
        if (is_wanted(environ[i], slurm))
            env[n++] = environ[i];
    return env;
}

/* For a shell: nothing is special in single quotes but the single quote. */
static void put_quoted(struct buf *b, const char *text)
{
    buf_puts(b, "'");
    for (; *text; text++)
        if (*text == '\'')
            buf_puts(b, "'\\''");
        else
            buf_append(b, text, 1);
    buf_puts(b, "'");
}

/* For sbatch, which reads double quotes in #SBATCH lines and a backslash before them. */
static void put_option(struct buf *b, const char *option, const char *value)
{
    buf_printf(b, "#SBATCH %s=\"", option);
    for (; *value; value++) {
        if (*value == '"' || *value == '\\')
            buf_puts(b, "\\");
        buf_append(b, value, 1);
    }
    buf_puts(b, "\"\n");
}

static void put_optional(struct buf *b, const char *option, const char *value)
{
    if (value)
        put_option(b, option, value);
}

/* A name in squeue's tables: letters, digits and little else. */
static void put_name(struct buf *b, const char *name)
{
    buf_puts(b, "#SBATCH --job-name=dash-");
    for (; *name; name++)
        buf_append(b, isalnum((unsigned char)*name) || strchr("._+-", *name) ? name : "_", 1);
    buf_puts(b, "\n");
}

/* In file names Slurm replaces %j and its like, "%%" by "%"; but in one with a backslash nothing,
 * and a backslash there stands for the next byte (measured with 22.05). */
static void put_log(struct buf *b, const char *output)
{
    const char special = strchr(output, '\\') ? '\\' : '%';
    struct buf path = {0};

    for (; *output; output++) {
        if (*output == special)
            buf_append(&path, &special, 1);
        buf_append(&path, output, 1);
    }
    buf_puts(&path, "/logs/job.log");
    if (path.failed)
        b->failed = true;
    else
        put_option(b, "--output", path.data);
    buf_free(&path);
}

static void put_nodes(struct buf *b, const struct job *job)
{
    int least, most;

    job_slurm_nodes(&job->slurm, job_workers(&job->parallel), &least, &most);
    if (least == most)
        buf_printf(b, "#SBATCH --nodes=%d\n", least);
    else
        buf_printf(b, "#SBATCH --nodes=%d-%d\n", least, most);
    /* One task a node, whatever it will run: of a range, Slurm gives as many as it can only where
     * it need not count tasks. */
    if (job->slurm.cpus_per_task)
        buf_printf(b, "#SBATCH --cpus-per-task=%d\n",
                   job->slurm.cpus_per_task * job->slurm.workers_per_node);
    else
        buf_puts(b, "#SBATCH --exclusive\n"); /* all cores of the nodes */
    if (job->slurm.mem)
        put_option(b, "--mem", job->slurm.mem);
    else if (!job->slurm.cpus_per_task)
        buf_puts(b, "#SBATCH --mem=0\n"); /* and all their memory */
}

/* limits.time is of all runs together, so that one run needs no more, but for its start and its
 * end: the coordinator is to meet the limit before Slurm's warning comes. */
static void put_time(struct buf *b, const struct job *job)
{
    enum { AROUND_S = 300 };
    double seconds = job->limits.seconds + job->slurm.grace_seconds + AROUND_S;

    if (job->slurm.time)
        put_option(b, "--time", job->slurm.time);
    else if (job->limits.seconds > 0)
        buf_printf(b, "#SBATCH --time=%.0f\n", ceil(seconds / 60));
}

static void put_options(struct buf *b, const struct job *job, const char *mark)
{
    const struct job_slurm *s = &job->slurm;
    char *const *extra;

    put_name(b, job->name);
    buf_printf(b, "#SBATCH --comment=dash:%s\n", mark);
    put_log(b, job->output);
    buf_puts(b, "#SBATCH --open-mode=append\n#SBATCH --requeue\n");
    buf_printf(b, "#SBATCH --signal=B:USR1@%d\n", s->grace_seconds);
    put_nodes(b, job);
    put_time(b, job);
    put_optional(b, "--partition", s->partition);
    put_optional(b, "--account", s->account);
    put_optional(b, "--qos", s->qos);
    put_optional(b, "--constraint", s->constraint);
    for (extra = s->extra; extra && *extra; extra++) {
        char *value = strchr(*extra, '=');
        char *name = value ? strndup(*extra, (size_t)(value - *extra)) : NULL;
        if (name)
            put_option(b, name, value + 1);
        else
            buf_printf(b, "#SBATCH %s\n", *extra);
        free(name);
    }
}

static void put_variables(struct buf *b, const struct job *job, const char *programs,
                          const char *mark)
{
    buf_puts(b, "output=");
    put_quoted(b, job->output);
    buf_puts(b, "\nprograms=");
    put_quoted(b, programs);
    buf_printf(b, "\nmark=%s\n", mark);
    buf_printf(b, "workers=%d # 0: as many as the nodes have room for\n",
               job_workers(&job->parallel));
    buf_printf(b, "per_node=%d\n", job->slurm.workers_per_node);
    buf_printf(b, "max_restarts=%d\n", job->max_restarts);
    buf_printf(b, "grace=%d # seconds between --signal and the time limit\n\n",
               job->slurm.grace_seconds);
}

char *script_text(const struct job *job, const char *programs, const char *mark)
{
    struct buf b = {0};

    buf_puts(&b, "#!/bin/bash -p\n");
    put_options(&b, job, mark);
    buf_puts(
        &b,
        "\n# Trains a LoRA-Dash adapter on the nodes that Slurm gives. It may end at any time, and "
        "continues from "
        "its\n# last checkpoint when it runs again: at most one step is repeated, and the result "
        "is the same to "
        "the bit.\n# The job is <output>/job.yaml; what happens is in <output>/logs/job.log.\n\n");
    put_variables(&b, job, programs, mark);
    buf_append(&b, script_body, script_body_len);
    return buf_take(&b);
}
