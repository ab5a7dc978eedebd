/* worker/eval_loss.c - see eval.h: the loss on a data set, whose rows are read as those of
 * training; it is that of training.eval_every. */
#include "core/text/dataset.h"
#include "worker/eval.h"
#include <math.h>

static int detail(struct eval *e, const struct dataset *d, const struct example *x,
                  const struct score *s, struct err *err)
{
    double loss = s->tokens ? s->loss / s->tokens : 0;

    if (!e->wants_details)
        return 0;
    return eval_detail(e,
                       json_pack("{s:s, s:i, s:i, s:i, s:f}", "file", d->files[x->file], "line",
                                 x->line, "tokens", x->n, "trained_tokens", s->tokens, "loss",
                                 loss),
                       err);
}

static int score_all(struct eval *e, const struct dataset *d, struct score *total, long n,
                     struct err *err)
{
    struct scorer *scorer = NULL;
    struct score of[256];
    int rc = scorer_open(generator_stage(e->g), &scorer, err);

    for (long at = 0; rc == 0 && at < n;) {
        int most = n - at < 256 ? (int)(n - at) : 256;
        int taken = scorer_batch(d->examples + at, most);
        rc = scorer_run(scorer, d->examples + at, taken, of, err);
        for (int i = 0; rc == 0 && i < taken; i++) {
            total->loss += of[i].loss;
            total->tokens += of[i].tokens;
            rc = detail(e, d, &d->examples[at + i], &of[i], err);
        }
        at += taken;
        if (rc == 0)
            rc = eval_progress(e, at, n, err);
    }
    scorer_close(scorer);
    return rc;
}

int eval_loss(struct eval *e, json_t *figures, struct err *err)
{
    const struct dataset_input in = {.names = e->files,
                                     .data = e->data,
                                     .tokenizer = e->tokenizer,
                                     .refusal = e->refusal,
                                     .vocab = generator_stage(e->g)->config.vocab};
    struct score total = {0};
    struct dataset d = {0};
    long n;
    int rc = dataset_load(&in, &d, &e->problems, err);

    n = e->limit && e->limit < d.n ? e->limit : d.n;
    if (rc == 0) {
        dataset_notes(&d, e->data, &e->notices);
        rc = score_all(e, &d, &total, n, err);
    }
    if (rc == 0 && total.tokens == 0)
        rc = err_set(err, ERR_INVALID, "the first %ld examples train no token", n);
    if (rc == 0) {
        double loss = total.loss / total.tokens;
        rc = eval_figures(figures,
                          json_pack("{s:I, s:i, s:f, s:f}", "examples", (json_int_t)n,
                                    "trained_tokens", total.tokens, "loss", loss, "perplexity",
                                    exp(loss)),
                          err);
    }
    dataset_free(&d);
    return rc;
}
