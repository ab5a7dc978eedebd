/* daemon/service/rpc_call.c - a call that comes by gRPC, from its arrival to its end. See rpc.h.
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

enum { STATUS_BYTES = 7400, UNPACK_BYTES = 1 << 20, REQUEST_MS = 20000, PROOF_MS = 10000 };

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
    free_outgoing(c);
    if (c->incoming)
        grpc_byte_buffer_destroy(c->incoming);
    if (c->call)
        grpc_call_unref(c->call);
    grpc_call_details_destroy(&c->details);
    grpc_metadata_array_destroy(&c->metadata);
    rpc_details_free(c->status_details);
    rpc_free(c);
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

static bool find_method(struct rpc_call *c)
{
    return rpc_find_method(c, (const char *)GRPC_SLICE_START_PTR(c->details.method),
                           GRPC_SLICE_LENGTH(c->details.method));
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
    rpc_link(c);
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

static void flush(struct rpc_call *c)
{
    if (!c->sending && c->first_out)
        send_next(c);
}

static bool is_idle(const struct rpc_call *c)
{
    return !c->sending && !c->first_out;
}

static void note(struct rpc_call *c, const char *text, const struct rpc_violation *v, int n)
{
    size_t cost = rpc_text_cost(text);

    c->status_details = rpc_details_make(v, n, cost < STATUS_BYTES ? STATUS_BYTES - cost : 0);
}

static const struct rpc_transport by_grpc = {
    .queue = queue_message, .flush = flush, .is_idle = is_idle, .note = note, .end = advance};

static void on_arrived(struct op *op);

int rpc_ask_for_call(struct rpc_server *s, struct err *err)
{
    struct rpc_call *c = calloc(1, sizeof(*c));
    grpc_call_error rc;

    if (!c)
        return err_nomem(err, sizeof(*c));
    c->server = s;
    c->transport = &by_grpc;
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
