/* daemon/service/catch_up.h - the steps that a job took while no dashd listened, and no process is
 * left to report.
 *
 *   metrics.jsonl   {"step": 1, "loss": ..., "phase": "dash"}, a line a step, in their order
 *
 * It holds ten digits of what a coordinator sends whole.
 */
#pragma once
#include "daemon/service/store.h"

/* The rows of the steps (after, last], without a gap, as far as they can be read: *ret_rows is the
 * caller's. No file: none. *offset, 0 at first, is how far the file has been read: what was read
 * before is not read again, unless the file was written anew. */
int catch_up_read(const char *output, int after, int last, int64_t *offset,
                  struct step_row **ret_rows, int *ret_n, struct err *err);
