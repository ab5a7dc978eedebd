/* daemon/coordinator/checkpoint.h - checkpoints on disk, written behind the training's back.
 *
 * Files are <folder>/step-<n>.checkpoint. One thread writes: temporary file, fsync, rename, fsync
 * of the folder; then all but the newest two, and the best of each, are removed. The training waits
 * for n before it writes down that n + 1 is done, so that a crash repeats at most one step that was
 * done.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "core/job/checkpoint_read.h"

struct checkpoint;

/* best: of the checkpoint that is continued, or 0. */
int checkpoint_open(const char *folder, int best, struct checkpoint **ret, struct err *err);
/* Takes the bytes of step `step`. *bytes is empty afterwards and has the memory of the step before,
 * whose pages are there already: new ones would take longer than what is written to them. best: the
 * step of the best state so far, whose checkpoint is kept, or 0. metrics_fd, unless -1, is synced
 * before the checkpoint gets its name. An error is that of the write before. */
int checkpoint_submit(struct checkpoint *c, int step, int best, struct buf *bytes, int metrics_fd,
                      struct err *err);
/* Waits until what was submitted is durable. */
int checkpoint_wait(struct checkpoint *c, struct err *err);
double checkpoint_seconds(struct checkpoint *c); /* that the last write took; 0: none yet */
void checkpoint_close(struct checkpoint *c);     /* NULL-safe; waits */
