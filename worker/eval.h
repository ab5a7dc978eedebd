/* worker/eval.h - `dashctl eval`: how good a model is on a data set.
 *
 *   loss     the mean loss of the trained tokens, and its exponential, the perplexity
 *   choice   rows with choices: the likeliest one is the answer
 *   answer   rows with an answer: the model generates one, and the two are compared
 *
 * A task fills a JSON object of figures, in the order in which they are printed, and appends a line
 * of JSON an example to the details where those are wanted.
 */
#pragma once
#include "core/buf.h"
#include "core/problems.h"
#include "core/text/data_options.h"
#include "worker/generate.h"
#include "worker/score.h"
#include <jansson.h>

struct eval {
    struct generator *g;
    struct tokenizer *tokenizer; /* NULL: the model has none that can be used */
    const struct err *refusal;   /* why, or NULL */
    const struct data_options *data;
    const struct data_names *files;
    int limit;      /* examples at most, 0: any number */
    int new_tokens; /* of a generated answer */
    bool wants_details;
    struct buf details, notices; /* notices: a sentence a line */
    struct problems problems;    /* of the rows */
    double shown_s;              /* clock_s() of the last progress; 0: none yet */
};

int eval_loss(struct eval *e, json_t *figures, struct err *err);
int eval_choice(struct eval *e, json_t *figures, struct err *err);
int eval_answer(struct eval *e, json_t *figures, struct err *err);

/* Whether the first row of the data has choices. */
bool eval_has_choices(const struct eval *e);

/* ---- eval_main.c ---- */

/* Shows how far it is; ERR_STATE where a signal asked to end. */
int eval_progress(struct eval *e, long done, long total, struct err *err);
/* Appends a line of the details; takes the object. */
int eval_detail(struct eval *e, json_t *line, struct err *err);
/* Adds figures; jansson's format. */
int eval_figures(json_t *figures, json_t *more, struct err *err);

/* The program: `dash-worker eval ARGS...`. */
int eval_main(int argc, char **argv);
