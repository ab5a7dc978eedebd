/* daemon/service/run_report.h - what a job's coordinator reports, or what its metrics.jsonl says
 * where nobody reports.
 *
 * Steps are committed in groups, FLUSH_MS after the first at the latest; only then do watchers see
 * them. A change of state commits the steps before it first. A report that cannot be committed is
 * refused, and the coordinator sends it again.
 */
#pragma once
#include "daemon/service/run_table.h"

/* The first message of a stream. ERR_INVALID when the token is not this launch's. On success the
 * stream is the run's, until it ends or another takes its place. */
int run_hello(struct runs *r, const char *id, const char *token, int resumed_from, int steps_total,
              struct rpc_call *report, struct run **ret_run, struct err *err);
int run_step(struct run *run, const struct step_row *step, struct err *err);
/* Not kept on disk: the next launch says it anew. */
void run_decomposed(struct run *run, const struct run_decomposition *decomposition);
int run_phase(struct run *run, int phase, struct err *err);
void run_report_gone(struct run *run);
/* Ends the stream, if there is one: the coordinator dials again. */
void run_drop_report(struct run *run, const char *why);

/* Commits the steps that wait. */
int run_flush(struct run *run, struct err *err);
/* After a launch: commits the steps that were not reported; its folder has them. Fails only if the
 * store cannot save them. */
int run_catch_up(struct run *run, struct err *err);
