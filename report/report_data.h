/* report/report_data.h - a job as the data of a report (web/report.js): its steps in columns, its
 * directions, and sentences about what had to be left out so that the file stays small.
 */
#pragma once
#include "report/job_result.h"

/* The most steps that one job of n_jobs shows. */
int report_steps_max(int n_jobs);

/* An object of web/report.js, which the caller json_decref()s; NULL for lack of memory. */
json_t *report_job(const struct job_result *job, int n_jobs);
