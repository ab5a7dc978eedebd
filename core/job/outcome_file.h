/* core/job/outcome_file.h - outcome.json in an output folder: how a launch ended, for whoever did
 * not hear it.
 *
 *   how      adapter_written, measured (an evaluation), stopped, failed, or lost: for lack of disk,
 *            memory or another process, so that another try may succeed
 *   asked    a stop that dashd asked for
 */
#pragma once
#include "core/err.h"
#include <stdbool.h>

int outcome_write(const char *output, const char *how, bool asked, const char *reason,
                  struct err *err);
