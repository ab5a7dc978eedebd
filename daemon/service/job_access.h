/* daemon/service/job_access.h - whose job it is.
 *
 * Everybody who may look at one job may look at all. A method that changes something
 * (rpc_changes()) changes a job only for who created it, and for admins.
 */
#pragma once
#include "daemon/service/rpc.h"
#include "daemon/service/runs.h"

/* Finds the job that a call is about, by id or name, as runs_find() does, and notes it for the
 * audit log. ERR_DENIED where it is another's and the call would change it. */
int job_access_find(struct rpc_call *call, struct runs *runs, const char *id, struct run **ret_run,
                    struct err *err);

/* The same for handlers: NULL where the call has been answered with what is wrong. */
struct run *job_access_run(struct rpc_call *call, const char *id);

/* The caller is dashd's own user, whose rights all jobs have. */
bool job_access_is_owner(const struct rpc_call *call);
