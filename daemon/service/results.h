/* daemon/service/results.h - what a job has left in its output folder, for those who fetch it.
 *
 * The folder may be one that others can write: links are not followed, pipes not waited for.
 * Results are the regular files in it, at most RESULTS_DEPTH folders deep, but for the lock, hidden
 * files, and what is in logs/ beside *.log: the contact file there holds a secret.
 */
#pragma once
#include "core/err.h"
#include <stdint.h>

enum { RESULTS_DEPTH = 4, RESULTS_MAX = 10000 };

struct result_file {
    char *path; /* owned: relative to the output folder */
    int64_t bytes;
    int64_t time_ms; /* of its last change, Unix time */
    int step;        /* of a checkpoint; -1: it is none */
};

struct results {
    struct result_file *items; /* by path */
    int n;
};

/* A folder that is not there has none. More than RESULTS_MAX is an error. results_free() *ret. */
int results_list(const char *output, struct results *ret, struct err *err);
void results_free(struct results *r);

/* Opens a result for reading. ERR_NOT_FOUND where there is no result of this path, whatever else is
 * there. */
int results_open(const char *output, const char *path, int *ret_fd, int64_t *ret_bytes,
                 struct err *err);

/* ERR_NOT_FOUND, with the steps there are, where no checkpoint is of this step. */
int results_check_step(const char *output, int step, struct err *err);
/* Removes the checkpoints after this step. May be repeated. */
int results_cut_checkpoints(const char *output, int step, struct err *err);
