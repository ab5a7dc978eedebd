/* report/job_result.h - what a job has left in its output folder: settings, steps, and the files
 * about its directions.
 */
#pragma once
#include "core/err.h"
#include "proto/step_row.h"
#include <jansson.h>

struct job_result {
    char *id;        /* of dashd; NULL: read from a folder */
    char *name;      /* of the job */
    char *state;     /* "SUCCEEDED"; empty: not known */
    char *yaml;      /* job.yaml */
    char *output;    /* its folder on this machine; NULL where dashd may be on another */
    int64_t last_ms; /* when metrics.jsonl was last changed, Unix time; 0: not known */
    struct step_row *rows;
    int n_rows;
    /* As in the files; NULL: there is none, or it was not asked for. */
    json_t *directions, *spectra;
    json_t *coefficients; /* an array of the rows */
    json_t *launches; /* an array of those lines that begin one (daemon/coordinator/launches.h) */
};

/* Fills *r from a folder that holds job.yaml; yaml, state and last_ms that it has already stay.
 * ERR_NOT_FOUND without job.yaml; ERR_INVALID names the file, and the line, that cannot be read.
 * The caller frees *r, also on failure. */
int job_result_read(const char *folder, bool with_directions, struct job_result *r,
                    struct err *err);
void job_result_free(struct job_result *r); /* a zeroed one too */
