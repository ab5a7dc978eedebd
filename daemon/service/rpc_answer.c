/* daemon/service/rpc_answer.c - what handlers say, and what every call has, however it came. See
 * rpc.h. */
#include "daemon/service/rpc_impl.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DETAIL_BYTES = 6000 };

void rpc_link(struct rpc_call *c)
{
    c->prev = &c->server->calls;
    c->next = c->server->calls;
    if (c->next)
        c->next->prev = &c->next;
    c->server->calls = c;
}

void rpc_free(struct rpc_call *c)
{
    if (c->prev) {
        *c->prev = c->next;
        if (c->next)
            c->next->prev = c->prev;
    }
    if (c->request)
        protobuf_c_message_free_unpacked(c->request, NULL);
    free(c->text);
    free(c);
}

bool rpc_find_method(struct rpc_call *c, const char *path, size_t len)
{
    const char *known;
    int i;

    for (i = 0; i < c->server->n_methods; i++) {
        known = c->server->methods[i].method->path;
        if (strlen(known) != len || memcmp(known, path, len) != 0)
            continue;
        c->slot = c->server->methods[i];
        return true;
    }
    return false;
}

void rpc_notify_gone(struct rpc_call *c)
{
    if (c->gone || c->finished)
        return;
    c->gone = true;
    if (!c->seen)
        rpc_finish(c, RPC_UNAVAILABLE, "dashd is shutting down");
    else if (c->slot.method->on_gone)
        c->slot.method->on_gone(c);
}

void *rpc_service(const struct rpc_call *call)
{
    return call->slot.service;
}

void *rpc_data(const struct rpc_call *call)
{
    return call->data;
}

void rpc_set_data(struct rpc_call *call, void *data)
{
    call->data = data;
}

bool rpc_idle(const struct rpc_call *call)
{
    return call->transport->is_idle(call);
}

bool rpc_send(struct rpc_call *call, const ProtobufCMessage *m)
{
    if (!call->transport->queue(call, m))
        return false;
    call->transport->flush(call);
    return true;
}

/* On the wire, where bytes outside printable ASCII take three. */
static size_t cost_of(char c)
{
    return c >= 0x20 && c < 0x7f && c != '%' ? 1 : 3;
}

size_t rpc_text_cost(const char *text)
{
    size_t cost = 0;

    for (; *text; text++)
        cost += cost_of(*text);
    return cost;
}

/* What fits the 8 KiB that clients allow for a status: whole lines, and how many were left out. */
static char *fit_text(const char *text)
{
    size_t cost = 0, i, cut = 0;
    int left = 0;
    char *fitted;

    for (i = 0; text[i] && cost < DETAIL_BYTES; i++) {
        cost += cost_of(text[i]);
        if (text[i] == '\n')
            cut = i;
    }
    if (!text[i])
        return strdup(text);
    if (!cut)
        return strndup(text, i);
    for (i = cut + 1; text[i]; i++)
        left += text[i] == '\n' || !text[i + 1];
    return asprintf(&fitted, "%.*s\n... and %d more lines", (int)cut, text, left) < 0 ? NULL
                                                                                      : fitted;
}

void rpc_finish(struct rpc_call *call, enum rpc_status status, const char *text)
{
    if (call->finished)
        return;
    rpc_override_end(call, &status, &text);
    call->finished = true;
    call->status = status;
    call->text = text ? fit_text(text) : NULL;
    rpc_write_audit(call);
    if (call->server->guard.stats)
        rpc_stats_count(call->server->guard.stats,
                        call->slot.method ? call->slot.method->path : NULL, status);
    call->transport->end(call);
}

void rpc_refuse(struct rpc_call *call, const char *text, const struct rpc_violation *violations,
                int n)
{
    if (call->finished)
        return;
    call->transport->note(call, text, violations, n);
    rpc_finish(call, RPC_INVALID_ARGUMENT, text);
}

void rpc_reply(struct rpc_call *call, const ProtobufCMessage *m)
{
    if (call->transport->queue(call, m))
        rpc_finish(call, RPC_OK, NULL);
    else
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED,
                   "the call succeeded, but dashd has no memory for its answer");
}

const char *rpc_status_name(enum rpc_status status)
{
    static const char *const names[] = {[RPC_OK] = "OK",
                                        [RPC_INVALID_ARGUMENT] = "INVALID_ARGUMENT",
                                        [RPC_DEADLINE_EXCEEDED] = "DEADLINE_EXCEEDED",
                                        [RPC_NOT_FOUND] = "NOT_FOUND",
                                        [RPC_PERMISSION_DENIED] = "PERMISSION_DENIED",
                                        [RPC_RESOURCE_EXHAUSTED] = "RESOURCE_EXHAUSTED",
                                        [RPC_FAILED_PRECONDITION] = "FAILED_PRECONDITION",
                                        [RPC_ABORTED] = "ABORTED",
                                        [RPC_UNIMPLEMENTED] = "UNIMPLEMENTED",
                                        [RPC_INTERNAL] = "INTERNAL",
                                        [RPC_UNAVAILABLE] = "UNAVAILABLE",
                                        [RPC_UNAUTHENTICATED] = "UNAUTHENTICATED"};

    return names[status];
}

enum rpc_status rpc_status_of(const struct err *err)
{
    switch (err->code) {
    case ERR_INVALID:
    case ERR_UNSUPPORTED:
        return RPC_INVALID_ARGUMENT;
    case ERR_NOT_FOUND:
        return RPC_NOT_FOUND;
    case ERR_STATE:
        return RPC_FAILED_PRECONDITION;
    case ERR_NOMEM:
        return RPC_RESOURCE_EXHAUSTED;
    case ERR_DENIED:
        return RPC_PERMISSION_DENIED;
    default:
        return RPC_INTERNAL;
    }
}

void rpc_fail(struct rpc_call *call, const struct err *err)
{
    rpc_finish(call, rpc_status_of(err), err->text);
}
