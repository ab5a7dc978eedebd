/* daemon/coordinator/train_impl.h - what train.c (the steps) and train_start.c (everything before
 * the first) share. */
#pragma once
#include "core/buf.h"
#include "daemon/coordinator/checkpoint.h"
#include "daemon/coordinator/load.h"
#include "daemon/coordinator/memory_share.h"
#include "daemon/coordinator/packing.h"
#include "daemon/coordinator/outputs.h"
#include "daemon/coordinator/records.h"
#include "daemon/coordinator/report.h"
#include "daemon/coordinator/tensorboard.h"
#include "core/job/state.h"
#include "daemon/coordinator/train.h"
#include "daemon/coordinator/usage.h"
#include "daemon/coordinator/workers.h"

struct train {
    const struct train_options *options;
    struct ranks *ranks;
    struct loaded loaded;
    struct workers workers;
    struct data_order order, eval_order; /* eval_order: n 0 without data.eval */
    struct packing_rules packing;
    struct state state;
    struct state_identity identity;
    struct checkpoint *checkpoint;
    struct metrics metrics;
    struct coefficients coefficients;
    struct tensorboard tensorboard;
    struct report *report;
    struct usage usage;
    struct memory_share memory;
    int launch;         /* launches.h */
    int lock_fd;        /* of <output>/lock: one coordinator at a time; -1: not taken */
    float *gradient;    /* (count) */
    struct buf bytes;   /* of the checkpoint being built */
    struct buf notices; /* for the user, until there is a report */
    struct buf ending;  /* what evaluations say of the adapter and of the end; or empty */
    double decomposed_logged_at;
    double stepping_s, updating_s; /* of all steps; of them, between gradient and new parameters */
};

/* Locks the folder, loads, sets the workers up, continues from a checkpoint or initialises, opens
 * the outputs and the report. What was opened is the caller's to close, also on failure. */
int train_start(struct train *t, struct err *err);

/* Waits until the rows of step `step` are read, or all are; not once a stop is wanted. */
int train_wait_for_rows(struct train *t, int step, struct err *err);
int train_wait_for_all_rows(struct train *t, struct err *err);
bool train_stops(const struct train *t);

/* ---- evaluation.c ---- */

/* Before the first step: evaluations of other rows no longer count. */
void evaluation_begin(struct train *t, struct buf *notices);
/* After a step for which the job asks for it; sets eval_loss and best of the row. */
int evaluate(struct train *t, struct step_row *row, struct err *err);
/* training.early_stop_patience. */
bool evaluation_ends_training(const struct train *t);
/* At the end: makes the best state the state, where the job keeps it. Appends what a user should
 * know of it. */
int evaluation_take_best(struct train *t, struct buf *sentence, struct err *err);
