/* core/job/evaluation_request.h - what a queued evaluation measures: as a client asks for it, dashd
 * keeps it and dash-worker reads it, one JSON object whose names are those of message Evaluation in
 * proto/dash.proto. What is absent is not given.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "core/job/job_roots.h"
#include "core/problems.h"
#include <jansson.h>
#include <stdbool.h>

struct evaluation_request {
    char *from;  /* output folder of a job, or a PEFT folder; NULL: the model alone */
    char *model; /* in place of the one that the job or the adapter names; or NULL */
    char *output, *name;
    char *task, *template_kind, *chat_template; /* or NULL */
    char **data;                                /* files and patterns; n_data 0: the job's */
    int n_data;
    bool base_only, without_directions, checkpoint;
    bool here;                                  /* although the job was trained under Slurm */
    int max_tokens, new_tokens, limit, threads; /* 0: not given */
};

enum { EVALUATION_DATA_MAX = 64 };

/* Problems of the values: one by one, and together. */
void evaluation_request_check(const struct evaluation_request *r, struct problems *problems);
/* Adds a problem for each path that leads out of the folders, also of those that the job in `from`
 * names. Nothing is read that has not been found to be inside. */
int evaluation_request_check_roots(const struct evaluation_request *r,
                                   const struct job_roots *roots, struct problems *problems,
                                   struct err *err);

/* The text; NULL for lack of memory, or where a string is not UTF-8. Caller frees. */
char *evaluation_request_print(const struct evaluation_request *r);
/* Undo by evaluation_request_free(). ERR_INVALID where it is none. */
int evaluation_request_parse(const char *text, struct evaluation_request *ret, struct err *err);
void evaluation_request_free(struct evaluation_request *r);

struct evaluation_plan {
    double memory_bytes;
    char *line; /* owned: for people */
};
/* Looks at what it names: the model can be opened, what was trained belongs to it, there is data.
 * ERR_INVALID where there are problems. Undo by evaluation_plan_free(). */
int evaluation_request_look(const struct evaluation_request *r, struct evaluation_plan *ret,
                            struct problems *problems, struct err *err);
void evaluation_plan_free(struct evaluation_plan *p);

/* Files of an evaluation in its output folder: the request, the figures, a line for each example,
 * and how far it is: a line of EVALUATION_PROGRESS_BYTES with the examples done, and all. */
#define EVALUATION_FILE          "evaluation.json"
#define EVALUATION_RESULT        "result.json"
#define EVALUATION_DETAILS       "examples.jsonl"
#define EVALUATION_PROGRESS      "logs/progress"
#define EVALUATION_PROGRESS_LINE "%10ld %10ld\n"
enum { EVALUATION_PROGRESS_BYTES = 22 };
