/* daemon/service/rpc_call.c - a call from its arrival to its end. See rpc.h.
 *
 * A call is freed when its handler has ended it, the close has been reported (RECV_CLOSE_ON_SERVER)
 * and no operation is under way.
 */
#include "daemon/service/rpc_impl.h"
#include "proto/wire.h"
#include <grpc/support/alloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STATUS_BYTES = 7400,
    DETAIL_BYTES = 6000,
    UNPACK_BYTES = 1 << 20,
    REQUEST_MS = 20000,
    PROOF_MS = 10000
};

/* Operations on a call that is over are refused by gRPC; then the op is done at once, without
 * effect. */
static bool start(struct rpc_call *c, const grpc_op *ops, size_t n, struct op *op)
{
    rpc_give_away(c->server);
    return grpc_call_start_batch(c->call, ops, n, op, NULL) == GRPC_CALL_OK;
}

static void free_outgoing(struct rpc_call *c)
{
    struct outgoing *out;

    while ((out = c->first_out)) {
        c->first_out = out->next;
        grpc_byte_buffer_destroy(out->bytes);
        free(out);
    }
    c->last_out = &c->first_out;
}

static void free_call(struct rpc_call *c)
{
    if (c->prev) {
        *c->prev = c->next;
        if (c->next)
            c->next->prev = c->prev;
    }
    free_outgoing(c);
    if (c->request)
        protobuf_c_message_free_unpacked(c->request, NULL);
    if (c->incoming)
        grpc_byte_buffer_destroy(c->incoming);
    if (c->call)
        grpc_call_unref(c->call);
    grpc_call_details_destroy(&c->details);
    grpc_metadata_array_destroy(&c->metadata);
    free(c->text);
    rpc_details_free(c->status_details);
    free(c);
}

static void send_next(struct rpc_call *c)
{
    struct outgoing *out = c->first_out;
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_SEND_MESSAGE}};
    size_t skip = c->headers_sent ? 1 : 0;

    c->first_out = out->next;
    if (!c->first_out)
        c->last_out = &c->first_out;
    ops[1].data.send_message.send_message = out->bytes;
    c->headers_sent = true;
    c->sending = start(c, ops + skip, 2 - skip, &c->sent);
    grpc_byte_buffer_destroy(out->bytes);
    free(out);
}

static void send_status(struct rpc_call *c)
{
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA},
                      {.op = GRPC_OP_SEND_STATUS_FROM_SERVER}};
    size_t skip = c->headers_sent ? 1 : 0;
    grpc_slice details = grpc_slice_from_copied_string(c->text ? c->text : "");

    ops[1].data.send_status_from_server.status = (grpc_status_code)c->status;
    ops[1].data.send_status_from_server.status_details = &details;
    if (c->status_details) {
        ops[1].data.send_status_from_server.trailing_metadata_count = 1;
        ops[1].data.send_status_from_server.trailing_metadata = &c->status_details->trailer;
    }
    c->headers_sent = true;
    c->status_started = true;
    c->sending = start(c, ops + skip, 2 - skip, &c->status_sent);
    grpc_slice_unref(details);
}

