/* report/results.c - see results.h. The loss of one step depends on its rows: two jobs are compared
 * by the mean of their last steps, too. */
#include "report/results.h"
#include <math.h>

static void add_evaluation(struct results *r, const struct step_row *row)
{
    if (!(row->eval_loss > 0))
        return;
    r->eval_loss = row->eval_loss;
    if (r->best_step && row->eval_loss >= r->best_eval_loss)
        return;
    r->best_eval_loss = row->eval_loss;
    r->best_step = row->step;
}

struct results results_of(const struct step_row *rows, int n)
{
    struct results r = {.loss = NAN, .mean_loss = NAN, .eval_loss = NAN, .best_eval_loss = NAN};
    int last = n < RESULTS_MEAN_STEPS ? n : RESULTS_MEAN_STEPS, i;
    double sum = 0;

    for (i = 0; i < n; i++) {
        add_evaluation(&r, &rows[i]);
        r.seconds += rows[i].seconds;
        r.tokens += rows[i].tokens;
        r.trained_tokens += rows[i].trained_tokens;
        if (i >= n - last)
            sum += rows[i].loss;
    }
    r.tokens_per_second = r.seconds > 0 ? (double)r.tokens / r.seconds : NAN;
    if (n > 0) {
        r.steps = rows[n - 1].step;
        r.loss = rows[n - 1].loss;
        r.mean_loss = sum / last;
    }
    return r;
}
