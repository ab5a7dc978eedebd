/* daemon/coordinator/report.h - the coordinator's side of Coordination.Report: what it sends to
 * dashd.
 *
 * A thread of its own dials dashd, and dials again with back-off whenever the connection breaks;
 * training never waits for it. Every row is kept in memory (they are small), so that after a dial
 * whatever dashd misses, as its Welcome shows, is sent. All functions but report_open() and
 * report_close() may be called from any thread, and all of them with r == NULL, which is what there
 * is without a dashd: they do nothing then.
 */
#pragma once
#include "core/err.h"
#include "proto/step_row.h"
#include <stdbool.h>

struct report;

/* The values of Ended.How in proto/dash.proto. */
enum report_how {
    REPORT_ADAPTER_WRITTEN = 1,
    REPORT_STOPPED = 2,
    REPORT_FAILED = 3,
    REPORT_LOST = 4, /* for lack of disk, memory or another process: another try may succeed */
};

/* Starts the thread; never waits for the network. contact: the file that names dashd
 * (proto/contact.h); NULL, or not there: no dashd, *ret_report is NULL. resumed_from: the step of
 * the checkpoint that this launch continued from, 0: none. */
int report_open(const char *contact, int resumed_from, int steps_total, struct report **ret_report,
                struct err *err);

/* Rows of earlier launches, in order, before the first report_step(); dashd gets them if it misses
 * them. */
void report_history(struct report *r, const struct step_row *rows, int n);
void report_step(struct report *r, const struct step_row *row);
void report_phase(struct report *r, int phase);
/* done of n matrices are decomposed; seconds_left at the pace so far, 0: unknown. */
void report_decomposed(struct report *r, int done, int n, double seconds_left);
/* What the user should know; UTF-8. */
void report_notice(struct report *r, const char *text);

/* dashd has said Stop: finish the step, write a checkpoint, end. */
bool report_stop_wanted(struct report *r);

/* Sends Ended behind everything else and waits until dashd has made it durable, at most timeout_ms.
 */
void report_end(struct report *r, enum report_how how, const char *reason, int timeout_ms);
void report_close(struct report *r);
