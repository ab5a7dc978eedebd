/* daemon/service/rpc_access.c - whether a call may begin, and whether it may continue.
 *
 * Every method has a role in its row of the table (rpc.h), and this is the one place where it is
 * asked for: before the request is read. A row without a role is for admins. An open call whose
 * token is revoked or expires ends within about a second.
 *
 * What a call changed, or that it was refused, is written to the audit log when its end is known.
 */
#include "daemon/service/rpc_impl.h"
#include "core/log.h"
#include <stdio.h>
#include <string.h>

enum { BEARER_MAX = 511, LOG_EVERY_MS = 60000 };

static const char revoked_text[] =
    "the token or certificate of this call has expired, was revoked or has another role now";

static enum role needed_role(const struct rpc_method *m)
{
    if (m->is_open)
        return ROLE_NOBODY;
    return m->role ? m->role : ROLE_ADMIN;
}

bool rpc_changes(const struct rpc_call *call)
{
    return needed_role(call->slot.method) > ROLE_READ;
}

const struct caller *rpc_caller(const struct rpc_call *call)
{
    return &call->caller;
}

void rpc_set_job(struct rpc_call *call, long id)
{
    call->job = id;
}

void rpc_write_audit(const struct rpc_call *c)
{
    char job[24];
    const char *why = c->text ? c->text : "";
    struct audit_line line = {.caller = c->caller.name,
                              .peer = c->peer.address,
                              .method = c->slot.method->path,
                              .outcome = rpc_status_name(c->status),
                              .reason = c->status == RPC_OK ? NULL : why};

    if (!c->server->guard.audit || !(c->is_refused || (c->caller.name[0] && rpc_changes(c))))
        return;
    snprintf(job, sizeof(job), "%ld", c->job);
    line.job = c->job ? job : NULL;
    audit_write(c->server->guard.audit, &line);
}

/* The value of the call's `authorization`, or NULL; "" for one that no token can be. */
static const char *find_bearer(const struct rpc_call *c, char bearer[BEARER_MAX + 1])
{
    static const char key[] = "authorization";
    size_t i, len;

    for (i = 0; i < c->metadata.count; i++) {
        const grpc_metadata *m = &c->metadata.metadata[i];
        if (GRPC_SLICE_LENGTH(m->key) != sizeof(key) - 1 ||
            memcmp(GRPC_SLICE_START_PTR(m->key), key, sizeof(key) - 1) != 0)
            continue;
        len = GRPC_SLICE_LENGTH(m->value);
        if (len > BEARER_MAX)
            return "";
        memcpy(bearer, GRPC_SLICE_START_PTR(m->value), len);
        bearer[len] = '\0';
        return bearer;
    }
    return NULL;
}

static int identify(struct rpc_call *c, struct err *err)
{
    char bearer[BEARER_MAX + 1];

    if (!c->connection || !c->server->guard.auth)
        return err_set(err, ERR_DENIED, "dashd does not know who calls");
    listener_peer(c->connection, &c->peer);
    return auth_identify(c->server->guard.auth, &c->peer, find_bearer(c, bearer), &c->caller, err);
}

static void log_refusal(struct rpc_server *s, const struct peer *peer, const char *why)
{
    uint64_t now = uv_now(s->loop);

    if (s->refusal_logged_at_ms && now - s->refusal_logged_at_ms < LOG_EVERY_MS)
        return;
    s->refusal_logged_at_ms = now ? now : 1;
    log_warn("a call from %s is refused: %s", peer->address, why);
}

static void refuse(struct rpc_call *c, enum rpc_status status, const char *text)
{
    c->is_refused = true;
    rpc_finish(c, status, text);
}

void rpc_refuse_caller(struct rpc_call *c, const char *text, const char *why)
{
    log_refusal(c->server, &c->peer, why);
    listener_refused(c->server->listener, c->connection);
    refuse(c, RPC_UNAUTHENTICATED, text);
}

bool rpc_is_allowed(struct rpc_call *c)
{
    enum role needed = needed_role(c->slot.method);
    struct err err;
    int rc = identify(c, &err);

    if (rc == 0 && c->server->limits.connections.tls)
        rpc_prove(c);
    if (needed == ROLE_NOBODY)
        return true;
    if (rc < 0) {
        rpc_refuse_caller(c, err.text, "dashd does not know its caller");
        return false;
    }
    return rpc_has_role(c);
}

bool rpc_has_role(struct rpc_call *c)
{
    enum role needed = needed_role(c->slot.method);
    struct err err;

    if (auth_check_role(&c->caller, needed, &err) == 0)
        return true;
    refuse(c, RPC_PERMISSION_DENIED, err.text);
    return false;
}

static struct rpc_call *next_revoked(const struct rpc_server *s)
{
    struct rpc_call *c;

    for (c = s->calls; c; c = c->next)
        if (!c->finished && !c->gone && !auth_still_holds(s->guard.auth, &c->caller))
            return c;
    return NULL;
}

void rpc_end_revoked(struct rpc_server *s)
{
    struct rpc_call *c;

    while (s->guard.auth && (c = next_revoked(s))) {
        c->is_refused = c->is_revoked = true;
        if (c->seen)
            rpc_notify_gone(c); /* which may end other calls too */
        else
            rpc_finish(c, RPC_UNAUTHENTICATED, revoked_text);
    }
}

void rpc_override_end(const struct rpc_call *c, enum rpc_status *status, const char **text)
{
    if (!c->is_revoked)
        return;
    *status = RPC_UNAUTHENTICATED;
    *text = revoked_text;
}
