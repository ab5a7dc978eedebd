/* daemon/service/rpc.c - see rpc.h.
 *
 * Every operation given to gRPC has a struct op as its tag. The queue's thread appends completed ops to a list
 * and wakes the loop, which calls op->done. An op is part of its call (or of the server): nothing is allocated.
 *
 * A call is freed when its handler has ended it, the close has been told (RECV_CLOSE_ON_SERVER) and no
 * operation is under way.
 */
#include "daemon/service/rpc.h"
#include "proto/wire.h"
#include <grpc/grpc.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEEPALIVE_MS = 60000,
    LINGER_MS = 50,
    LINGERS_MOST = 40,
    MESSAGE_BYTES = 16 << 20,
    DETAIL_BYTES = 6000
};

struct op {
    void (*done)(struct op *op);
    void *owner;
    bool ok;
    struct op *next;
};

struct method_slot {
    const struct rpc_method *method;
    void *service;
};

struct rpc_server {
    uv_loop_t *loop;
    grpc_server *server;
    grpc_completion_queue *queue;
    struct method_slot *methods;
    int n_methods;

    uv_thread_t thread;
    bool started;
    uv_async_t *arrived; /* freed when closed */
    uv_mutex_t lock;     /* of the list, filled by the thread */
    struct op *first, **last;

    struct rpc_call *calls; /* open */
    bool stopping;
    struct op stopped;
    uv_timer_t *linger;
    int lingers;
    void (*on_stopped)(void *arg);
    void *on_stopped_arg;
};

struct outgoing {
    grpc_byte_buffer *bytes;
    struct outgoing *next;
};

struct rpc_call {
    struct rpc_server *server;
    struct method_slot slot;
    void *data;
    struct rpc_call *next, **prev;

    grpc_call *call;
    grpc_call_details details;
    grpc_metadata_array metadata;
    int cancelled;
    ProtobufCMessage *request; /* unary: lives as long as the call */
    grpc_byte_buffer *incoming;

    struct op arrived, closed, read, sent, status_sent;
    bool headers_sent, reading, sending;
    bool read_later; /* a client that streams is read when all answers to it have gone out */
    struct outgoing *first_out, **last_out;
    bool seen;     /* by the handler, who must end it */
    bool gone;     /* told to the handler, or nobody to tell */
    bool finished; /* by the handler */
    bool status_started;
    bool is_closed;
    int busy; /* callbacks under way: not to be freed */
    enum rpc_status status;
    char *text;
};

