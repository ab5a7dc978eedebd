/* core/job/checkpoint_read.h - the checkpoints of a job: <output>/checkpoint/step-<n>.checkpoint.
 * daemon/coordinator/checkpoint.h writes them.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "core/job/state.h"

struct checkpoint_list {
    int *steps; /* (n), falling, owned */
    int n, cap;
};

/* A folder that is not there yet holds none. The caller frees ret->steps. */
int checkpoint_list(const char *folder, struct checkpoint_list *ret, struct err *err);
/* Caller frees; NULL for lack of memory. */
char *checkpoint_path(const char *folder, int step);

/* Loads the newest checkpoint of `folder` that is whole into s. *ret_found: there was one. A
 * damaged one is reported in `notices` (a line each) and the one before is used; all damaged, or
 * another job's, is an error. */
int checkpoint_load(const char *folder, struct state *s, const struct state_identity *identity,
                    bool *ret_found, struct buf *notices, struct err *err);

/* Loads the one of `step`. ERR_NOT_FOUND or ERR_IO where it cannot be read. */
int checkpoint_load_step(const char *folder, int step, struct state *s,
                         const struct state_identity *identity, struct err *err);

/* The newest of the job whose output folder this is, or, unless `last`, the best so far where the
 * job keeps the best. weights: of the model (state_identity), or ""
 * where any will do. The layout is the caller's to free, and *ret to close, on failure too; they
 * are zeroed before. ERR_INVALID where there is none. */
int checkpoint_load_of_job(const char *output, const struct job *job, bool last,
                           const char *weights, const struct model_config *config,
                           struct trainable *layout, struct state *ret, struct buf *notices,
                           struct err *err);
