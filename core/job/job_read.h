/* core/job/job_read.h - a job from the text of its file.
 *
 * Overrides ("key.path=value") win over the file, defaults fill in the rest, relative paths are
 * made absolute, and every value is checked by itself; all problems are gathered.
 */
#pragma once
#include "core/job/job.h"
#include "core/problems.h"

/* Parses `text`, which came from `file` (for messages; may be NULL) in folder `directory`
 * (absolute; relative paths are taken from there). sets holds n_sets strings "key.path=value". On
 * success the caller owns *ret_job. ERR_INVALID when problems were added; then *ret_job is
 * untouched. */
int job_parse(const char *text, const char *file, const char *directory, const char *const *sets,
              int n_sets, struct job **ret_job, struct problems *problems, struct err *err);

/* Parses what job_to_yaml() wrote: it is complete and its paths are absolute. The text of the error
 * is the first problem. */
int job_from_yaml(const char *yaml, struct job **ret_job, struct err *err);

/* As job_parse(), but where there are problems gives what could be read, with defaults for the
 * rest, so that more can be checked: name, model, output and data.train may be NULL then. */
int job_read(const char *text, const char *file, const char *directory, const char *const *sets,
             int n_sets, struct job **ret_job, struct problems *problems, struct err *err);
