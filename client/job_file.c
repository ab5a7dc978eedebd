/* client/job_file.c - see job_file.h. The text is sent as it is, with its folder: dashd resolves
 * relative paths against that, and reports lines of this text. */
#include "client/job_file.h"
#include "client/sets.h"
#include "core/file.h"
#include "core/job/job.h"
#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct argp_option file_options[] = {SETS_OPTION, {0}};

static error_t parse_file(int key, char *arg, struct argp_state *state)
{
    struct job_file *f = state->input;

    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = f->client;
        return 0;
    case OPTION_SET:
        sets_add(&f->sets, arg, state);
        return 0;
    case ARGP_KEY_ARG:
        if (f->path)
            argp_error(state, "one job file at a time: what is '%s'?", arg);
        f->path = arg;
        return 0;
    case ARGP_KEY_END:
        if (!f->path)
            argp_error(state, "which job file? (- for standard input)");
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child file_children[] = {{&client_argp, 0, NULL, 0}, {0}};
const struct argp job_file_argp = {
    .options = file_options, .parser = parse_file, .children = file_children};

static const struct argp_option resume_options[] = {
    {"resume", 'r', NULL, 0,
     "Continue from the checkpoint in the output folder, which must hold this job", 0},
    {0},
};

static error_t parse_resume(int key, char *arg, struct argp_state *state)
{
    struct job_file *f = state->input;

    (void)arg;
    switch (key) {
    case ARGP_KEY_INIT:
        state->child_inputs[0] = f;
        return 0;
    case 'r':
        f->resume = true;
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp_child resume_children[] = {{&job_file_argp, 0, NULL, 0}, {0}};
const struct argp job_file_resume_argp = {
    .options = resume_options, .parser = parse_resume, .children = resume_children};

static int check_text(const struct job_file *f, size_t len)
{
    struct err err;

    if (strlen(f->text) == len)
        return 0;
    err_set(&err, ERR_INVALID, "%s is not a text file: it holds a NUL byte", f->path);
    return client_fail(&err);
}

static int read_stdin(struct job_file *f)
{
    struct err err;
    size_t len;

    if (file_read_stream(STDIN_FILENO, "standard input", JOB_FILE_MAX, &f->text, &len, &err) < 0)
        return client_fail(&err);
    f->directory = getcwd(NULL, 0);
    if (!f->directory) {
        err_errno(&err, "the current folder cannot be found");
        return client_fail(&err);
    }
    return check_text(f, len);
}

int job_file_read(struct job_file *f)
{
    char absolute[PATH_MAX];
    struct err err;
    size_t len;

    if (strcmp(f->path, "-") == 0)
        return read_stdin(f);
    if (!realpath(f->path, absolute)) {
        err_errno(&err, "%s", f->path);
        return client_fail(&err);
    }
    if (file_read(absolute, JOB_FILE_MAX, &f->text, &len, &err) < 0)
        return client_fail(&err);
    f->directory = strdup(dirname(absolute));
    return f->directory ? check_text(f, len) : client_fail_with("out of memory");
}

void job_file_free(struct job_file *f)
{
    free(f->sets.items);
    free(f->text);
    free(f->directory);
    f->sets.items = NULL;
    f->text = f->directory = NULL;
}

int job_file_create(struct client *c, const struct job_file *f, Dash__V1__CreateJobResponse **ret)
{
    Dash__V1__CreateJobRequest request = DASH__V1__CREATE_JOB_REQUEST__INIT;

    request.job_yaml = f->text;
    request.directory = f->directory;
    request.file_name = (char *)(strcmp(f->path, "-") == 0 ? "stdin" : f->path);
    request.overrides = f->sets.items;
    request.n_overrides = (size_t)f->sets.n;
    request.resume = f->resume;
    request.batch = f->batch;
    request.validate_only = f->validate_only;
    if (f->request_id)
        request.request_id = f->request_id;
    request.labels = (Dash__V1__Label **)f->labels.list;
    request.n_labels = f->labels.n;
    request.priority = f->priority;
    return client_call(c, "CreateJob", &request.base, &dash__v1__create_job_response__descriptor,
                       VALIDATE_TIMEOUT_MS, ret);
}
