/* daemon/service/rpc_local.c - see rpc_local.h. Nothing is queued here: an answer is the sink's at
 * once. */
#include "daemon/service/rpc_local.h"
#include "daemon/service/rpc_impl.h"
#include <stdlib.h>
#include <string.h>

static bool queue_message(struct rpc_call *c, const ProtobufCMessage *m)
{
    return c->gone || c->finished || c->sink->message(c->sink_arg, m);
}

static void flush(struct rpc_call *c)
{
    (void)c;
}

static bool is_idle(const struct rpc_call *c)
{
    return c->gone || c->sink->is_idle(c->sink_arg);
}

static void note(struct rpc_call *c, const char *text, const struct rpc_violation *v, int n)
{
    (void)text;
    if (!c->gone)
        c->sink->violations(c->sink_arg, v, n);
}

/* Whoever has the call in hand frees it. */
static void end(struct rpc_call *c)
{
    if (c->busy)
        return;
    c->sink->end(c->sink_arg, c->status, c->text);
    rpc_free(c);
}

static const struct rpc_transport by_sink = {
    .queue = queue_message, .flush = flush, .is_idle = is_idle, .note = note, .end = end};

const struct rpc_method *rpc_local_method(struct rpc_server *s, const char *path)
{
    struct rpc_call c = {.server = s};

    return rpc_find_method(&c, path, strlen(path)) ? c.slot.method : NULL;
}

static void let_go(struct rpc_call *c)
{
    c->busy--;
    if (c->finished)
        end(c);
}

int rpc_local_begin(struct rpc_server *s, const struct rpc_local *local, ProtobufCMessage *request,
                    struct rpc_call **ret_call, struct err *err)
{
    struct rpc_call *c = calloc(1, sizeof(*c));

    if (!c) {
        protobuf_c_message_free_unpacked(request, NULL);
        return err_nomem(err, sizeof(*c));
    }
    c->transport = &by_sink;
    c->server = s;
    c->sink = local->sink;
    c->sink_arg = local->sink_arg;
    c->caller = *local->caller;
    c->peer = *local->peer;
    c->arrived_ms = uv_now(s->loop);
    c->proved = c->seen = true;
    c->request = request;
    c->busy = 1;
    rpc_link(c);
    *ret_call = c;
    if (s->stopping)
        rpc_finish(c, RPC_UNAVAILABLE, "dashd is shutting down");
    else if (!rpc_find_method(c, local->path, strlen(local->path)))
        rpc_finish(c, RPC_UNIMPLEMENTED, "dashd has no such method");
    else if (rpc_has_role(c))
        c->slot.method->on_message(c, request);
    let_go(c);
    return 0;
}

void rpc_local_writable(struct rpc_call *call)
{
    call->busy++;
    if (!call->finished && !call->gone && call->slot.method->on_writable)
        call->slot.method->on_writable(call);
    let_go(call);
}

void rpc_local_gone(struct rpc_call *call)
{
    call->busy++;
    rpc_notify_gone(call);
    let_go(call);
}
