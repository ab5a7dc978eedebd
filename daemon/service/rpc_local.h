/* daemon/service/rpc_local.h - calls of the same methods that do not come by gRPC: those of the
 * HTTP port. Roles, owners, the audit log and the end of what is revoked are rpc.h's, as of every
 * call; how the caller was identified, and what becomes of the answers, is the sink's.
 *
 * A call that has begun ends exactly once, by end(); what the sink is given after gone is dropped.
 */
#pragma once
#include "daemon/service/rpc.h"

struct rpc_sink {
    /* An answer, valid until it returns. False for lack of memory. */
    bool (*message)(void *arg, const ProtobufCMessage *m);
    bool (*is_idle)(void *arg); /* all answers have gone out */
    /* The violations of a request that is refused; end() follows. */
    void (*violations)(void *arg, const struct rpc_violation *v, int n);
    /* The call is over, and gone. text may be NULL. */
    void (*end)(void *arg, enum rpc_status status, const char *text);
};

struct rpc_local {
    const char *path; /* of the method: "/dash.v1.FineTuning/GetJob" */
    const struct caller *caller;
    const struct peer *peer;
    const struct rpc_sink *sink;
    void *sink_arg;
};

/* The method of this path, or NULL. */
const struct rpc_method *rpc_local_method(struct rpc_server *s, const char *path);
/* Begins a call with the request, which it takes over; the sink may be given its end before
 * this returns. *ret_call is set first: the call, until it ends. ERR_NOMEM: nothing has begun. */
int rpc_local_begin(struct rpc_server *s, const struct rpc_local *local, ProtobufCMessage *request,
                    struct rpc_call **ret_call, struct err *err);
/* Its answers have gone out; to be called again and again, as long as it is not over. */
void rpc_local_writable(struct rpc_call *call);
/* Nobody waits for its answers any more. */
void rpc_local_gone(struct rpc_call *call);
