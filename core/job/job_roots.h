/* core/job/job_roots.h - a job whose paths must stay in some folders.
 *
 * A path is followed as the system follows it, links and `..` resolved, before anything of it is
 * read; of an output folder that is not there yet, the part that is. A folder's entries are looked
 * at too, since a link among them leads a reader just as far. Who can change the folders can change
 * them after the check: it is made again when the job is launched, and guards against requests, not
 * against those who may write there.
 */
#pragma once
#include "core/job/job.h"
#include "core/problems.h"

struct job_roots {
    char **paths; /* owned; absolute, links resolved */
    int n;        /* 0: anything goes */
};

/* Adds a folder, which must be there. */
int job_roots_add(struct job_roots *roots, const char *path, struct err *err);
void job_roots_free(struct job_roots *roots); /* NULL-safe */

/* Adds a problem for each path of the job that leads elsewhere. */
void job_roots_check(const struct job *job, const struct job_roots *roots,
                     struct problems *problems);

/* The same for one path of another request, which calls it `key`. read: its entries would be read,
 * too. */
void job_roots_check_path(const struct job_roots *roots, const char *key, const char *path,
                          bool read, struct problems *problems);
/* And for a file, or a pattern of them. */
void job_roots_check_files(const struct job_roots *roots, const char *key, const char *name,
                           struct problems *problems);
