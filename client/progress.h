/* client/progress.h - the one line that `watch` redraws. */
#pragma once
#include "proto/dash.pb-c.h"
#include <stdbool.h>
#include <stddef.h>

/* Writes the line of a job, at most `columns` wide: what matters least is left out first.
 * seconds_since: since the job was heard of last, which the ETA is shortened by. */
void progress_line(const Dash__V1__Job *job, int columns, bool utf8, double seconds_since,
                   char *out, size_t size);