static void drain_thread(void *arg)
{
    struct rpc_server *s = arg;
    grpc_event event;
    struct op *op;

    for (;;) {
        event = grpc_completion_queue_next(s->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return;
        op = event.tag;
        op->ok = event.success;
        op->next = NULL;
        uv_mutex_lock(&s->lock);
        *s->last = op;
        s->last = &op->next;
        uv_mutex_unlock(&s->lock);
        uv_async_send(s->arrived);
    }
}

static void take_arrived(uv_async_t *handle)
{
    struct rpc_server *s = handle->data;
    struct op *op, *next;

    uv_mutex_lock(&s->lock);
    op = s->first;
    s->first = NULL;
    s->last = &s->first;
    uv_mutex_unlock(&s->lock);
    for (; op; op = next) {
        next = op->next;
        op->done(op); /* may free op */
    }
}

/* Operations on a call that is over are refused by gRPC; then the op is done at once, in vain. */
static bool start(struct rpc_call *c, const grpc_op *ops, size_t n, struct op *op)
{
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

static void tell_gone(struct rpc_call *c)
{
    if (c->gone || c->finished)
        return;
    c->gone = true;
    if (!c->seen)
        rpc_finish(c, RPC_UNAVAILABLE, "dashd is going away");
    else if (c->slot.method->on_gone)
        c->slot.method->on_gone(c);
}

static void on_closed(struct op *op)
{
    struct rpc_call *c = op->owner;

    c->is_closed = true;
    if (c->cancelled && !c->finished)
        tell_gone(c);
    else
        advance(c);
}

static void read_next(struct rpc_call *c)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

    op.data.recv_message.recv_message = &c->incoming;
    c->reading = start(c, &op, 1, &c->read);
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

static void give_message(struct rpc_call *c)
{
    ProtobufCMessage *m = NULL;
    struct err err;
    int rc;

    rc = wire_unpack(c->incoming, c->slot.method->request_type, &m, &err);
    grpc_byte_buffer_destroy(c->incoming);
    c->incoming = NULL;
    if (rc < 0) {
        if (c->seen)
            tell_gone(c);
        if (!c->finished)
            rpc_finish(c, RPC_INVALID_ARGUMENT, err.text);
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
        /* nobody wants it any more */
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

static void begin(struct rpc_call *c)
{
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    static const struct rpc_method none = {0};

    c->prev = &c->server->calls;
    c->next = c->server->calls;
    if (c->next)
        c->next->prev = &c->next;
    c->server->calls = c;
    op.data.recv_close_on_server.cancelled = &c->cancelled;
    c->slot.method = &none;
    if (!start(c, &op, 1, &c->closed)) {
        c->is_closed = true;
        c->cancelled = 1;
        rpc_finish(c, RPC_UNAVAILABLE, NULL);
    } else if (!find_method(c)) {
        rpc_finish(c, RPC_UNIMPLEMENTED, "dashd has no such method");
    } else if (c->server->stopping) {
        rpc_finish(c, RPC_UNAVAILABLE, "dashd is going away");
    } else {
        read_next(c);
    }
}

static void on_arrived(struct op *op);

static int ask_for_call(struct rpc_server *s, struct err *err)
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
    if (!c->server->stopping)
        ask_for_call(c->server, NULL);
    begin(c);
}

static grpc_arg int_arg(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *)key, .value.integer = value};
}

static grpc_server *create(void)
{
    grpc_arg args[] = {
        int_arg(GRPC_ARG_ALLOW_REUSEPORT, 0), /* a port that is taken is refused */
        int_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, MESSAGE_BYTES),
        int_arg(GRPC_ARG_KEEPALIVE_TIME_MS, KEEPALIVE_MS), /* finds clients whose machine is gone */
    };
    grpc_channel_args all = {sizeof(args) / sizeof(args[0]), args};

    return grpc_server_create(&all, NULL);
}

int rpc_open(uv_loop_t *loop, struct rpc_server **ret_server, struct err *err)
{
    struct rpc_server *s = calloc(1, sizeof(*s));

    if (!s)
        return err_nomem(err, sizeof(*s));
    s->loop = loop;
    s->last = &s->first;
    uv_mutex_init(&s->lock);
    grpc_init();
    s->server = create();
    s->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(s->server, s->queue, NULL);
    *ret_server = s;
    return 0;
}

int rpc_add_methods(struct rpc_server *s, const struct rpc_method *methods, int n, void *service,
                    struct err *err)
{
    struct method_slot *slots;
    int i;

    slots = realloc(s->methods, (size_t)(s->n_methods + n) * sizeof(*slots));
    if (!slots)
        return err_nomem(err, (size_t)(s->n_methods + n) * sizeof(*slots));
    s->methods = slots;
    for (i = 0; i < n; i++)
        s->methods[s->n_methods++] = (struct method_slot){&methods[i], service};
    return 0;
}

int rpc_listen(struct rpc_server *s, const char *address, int *ret_port, struct err *err)
{
    grpc_server_credentials *none = grpc_insecure_server_credentials_create();
    int port = grpc_server_add_http2_port(s->server, address, none);

    grpc_server_credentials_release(none);
    if (port <= 0)
        return err_set(err, ERR_IO, "%s cannot be listened on: it is in use, or not allowed",
                       address);
    *ret_port = strncmp(address, "unix:", 5) == 0 ? 0 : port;
    return 0;
}

