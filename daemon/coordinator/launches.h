/* daemon/coordinator/launches.h - launches.jsonl in the output folder: where a job was interrupted,
 * and why, for those who look at its curves (the page, report.html). Nothing else reads it.
 *
 *   {"launch": 2, "after_step": 40, "time_ms": ..., "why": "a worker ..."}    when a launch begins
 *   {"launch": 2, "ended": "stopped", "reason": "stopped after step 60"}      when it ends in order
 *
 * after_step: of the checkpoint that it continues from, 0: none. why: how the launch before ended,
 * by its own line, else as dashd says.
 */
#pragma once
#include "core/err.h"

/* died: how a launch ended that had done died_at steps, as dashd says; NULL: not known.
 * *ret_launch: the number of this launch, for launches_end(); 0: the file has no room for more, and
 * nothing is written. */
int launches_begin(const char *output, int after_step, const char *died, int died_at,
                   int *ret_launch, struct err *err);
/* Does nothing for launch 0. */
int launches_end(const char *output, int launch, const char *ended, const char *reason,
                 struct err *err);
