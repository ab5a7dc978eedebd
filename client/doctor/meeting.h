/* client/doctor/meeting.h - the folder in which dashctl and the ranks of a probe exchange files. It
 * is created for one run and removed afterwards:
 *
 *   <folder>/.dash-doctor-XXXXXX/  word        what the ranks are to read
 *                                  job.sh      the batch script
 *                                  job.log     the output of it and the ranks
 *                                  starter     srun or mpirun
 *                                  probe.json  the ranks' results
 *                                  seen-N      written by rank N
 *                                  status      the ranks' exit status; the script's last act
 */
#pragma once
#include "core/err.h"
#include "core/slurm/script.h"
#include <stdbool.h>
#include <stddef.h>

struct meeting {
    char *path; /* absolute */
    char word[SCRIPT_MARK_LEN + 1];
};

/* Creates one below `parent`. On success the caller calls meeting_remove(). */
int meeting_create(const char *parent, struct meeting *ret, struct err *err);
void meeting_remove(struct meeting *m);

bool meeting_has(const struct meeting *m, const char *name);
/* The content of a file in it, NULL if it cannot be read; the caller frees it. */
char *meeting_read(const struct meeting *m, const char *name);
int meeting_write(const struct meeting *m, const char *name, const void *bytes, size_t len,
                  struct err *err);
