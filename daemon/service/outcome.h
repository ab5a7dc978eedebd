/* daemon/service/outcome.h - how a job ended, read from what it left in its output folder.
 *
 *   outcome.json   {"how": "adapter_written" | "measured" | "stopped" | "failed" | "lost",
 * "reason": "..."} written by the coordinator before it exits; removed before each launch
 *   logs/job.log   everything the programs and mpirun wrote, launch after launch
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include "daemon/service/run.h"
#include <stdint.h>

/* ERR_NOT_FOUND where there is no outcome.json. Caller frees *ret_reason. */
int outcome_read(const char *output, enum run_event *ret_event, char **ret_reason, struct err *err);

int64_t outcome_log_size(const char *output); /* 0: no log */
/* How much of a log one message has, for a client that asked for that many bytes; 0: for none.
 * gRPC's clients refuse messages of more than 4 MiB. */
size_t outcome_log_bytes(uint32_t asked);
/* Appends bytes [from, from + most) of the log; *ret_next is the offset after them. from < 0: the
 * newest `most` bytes, from a line's beginning. Bytes that are not UTF-8 become '?'. No log:
 * nothing is appended. */
int outcome_read_log(const char *output, int64_t from, size_t most, struct buf *out,
                     int64_t *ret_next, struct err *err);
/* The line of this launch's log (from offset `from` on) that best explains why it ended. Caller
 * frees; NULL: none. */
char *outcome_telling_line(const char *output, int64_t from);
/* The last lines of it, for `show`. Caller frees; "" where there are none; NULL for lack of memory.
 */
char *outcome_log_tail(const char *output, int64_t from);
