/* worker/pipeline.h - one optimizer step through this worker's stage.
 *
 * 1F1B (Narayanan et al. 2021, "Memory-efficient pipeline-parallel DNN training"): stage s of S
 * runs min(S - s - 1, n) micro-batches forward, then one backward for one forward, then the rest
 * backward; so at most S - s are under way and need a slot. A stage below the lowest adapted layer
 * has no backward pass.
 */
#pragma once
#include "core/err.h"
#include "core/tree.h"
#include "proto/ranks.h"
#include "worker/stage.h"

struct pipeline {
    struct ranks *ranks;
    struct stage *stage;
    int index, stages;        /* this stage of how many */
    int before, after;        /* ranks of the neighbours; unused at the ends */
    struct stage_slot *slots; /* (n_slots), owned */
    int n_slots;
    struct grad_tree tree;
    struct buf answer; /* the body of the last RANK_GRADIENTS */
    bool directed;     /* the stage has its directions: its steps are of the dash phase */
};

int pipeline_open(struct pipeline *p, struct ranks *ranks, struct stage *stage, int index,
                  int stages, struct err *err);
void pipeline_close(struct pipeline *p);

/* Takes a RANK_STEP body, does the step and answers rank 0 with RANK_GRADIENTS. */
int pipeline_step(struct pipeline *p, const struct buf *body, struct err *err);
