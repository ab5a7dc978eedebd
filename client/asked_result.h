/* client/asked_result.h - what a job has left, read from an output folder on this machine or
 * fetched from dashd, as the user names it. */
#pragma once
#include "client/client.h"
#include "report/job_result.h"

/* `asked` is a folder that holds job.yaml, else the ID or the name of a job. Prints words and
 * returns EXIT_FAILED on failure. job_result_free() *ret. */
int asked_result_read(struct client *c, const char *asked, bool with_directions,
                      struct job_result *ret);
