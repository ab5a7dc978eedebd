/* core/job/evaluations.h - what a job's evaluation losses have shown so far: which state is the
 * best, and for how long none has been better. It is part of a checkpoint, so that a job that was
 * interrupted ends as one that was not.
 *
 *   best           the lowest loss; of equal ones the first
 *   gain           a loss that is more than training.early_stop_gain below that of the last gain
 *   without_gain   evaluations since the last gain: training.early_stop_patience of them end
 *                  the job
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct evaluations {
    int best_step;    /* 0: nothing has been measured */
    double best_loss; /* a trained token, in nats */
    double gain_loss; /* of the last gain */
    int without_gain;
    char data[33]; /* dataset_hash() of the rows that were measured */
};

/* Takes the loss after a step, which never is the best where it is not finite. Returns whether it
 * is the best. */
bool evaluations_add(struct evaluations *e, int step, double loss, double least_gain);

enum { EVALUATIONS_TEXT_MAX = 160 };
/* As one line of text; e has a best. */
void evaluations_print(const struct evaluations *e, char *out, size_t size);
/* The exact inverse, of a checkpoint of step `step`; false where the text is of none. */
bool evaluations_parse(const char *text, int step, struct evaluations *ret);