/* Does what can be done next. May free the call. */
static void advance(struct rpc_call *c)
{
    if (c->is_closed && c->cancelled)
        free_outgoing(c);
    while (!c->sending && c->first_out)
        send_next(c);
    if (!c->sending && c->finished && !c->status_started && !(c->is_closed && c->cancelled))
        send_status(c);
    if (c->finished && c->is_closed && !c->sending && !c->reading && !c->busy)
        free_call(c);
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

static void on_closed(struct op *op)
{
    struct rpc_call *c = op->owner;

    c->is_closed = true;
    listener_call_closed(c->server->listener, c->connection, c->cancelled && !c->finished);
    c->connection = NULL;
    if (c->cancelled && !c->finished)
        rpc_notify_gone(c);
    else
        advance(c);
}

static void read_next(struct rpc_call *c)
{
    grpc_op receive = {.op = GRPC_OP_RECV_MESSAGE};

    receive.data.recv_message.recv_message = &c->incoming;
    c->reading = start(c, &receive, 1, &c->read);
}

static void read_on(struct rpc_call *c)
{
    if (!c->read_later || c->sending || c->first_out || c->finished || c->gone)
        return;
    c->read_later = false;
    read_next(c);
}

static void on_sent(struct op *op)
{
    struct rpc_call *c = op->owner;

    c->sending = false;
    c->busy++;
    if (op->ok && !c->first_out && !c->finished && !c->gone && c->slot.method->on_writable)
        c->slot.method->on_writable(c);
    read_on(c);
    c->busy--;
    advance(c);
}

static void on_status_sent(struct op *op)
{
    struct rpc_call *c = op->owner;

    c->sending = false;
    advance(c);
}

static int check_size(const struct rpc_call *c, struct err *err)
{
    size_t max = c->slot.method->max_bytes ? (size_t)c->slot.method->max_bytes : RPC_MESSAGE_BYTES;
    size_t len = grpc_byte_buffer_length(c->incoming);

    if (len <= max)
        return 0;
    return err_set(err, ERR_NOMEM, "the request has %zu bytes; %zu is the most for this method",
                   len, max);
}

static void give_message(struct rpc_call *c)
{
    ProtobufCMessage *m = NULL;
    struct err err;
    int rc = check_size(c, &err);

    if (rc == 0)
        rc = wire_unpack(c->incoming, c->slot.method->request_type,
                         UNPACK_BYTES + 4 * grpc_byte_buffer_length(c->incoming), &m, &err);
    grpc_byte_buffer_destroy(c->incoming);
    c->incoming = NULL;
    if (rc < 0) {
        if (c->seen)
            rpc_notify_gone(c);
        if (!c->finished)
            rpc_finish(c, rc == ERR_NOMEM ? RPC_RESOURCE_EXHAUSTED : RPC_INVALID_ARGUMENT,
                       err.text);
        return;
    }
    c->seen = true;
    if (!c->slot.method->client_streams)
        c->request = m;
    c->slot.method->on_message(c, m);
    if (c->slot.method->client_streams)
        protobuf_c_message_free_unpacked(m, NULL);
}

static void on_read(struct op *op)
{
    struct rpc_call *c = op->owner;

    c->reading = false;
    c->busy++;
    if (c->finished || c->gone) {
        /* nobody reads it any more */
    } else if (c->incoming) {
        give_message(c);
        c->read_later = c->slot.method->client_streams;
        read_on(c);
    } else if (!c->seen) {
        rpc_finish(c, RPC_INVALID_ARGUMENT, "the request is missing");
    } else if (c->slot.method->on_client_done) {
        c->slot.method->on_client_done(c);
    }
    c->busy--;
    advance(c);
}

static bool is_path(grpc_slice path, const char *text)
{
    return GRPC_SLICE_LENGTH(path) == strlen(text) &&
           memcmp(GRPC_SLICE_START_PTR(path), text, strlen(text)) == 0;
}

static bool find_method(struct rpc_call *c)
{
    int i;

    for (i = 0; i < c->server->n_methods; i++)
        if (is_path(c->details.method, c->server->methods[i].method->path)) {
            c->slot = c->server->methods[i];
            return true;
        }
    return false;
}

/* gRPC calls the peer of a connection that was handed to it by its descriptor: "fd:17". */
static struct connection *find_connection(struct rpc_call *c)
{
    char *peer = grpc_call_get_peer(c->call);
    struct connection *found = NULL;
    int fd;

    if (peer && sscanf(peer, "fd:%d", &fd) == 1)
        found = listener_call_opened(c->server->listener, fd);
    gpr_free(peer);
    return found;
}

static bool is_late(const struct rpc_call *c)
{
    uint64_t age = uv_now(c->server->loop) - c->arrived_ms;

    if (c->finished || c->gone)
        return false;
    return (!c->seen && age > REQUEST_MS) ||
           (c->server->limits.connections.tls && !c->proved && age > PROOF_MS);
}

static struct rpc_call *next_late(const struct rpc_server *s)
{
    struct rpc_call *c;

    for (c = s->calls; c; c = c->next)
        if (is_late(c))
            return c;
    return NULL;
}

void rpc_end_late(struct rpc_server *s)
{
    struct rpc_call *c;

    while ((c = next_late(s)))
        if (c->seen)
            rpc_notify_gone(c); /* which may end other calls too */
        else
            rpc_finish(c, RPC_DEADLINE_EXCEEDED, "the request did not arrive in time");
}

void rpc_prove(struct rpc_call *call)
{
    call->proved = true;
    listener_prove(call->connection);
}

static void begin(struct rpc_call *c)
{
    grpc_op close = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    static const struct rpc_method none = {0};

    c->arrived_ms = uv_now(c->server->loop);
    c->connection = find_connection(c);
    c->prev = &c->server->calls;
    c->next = c->server->calls;
    if (c->next)
        c->next->prev = &c->next;
    c->server->calls = c;
    close.data.recv_close_on_server.cancelled = &c->cancelled;
    c->slot.method = &none;
    if (!start(c, &close, 1, &c->closed)) {
        c->is_closed = true;
        c->cancelled = 1;
        listener_call_closed(c->server->listener, c->connection, false);
        c->connection = NULL;
        rpc_finish(c, RPC_UNAVAILABLE, NULL);
    } else if (!find_method(c)) {
        rpc_finish(c, RPC_UNIMPLEMENTED, "dashd has no such method");
    } else if (c->server->stopping) {
        rpc_finish(c, RPC_UNAVAILABLE, "dashd is shutting down");
    } else if (rpc_is_allowed(c)) {
        read_next(c);
    }
}

static void on_arrived(struct op *op);

int rpc_ask_for_call(struct rpc_server *s, struct err *err)
{
    struct rpc_call *c = calloc(1, sizeof(*c));
    grpc_call_error rc;

    if (!c)
        return err_nomem(err, sizeof(*c));
    c->server = s;
    c->last_out = &c->first_out;
    grpc_call_details_init(&c->details);
    grpc_metadata_array_init(&c->metadata);
    c->arrived = (struct op){.done = on_arrived, .owner = c};
    c->closed = (struct op){.done = on_closed, .owner = c};
    c->read = (struct op){.done = on_read, .owner = c};
    c->sent = (struct op){.done = on_sent, .owner = c};
    c->status_sent = (struct op){.done = on_status_sent, .owner = c};
    rpc_give_away(s);
    rc = grpc_server_request_call(s->server, &c->call, &c->details, &c->metadata, s->queue,
                                  s->queue, &c->arrived);
    if (rc != GRPC_CALL_OK) {
        free_call(c);
        return err_set(err, ERR_INTERNAL, "gRPC takes no calls: %s", grpc_call_error_to_string(rc));
    }
    return 0;
}

static void on_arrived(struct op *op)
{
    struct rpc_call *c = op->owner;

    if (!op->ok) { /* the server stops */
        free_call(c);
        return;
    }
    rpc_keep_asking(c->server);
    begin(c);
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
    return !call->sending && !call->first_out;
}

/* Queues without sending: whoever calls this calls advance() after. */
static bool queue_message(struct rpc_call *c, const ProtobufCMessage *m)
{
    struct outgoing *out;

    if (c->gone || c->finished || (c->is_closed && c->cancelled))
        return true;
    out = calloc(1, sizeof(*out));
    if (!out || wire_pack(m, &out->bytes, NULL) < 0) {
        free(out);
        return false;
    }
    *c->last_out = out;
    c->last_out = &out->next;
    return true;
}

bool rpc_send(struct rpc_call *call, const ProtobufCMessage *m)
{
    if (!queue_message(call, m))
        return false;
    if (!call->sending && call->first_out)
        send_next(call);
    return true;
}

/* On the wire, where bytes outside printable ASCII take three. */
static size_t cost_of(char c)
{
    return c >= 0x20 && c < 0x7f && c != '%' ? 1 : 3;
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
    advance(call);
}

void rpc_refuse(struct rpc_call *call, const char *text, const struct rpc_violation *violations,
                int n)
{
    size_t room = STATUS_BYTES, i;

    if (call->finished)
        return;
    for (i = 0; text[i] && room > 0; i++)
        room -= room < cost_of(text[i]) ? room : cost_of(text[i]);
    call->status_details = rpc_details_make(violations, n, room);
    rpc_finish(call, RPC_INVALID_ARGUMENT, text);
}

void rpc_reply(struct rpc_call *call, const ProtobufCMessage *m)
{
    if (queue_message(call, m))
        rpc_finish(call, RPC_OK, NULL);
    else
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED,
                   "the call succeeded, but dashd has no memory for its answer");
}

void rpc_fail(struct rpc_call *call, const struct err *err)
{
    enum rpc_status status = RPC_INTERNAL;

    switch (err->code) {
    case ERR_INVALID:
    case ERR_UNSUPPORTED:
        status = RPC_INVALID_ARGUMENT;
        break;
    case ERR_NOT_FOUND:
        status = RPC_NOT_FOUND;
        break;
    case ERR_STATE:
        status = RPC_FAILED_PRECONDITION;
        break;
    case ERR_NOMEM:
        status = RPC_RESOURCE_EXHAUSTED;
        break;
    case ERR_DENIED:
        status = RPC_PERMISSION_DENIED;
        break;
    default:
        break;
    }
    rpc_finish(call, status, err->text);
}
