/* client/download.h - one file of a job, fetched from dashd.
 *
 * It is written to a temporary file in its folder, and gets its name when all of it has come, its
 * checksum is that of the bytes that dashd has read, and it is on disk: a download that breaks
 * leaves nothing.
 */
#pragma once
#include "client/client.h"

/* Fetches `path` of the job into the file `to`, whose folder is there. *done, of `all` bytes,
 * counts for the progress that is shown on a terminal. Prints words and returns EXIT_FAILED on
 * failure. */
int download_file(struct client *c, const char *id, const char *path, const char *to,
                  uint64_t *done, uint64_t all);
