/* report/report_page.h - a page in one file: the plots of web/ and the data that they show. */
#pragma once
#include "report/job_result.h"
#include <stddef.h>

/* Made of web/ by report/CMakeLists.txt. */
extern const unsigned char report_script[], report_style[];
extern const size_t report_script_len, report_style_len;

enum { REPORT_BYTES_MAX = 2000000 };

/* Writes the page of one job, or of n that are compared, durably, whole or not at all. The same
 * files of the jobs give the same bytes. */
int report_write(const char *path, const struct job_result *jobs, int n, struct err *err);
