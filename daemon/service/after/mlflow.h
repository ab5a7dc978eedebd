/* daemon/service/after/mlflow.h - a job's metrics for an MLflow server, by its REST API 2.0.
 *
 * A report makes the experiment and the run where there is none yet, with the job's settings as
 * params, sends metrics of up to MLFLOW_STEPS steps, and, where the job has ended and all is sent,
 * closes the run. It blocks, and it may be repeated: what was sent twice is the same value of the
 * same step. The user and the password, or the token, are those of MLflow's own client:
 * MLFLOW_TRACKING_USERNAME and _PASSWORD, or MLFLOW_TRACKING_TOKEN, in dashd's environment. They
 * are given to the server of MLFLOW_TRACKING_URI there alone: whoever submits a job names any.
 */
#pragma once
#include "core/err.h"
#include "proto/step_row.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { MLFLOW_STEPS = 150, MLFLOW_RUN_ID_SIZE = 64 };

struct mlflow_report {
    const char *server, *experiment;     /* URL; name */
    const char *job, *name, *output;     /* the job's id, its name, its folder */
    const char *yaml;                    /* its settings */
    int64_t started_ms;                  /* Unix time of the first launch */
    char run_id[MLFLOW_RUN_ID_SIZE];     /* "": none yet; set */
    struct step_row steps[MLFLOW_STEPS]; /* (n) in order */
    int n;
    const char
        *status; /* "FINISHED", "FAILED" or "KILLED": all steps are sent; NULL: it continues */
    int64_t ended_ms;
    const atomic_bool *stop; /* of web.h */
};

int mlflow_send(struct mlflow_report *r, struct err *err);
