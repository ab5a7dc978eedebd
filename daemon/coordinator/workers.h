/* daemon/coordinator/workers.h - the worker ranks as the coordinator uses them (messages:
 * proto/ranks.h).
 *
 * Worker replica * stages + stage is rank 1 + that. Every call waits for all answers; a worker that
 * answers with a sentence of its own (RANK_ERROR) makes the call fail with that sentence, and
 * ERR_PEER, or ERR_INVALID where the next launch would meet the same. So does a wrong message, with
 * the rank's name and ERR_PEER: a bit may have flipped on its way.
 */
#pragma once
#include "core/job/job.h"
#include "core/job/parallel_shape.h"
#include "core/job/trainable.h"
#include "core/tree.h"
#include "daemon/coordinator/packing.h"
#include "core/job/state.h"
#include "proto/ranks.h"

struct workers {
    struct ranks *ranks;
    int stages, replicas; /* ranks beyond these are idle until the end */
    int *first_layer;     /* (stages + 1), owned */
    size_t *begin;        /* (stages + 1): slices of the trained vector, owned */
    int *again;           /* (stages): layers that are made again, owned */
    double largest_bytes; /* of the worker that needs most */
    double memory_bytes;  /* that each may have of its own; 0: any. The caller sets it */
    bool too_large;       /* a stage does not fit the memory of its worker */
    const struct trainable *layout;
    struct grad_tree *trees;          /* (stages): sums over replicas, owned */
    struct buf body;                  /* of the message being built */
    unsigned long resident_bytes;     /* of all workers, as they said when ready */
    int threads;                      /* of all workers */
    double seconds[WORK_KINDS];       /* of all workers, in steps that train */
    struct rank_progress *decomposed; /* (ranks): as each has last said, owned */
    /* Called when more matrices are decomposed; NULL: nobody asks. The caller sets them. */
    void (*progressed)(void *context, const struct rank_progress *all);
    void *context;
};

int workers_open(struct workers *w, struct ranks *ranks, const struct job_parallel *parallel,
                 const struct model_config *config, const struct trainable *layout,
                 const struct worker_limits *limits, struct err *err);
void workers_close(struct workers *w);

/* Sends the setup and waits until all are ready. model: as it is on this node; a worker that finds
 * another is ERR_INVALID. ret_weights: the model's hash, 32 hex digits. */
int workers_set_up(struct workers *w, const struct job *job, const struct model *model,
                   const char *cache, char ret_weights[33], struct err *err);

/* One step: writes the summed gradient (layout->count) and the summed loss. gradient NULL: forward
 * only. */
int workers_step(struct workers *w, const struct state *s, const struct packed_step *packed,
                 int step, float *gradient, double *ret_loss, struct err *err);

/* Has the directions chosen for the parameters of s; fills s->chosen. */
int workers_identify(struct workers *w, struct state *s, struct direction_profile *ret_profiles,
                     struct err *err);
/* Gives the workers the directions of s. */
int workers_direct(struct workers *w, const struct state *s, struct err *err);

/* Asks all workers to end. */
void workers_stop(struct workers *w);
