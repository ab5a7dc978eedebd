/* client/job_result.h - what a job has left: settings, steps, and the files about its directions.
 * They are read from an output folder on this machine, or fetched from dashd.
 */
#pragma once
#include "client/client.h"
#include "proto/step_row.h"
#include <jansson.h>

struct job_result {
    char *id;     /* of dashd; NULL: read from a folder */
    char *name;   /* of the job */
    char *state;  /* "SUCCEEDED"; empty: not known */
    char *yaml;   /* job.yaml */
    char *output; /* its folder on this machine; NULL where dashd may be on another */
    struct step_row *rows;
    int n_rows;
    /* As in the files; NULL: there is none, or it was not asked for. */
    json_t *directions, *spectra;
    json_t *coefficients; /* an array of the rows */
};

/* `asked` is a folder that holds job.yaml, else the ID or the name of a job. Prints words and
 * returns EXIT_FAILED on failure. */
int job_result_read(struct client *c, const char *asked, bool with_directions,
                    struct job_result *ret);
void job_result_free(struct job_result *r); /* a zeroed one too */
