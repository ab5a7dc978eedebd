/* core/job/worker_memory.h - the memory that a worker takes: what it holds all the time, what a
 * micro-batch under way keeps of each layer, what all layers share.
 *
 * Of layers that are made again (worker/stage.h) only the input is kept, so that what they take is
 * C floats a token instead of about 2 N + 2 F + 2 C.
 */
#pragma once
#include "core/job/micro_batches.h"
#include "core/job/trainable.h"
#include "core/model/model.h"

struct worker_room { /* of a worker on its node */
    double bytes;    /* that it may take; 0: not known */
    int threads;
};

struct worker_limits {
    int micro_batches;      /* of a step */
    int micro_batch_tokens; /* of the largest */
    int row_tokens;         /* of the longest row */
    int threads;            /* of a worker: each has memory for attention */
    double trained;         /* trained positions / all positions of the data */
    struct model_memory weights;
    double worker_bytes; /* memory that each worker may take; 0: not known */
    bool bf16;           /* products with frozen matrices round their factors */
};
struct worker_limits worker_limits(const struct model *model, const struct micro_batch_sizes *sizes,
                                   double trained, const struct worker_room *room,
                                   enum job_precision precision);

struct worker_share {  /* of the model */
    int stage, stages; /* this stage of how many */
    int first, last;   /* layers [first, last) */
    int n_again;       /* layers that are made again */
};

struct worker_memory { /* bytes */
    double weights;    /* frozen, in the form of their files */
    double trained;    /* adapters, as messages and as factors; gradients of micro-batches */
    double activations;
    double scratch; /* of a layer's passes, and of the head */
    double decomposition;
    double process; /* the program itself and its messages */
};

void worker_memory_of(const struct worker_limits *limits, const struct model_config *c,
                      const struct trainable *t, const struct worker_share *share,
                      struct worker_memory *ret);
double worker_memory_sum(const struct worker_memory *m);

/* Layers of the share that have a backward pass: the most that can be made again. */
int worker_memory_layers(const struct model_config *c, const struct trainable *t,
                         const struct worker_share *share);
/* The fewest layers that must be made again for the share to fit limits->worker_bytes (0: not
 * known, and none are); -1 where it does not fit even so. share->n_again is not looked at. */
int worker_memory_fit(const struct worker_limits *limits, const struct model_config *c,
                      const struct trainable *t, const struct worker_share *share);
/* Sets share->n_again to that, or to all that can be. Returns whether the share fits so. */
bool worker_memory_choose(const struct worker_limits *limits, const struct model_config *c,
                          const struct trainable *t, struct worker_share *share);
