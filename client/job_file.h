/* client/job_file.h - the job file and the options that go with it, for `run`, `submit` and `plan`.
 */
#pragma once
#include "client/client.h"
#include "client/label_options.h"
#include "client/sets.h"

struct job_file {
    struct client *client; /* set before parsing: job_file_argp hands it on to client_argp */
    const char *path;      /* "-": standard input */
    struct sets sets;
    /* As CreateJobRequest has them. */
    bool resume, batch, validate_only;
    char *request_id; /* NULL: none */
    struct label_options labels;
    int32_t priority;
    char *text;
    char *directory; /* absolute: of the file, or where we are for "-" */
};

/* JOB.YAML, --set, --server and --output. Its input is a struct job_file. */
extern const struct argp job_file_argp;
/* The same and --resume. */
extern const struct argp job_file_resume_argp;

/* Reads the file that was named. Prints words and returns EXIT_FAILED where it cannot. */
int job_file_read(struct job_file *f);
void job_file_free(struct job_file *f);

/* CreateJob. The caller frees *ret_job. */
int job_file_create(struct client *c, const struct job_file *f, Dash__V1__CreateJobResponse **ret);
