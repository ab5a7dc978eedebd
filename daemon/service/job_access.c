/* daemon/service/job_access.c - see job_access.h. Who created a job is the name that auth.h gives,
 * of which no two callers have the same. A job without one is of a dashd before there were callers.
 */
#include "daemon/service/job_access.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int job_access_find(struct rpc_call *call, struct runs *runs, const char *id, struct run **ret_run,
                    struct err *err)
{
    const struct caller *caller = rpc_caller(call);
    struct run *run = NULL;
    int rc = runs_find(runs, id, &run, err);

    if (rc < 0)
        return rc;
    rpc_set_job(call, run->row.id);
    if (rpc_changes(call) && caller->role < ROLE_ADMIN &&
        strcmp(run->row.created_by, caller->name) != 0)
        return err_set(
            err, ERR_DENIED,
            "job %ld was created by %s: only its creator and admins change it, and %s is "
            "neither",
            run->row.id, run->row.created_by[0] ? run->row.created_by : "nobody known",
            caller->name);
    *ret_run = run;
    return 0;
}

bool job_access_is_owner(const struct rpc_call *call)
{
    char own[CALLER_NAME_SIZE];

    snprintf(own, sizeof(own), "uid:%u", (unsigned)geteuid());
    return strcmp(rpc_caller(call)->name, own) == 0;
}

struct run *job_access_run(struct rpc_call *call, const char *id)
{
    struct run *run = NULL;
    struct err err;

    if (job_access_find(call, rpc_service(call), id, &run, &err) == 0)
        return run;
    rpc_fail(call, &err);
    return NULL;
}
