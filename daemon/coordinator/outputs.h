/* daemon/coordinator/outputs.h - what the user finds in the output folder: metrics.jsonl,
 * directions.json, adapter/, report.html, outcome.json. Everything but metrics.jsonl is written
 * durably, whole or not at all.
 */
#pragma once
#include "core/err.h"
#include "core/job/job.h"
#include "daemon/coordinator/report.h"
#include "core/job/state.h"

/* metrics.jsonl, a row a step. Rows past `step` are cut off at open (they will be made again,
 * equal); those that stay are handed back for the report: *ret_rows is the caller's. */
struct metrics {
    int fd;
    char *path;
};
int metrics_open(const char *output, int step, struct metrics *ret, struct step_row **ret_rows,
                 int *ret_n, struct err *err);
int metrics_add(struct metrics *m, const struct step_row *row, struct err *err);
void metrics_close(struct metrics *m);
/* A row, with its end, to a file that grows. */
int row_append(int fd, const char *path, const struct buf *row, struct err *err);
/* Cuts such a file behind what `keep` finds of it that belongs to steps up to `step`: *ret_kept
 * bytes. */
int rows_cut(int fd, const char *path, size_t (*keep)(const char *text, size_t len, int step),
             int step, size_t *ret_kept, struct err *err);

/* {module: {indices, delta, sigma, coefficient}} */
int write_directions(const char *output, const struct state *s, struct err *err);

/* adapter/: state_adapter(). */
int write_adapter(const struct job *job, const struct state *s, struct err *err);

/* report.html, of a job whose adapter is written: as `dashctl report FOLDER` writes it. */
int write_report(const char *output, struct err *err);

/* "stopped": core/job/outcome_file.h. */
const char *outcome_name(enum report_how how);
/* outcome.json: how this launch ended, for the batch script and for a dashd that was away. asked:
 * dashd had it stop. */
int write_outcome(const char *output, enum report_how how, bool asked, const char *reason,
                  struct err *err);