int rpc_start(struct rpc_server *s, struct err *err)
{
    int rc;

    s->arrived = calloc(1, sizeof(*s->arrived));
    s->linger = calloc(1, sizeof(*s->linger));
    if (!s->arrived || !s->linger)
        return err_nomem(err, sizeof(*s->arrived) + sizeof(*s->linger));
    uv_async_init(s->loop, s->arrived, take_arrived);
    uv_timer_init(s->loop, s->linger);
    s->arrived->data = s->linger->data = s;
    s->started = true;
    grpc_server_start(s->server);
    rc = uv_thread_create(&s->thread, drain_thread, s);
    if (rc < 0)
        return err_set(err, ERR_IO, "no thread can be started: %s", uv_strerror(rc));
    return ask_for_call(s, err);
}

static void on_server_stopped(struct op *op)
{
    struct rpc_server *s = op->owner;

    uv_timer_stop(s->linger);
    s->on_stopped(s->on_stopped_arg);
}

/* A connection may stay open with no call on it: gRPC waits for its client unless told not to. */
static void cut_off(uv_timer_t *timer)
{
    struct rpc_server *s = timer->data;

    if (!s->calls || ++s->lingers > LINGERS_MOST)
        grpc_server_cancel_all_calls(s->server);
}

void rpc_stop(struct rpc_server *s, void (*done)(void *arg), void *arg)
{
    struct rpc_call *c, *next;

    s->stopping = true;
    s->on_stopped = done;
    s->on_stopped_arg = arg;
    s->stopped = (struct op){.done = on_server_stopped, .owner = s};
    grpc_server_shutdown_and_notify(s->server, s->queue, &s->stopped);
    for (c = s->calls; c; c = next) {
        next = c->next;
        if (!c->seen || c->slot.method->on_gone)
            tell_gone(c);
    }
    uv_timer_start(s->linger, cut_off, LINGER_MS, LINGER_MS);
}

static void free_handle(uv_handle_t *handle)
{
    free(handle);
}

void rpc_close(struct rpc_server *s)
{
    if (!s)
        return;
    if (!s->started) { /* gRPC wants a server shut down even so */
        struct op none = {0};
        grpc_server_shutdown_and_notify(s->server, s->queue, &none);
        grpc_completion_queue_next(s->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
    }
    grpc_server_destroy(s->server);
    grpc_completion_queue_shutdown(s->queue);
    if (s->started) {
        uv_thread_join(&s->thread);
        take_arrived(s->arrived); /* what gRPC gave back at the end */
        uv_close((uv_handle_t *)s->arrived, free_handle);
        uv_close((uv_handle_t *)s->linger, free_handle);
    } else {
        while (
            grpc_completion_queue_next(s->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL).type !=
            GRPC_QUEUE_SHUTDOWN)
            ;
    }
    grpc_completion_queue_destroy(s->queue);
    grpc_shutdown();
    uv_mutex_destroy(&s->lock);
    free(s->methods);
    free(s);
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

void rpc_send(struct rpc_call *call, const ProtobufCMessage *m)
{
    if (queue_message(call, m) && !call->sending && call->first_out)
        send_next(call);
}

/* What fits the 8 KiB that clients allow for a status, where bytes outside printable ASCII take three:
 * whole lines, and how many were left out. */
static char *fit_text(const char *text)
{
    size_t cost = 0, i, cut = 0;
    int left = 0;
    char *fitted;

    for (i = 0; text[i] && cost < DETAIL_BYTES; i++) {
        cost += text[i] >= 0x20 && text[i] < 0x7f && text[i] != '%' ? 1 : 3;
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
    call->finished = true;
    call->status = status;
    call->text = text ? fit_text(text) : NULL;
    advance(call);
}

void rpc_reply(struct rpc_call *call, const ProtobufCMessage *m)
{
    if (queue_message(call, m))
        rpc_finish(call, RPC_OK, NULL);
    else
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
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
    default:
        break;
    }
    rpc_finish(call, status, err->text);
}
