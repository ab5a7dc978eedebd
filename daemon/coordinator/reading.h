/* daemon/coordinator/reading.h - the data is read by a thread of its own, which gives its rows in
 * order: the first step need not wait for the last row.
 */
#pragma once
#include "core/text/dataset.h"

struct reading;

/* in->take is set here; what else it leads to is borrowed until reading_close(). */
int reading_start(const struct dataset_input *in, struct reading **ret, struct err *err);

/* Appends to d the examples that have been read, for which it waits up to timeout_ms. They may be
 * used until reading_close() or, once *ret_done, until dataset_free(): then d is what
 * dataset_load() gives. A problem of the data is an error as soon as it is found. */
int reading_take(struct reading *r, struct dataset *d, int timeout_ms, bool *ret_done,
                 struct err *err);

/* Ends the thread, at the next row. NULL-safe. */
void reading_close(struct reading *r);
