/* daemon/coordinator/evaluation.c - see train_impl.h: the loss on data.eval, which state is the
 * best by it, and when nothing better is expected. What has been measured is part of the state
 * (evaluations.h), and the best state is a checkpoint that is not removed: nothing here needs to be
 * made again after an interruption.
 *
 * The plain LoRA of the pre-launch phase is not what a job with directions is for: it is measured,
 * but is never the best, and does not end the job.
 */
#include "core/file.h"
#include "core/log.h"
#include "daemon/coordinator/train_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct job_training *training_of(const struct train *t)
{
    return &t->loaded.job->training;
}

static int measure(struct train *t, double *ret_loss, struct err *err)
{
    struct packed_step packed;
    long n = job_steps_of_pass(t->eval_order.batch_size, t->eval_order.n), trained = 0;
    double sum = 0, loss;
    int rc;

    for (int i = 1; i <= n; i++) {
        rc = pack_step(&t->eval_order, &t->packing, i, &packed, err);
        if (rc < 0)
            return rc;
        rc = workers_step(&t->workers, &t->state, &packed, t->state.step, NULL, &loss, err);
        trained += packed.trained;
        packed_free(&packed);
        if (rc < 0)
            return rc;
        sum += loss;
    }
    *ret_loss = sum / (double)trained;
    return 0;
}

static bool is_measured_after(const struct train *t, int step)
{
    const struct job_training *training = training_of(t);

    if (t->eval_order.n == 0)
        return false;
    return step == training->steps || (training->eval_every && step % training->eval_every == 0);
}

static bool counts(const struct train *t)
{
    const struct job_training *training = training_of(t);

    return (training->keep_best || training->early_stop_patience) &&
           (t->state.identified || t->state.chosen.n == 0);
}

void evaluation_begin(struct train *t, struct buf *notices)
{
    struct evaluations *e = &t->state.evaluations;
    char data[33] = "";

    if (t->eval_order.n > 0)
        dataset_hash(&t->loaded.eval, t->loaded.eval.n, data);
    if (e->best_step > 0 && strcmp(e->data, data) != 0) {
        buf_printf(notices,
                   "the rows of data.eval have changed: the evaluations up to step %d, of which "
                   "that of step %d was the best, no longer count\n",
                   t->state.step, e->best_step);
        *e = (struct evaluations){0};
    }
    memcpy(e->data, data, sizeof(data));
}

int evaluate(struct train *t, struct step_row *row, struct err *err)
{
    int rc;

    if (!is_measured_after(t, row->step))
        return 0;
    rc = measure(t, &row->eval_loss, err);
    if (rc == 0 && counts(t))
        row->best = evaluations_add(&t->state.evaluations, row->step, row->eval_loss,
                                    training_of(t)->early_stop_gain);
    return rc;
}

bool evaluation_ends_training(const struct train *t)
{
    int patience = training_of(t)->early_stop_patience;

    return patience > 0 && t->state.evaluations.without_gain >= patience;
}

int evaluation_take_best(struct train *t, struct buf *sentence, struct err *err)
{
    const struct evaluations e = t->state.evaluations;
    int last = t->state.step, rc = 0;
    char *folder;

    if (evaluation_ends_training(t) && last < training_of(t)->steps)
        buf_printf(sentence,
                   "training ended after step %d of %d: %d evaluations have not lowered the "
                   "evaluation loss%s",
                   last, training_of(t)->steps, e.without_gain,
                   training_of(t)->early_stop_gain > 0 ? " by training.early_stop_gain" : "");
    if (!training_of(t)->keep_best || e.best_step == 0)
        return 0;
    buf_printf(sentence,
               "%sthe adapter is that of step %d, whose evaluation loss %.6g is the lowest",
               sentence->len ? "; " : "", e.best_step, e.best_loss);
    if (e.best_step == last)
        return 0;
    folder = file_join(t->options->output, "checkpoint");
    if (!folder)
        return err_nomem(err, strlen(t->options->output));
    rc = checkpoint_load_step(folder, e.best_step, &t->state, &t->identity, err);
    free(folder);
    if (rc < 0)
        err_prefix(err,
                   "step %d is the best, but its checkpoint cannot be used (resume the job with "
                   "training.keep_best: false and it ends with the last state)",
                   e.best_step);
    return rc;
}
