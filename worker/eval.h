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
#include "core/job/evaluation_request.h"
#include "core/problems.h"
#include "core/text/data_options.h"
#include "worker/generate.h"
#include "worker/score.h"
#include <jansson.h>

/* ---- eval_queue.c: an evaluation that dashd has queued ---- */

/* Its output folder holds the request; the results go there, and how far it is, and how it ended
 * (core/job/evaluation_request.h, outcome_file.h). */
struct eval_queue {
    const char *output;
    struct evaluation_request request;
    int progress; /* file; -1: not open */
    double said_s;
};

int eval_queue_open(const char *output, struct eval_queue *ret, struct err *err);
/* Now and then, and at the end. */
int eval_queue_progress(struct eval_queue *q, long done, long total, struct err *err);
/* Writes the results of one that succeeded. */
int eval_queue_results(const struct eval_queue *q, const json_t *figures, const struct buf *details,
                       struct err *err);
/* Writes how it ended: rc and its reason. */
void eval_queue_end(const struct eval_queue *q, int rc, const char *reason);
void eval_queue_close(struct eval_queue *q);

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
    struct eval_queue *queue;    /* where dashd has queued it, or NULL */
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
