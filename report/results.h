/* report/results.h - what came out of a job, as numbers that can stand beside those of another. */
#pragma once
#include "proto/step_row.h"

enum { RESULTS_MEAN_STEPS = 10 };

struct results {
    int steps;
    double loss;      /* of the last step; NAN: there is none */
    double mean_loss; /* of the last RESULTS_MEAN_STEPS, or of as many as there are */
    double eval_loss, best_eval_loss; /* the last and the lowest; NAN: none was measured */
    int best_step;                    /* of the lowest; 0: none */
    double seconds;                   /* of all steps */
    double tokens_per_second;         /* over all steps; NAN: not known */
    int64_t tokens, trained_tokens;
};

struct results results_of(const struct step_row *rows, int n);
