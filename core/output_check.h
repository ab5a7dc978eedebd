/* core/output_check.h - may a job have this output folder, as far as the disk tells? */
#pragma once
#include "core/job.h"

/* A new job's folder must be absent or empty, and can be made. A resumed one must hold the same
 * job, which must not be running. */
void output_check(const struct job *job, bool resume, struct problems *problems);
