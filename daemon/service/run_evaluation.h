/* daemon/service/run_evaluation.h - runs that measure a model: one process, `dash-worker eval`,
 * whose request, progress, results and outcome are files of the output folder
 * (core/job/evaluation_request.h). Its examples count as the steps of the job. */
#pragma once
#include "daemon/service/run_table.h"

/* Writes the request, and removes what an earlier launch has left. */
int run_evaluation_prepare(const struct run *run, struct err *err);
/* Paths led to allowed folders when it was queued; links may have changed. */
int run_evaluation_check_roots(const struct run *run, struct err *err);
/* Takes over how far it is; the first word of it makes the run RUNNING. */
int run_evaluation_look(struct run *run, struct err *err);
