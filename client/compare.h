/* client/compare.h - jobs side by side on standard output. */
#pragma once
#include "report/job_result.h"

/* asked: what each job is called on the command line. As a table, or as one JSON object. */
int compare_print(const struct job_result *jobs, char *const *asked, int n, bool json,
                  struct err *err);
