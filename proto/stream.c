/* proto/stream.c - one call: its completion queue and what is under way on it.
 *
 * At any time at most one read and one write are under way. Every operation has a tag; next_event()
 * takes one completion from the queue and notes it, and whoever waits looks at the notes. A wake is
 * an empty batch: gRPC completes it at once, from whatever thread.
 *
 * The status is always asked for at the start; once it has arrived nothing more can come.
 */
#include "proto/channel_impl.h"
#include "proto/wire.h"
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>
#include <stdlib.h>
#include <string.h>

enum tag { TAG_START, TAG_HEADERS, TAG_STATUS, TAG_READ, TAG_WRITE, TAG_WAKE };

struct stream {
    struct channel *channel; /* borrowed */
    char *method;
    const ProtobufCMessageDescriptor *reply_type;
    grpc_completion_queue *queue;
    grpc_call *call;

    bool reading, read_done;
    grpc_byte_buffer *incoming; /* NULL after read_done: the peer has no more */
    bool writing, write_ok;
    bool woken;

    grpc_metadata_array headers, trailers;
    bool ended; /* status holds */
    grpc_status_code status;
    grpc_slice details;
};

/* A tag is the address of its place here. */
static const char tag_places[TAG_WAKE + 1];

static void *tag_of(enum tag tag)
{
    return (void *)&tag_places[tag];
}

static gpr_timespec deadline_of(int timeout_ms)
{
    if (timeout_ms < 0)
        return gpr_inf_future(GPR_CLOCK_MONOTONIC);
    return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                        gpr_time_from_millis(timeout_ms, GPR_TIMESPAN));
}

static void note(struct stream *s, enum tag tag, bool ok)
{
    switch (tag) {
    case TAG_READ:
        s->reading = false;
        s->read_done = true;
        break;
    case TAG_WRITE:
        s->writing = false;
        s->write_ok = ok;
        break;
    case TAG_STATUS:
        s->ended = true;
        break;
    case TAG_WAKE:
        s->woken = true;
        break;
    case TAG_START:
    case TAG_HEADERS:
        break;
    }
}

/* False when the deadline passed first, or when the queue is shut down. */
static bool next_event(struct stream *s, gpr_timespec deadline)
{
    grpc_event event = grpc_completion_queue_next(s->queue, deadline, NULL);

    if (event.type != GRPC_OP_COMPLETE)
        return false;
    note(s, (enum tag)((const char *)event.tag - tag_places), event.success);
    return true;
}

static int start(struct stream *s, const grpc_op *ops, size_t n, enum tag tag, struct err *err)
{
    grpc_call_error rc = grpc_call_start_batch(s->call, ops, n, tag_of(tag), NULL);

    if (rc != GRPC_CALL_OK)
        return err_set(err, ERR_INTERNAL, "gRPC refuses an operation on %s: %s", s->method,
                       grpc_call_error_to_string(rc));
    return 0;
}

static int send_with(struct stream *s, grpc_op ops[3], const ProtobufCMessage *request,
                     struct err *err)
{
    grpc_byte_buffer *bytes = NULL;
    int rc;

    if (!request)
        return start(s, ops, 1, TAG_START, err);
    rc = wire_pack(request, &bytes, err);
    if (rc < 0)
        return rc;
    ops[1].op = GRPC_OP_SEND_MESSAGE;
    ops[1].data.send_message.send_message = bytes;
    ops[2].op = GRPC_OP_SEND_CLOSE_FROM_CLIENT;
    rc = start(s, ops, 3, TAG_START, err);
    grpc_byte_buffer_destroy(bytes);
    return rc;
}

/* gRPC takes references to what the metadata holds. */
static int send_request(struct stream *s, const ProtobufCMessage *request, struct err *err)
{
    grpc_op ops[3] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}};
    grpc_metadata authorization;
    int rc;

    if (!s->channel->authorization)
        return send_with(s, ops, request, err);
    authorization =
        (grpc_metadata){.key = grpc_slice_from_static_string("authorization"),
                        .value = grpc_slice_from_copied_string(s->channel->authorization)};
    ops[0].data.send_initial_metadata.count = 1;
    ops[0].data.send_initial_metadata.metadata = &authorization;
    rc = send_with(s, ops, request, err);
    grpc_slice_unref(authorization.value);
    return rc;
}

static int begin(struct stream *s, const ProtobufCMessage *request, struct err *err)
{
    grpc_op headers = {.op = GRPC_OP_RECV_INITIAL_METADATA};
    grpc_op status = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    int rc;

    headers.data.recv_initial_metadata.recv_initial_metadata = &s->headers;
    status.data.recv_status_on_client.trailing_metadata = &s->trailers;
    status.data.recv_status_on_client.status = &s->status;
    status.data.recv_status_on_client.status_details = &s->details;
    rc = send_request(s, request, err);
    if (rc == 0)
        rc = start(s, &headers, 1, TAG_HEADERS, err);
    if (rc == 0)
        rc = start(s, &status, 1, TAG_STATUS, err);
    return rc;
}

int stream_open_until(struct channel *c, const char *method, const ProtobufCMessage *request,
                      const ProtobufCMessageDescriptor *reply_type, int timeout_ms,
                      struct stream **ret_stream, struct err *err)
{
    struct stream *s = calloc(1, sizeof(*s));
    grpc_slice path;
    int rc;

    if (!s)
        return err_nomem(err, sizeof(*s));
    s->channel = c;
    s->reply_type = reply_type;
    s->details = grpc_empty_slice();
    grpc_metadata_array_init(&s->headers);
    grpc_metadata_array_init(&s->trailers);
    s->queue = grpc_completion_queue_create_for_next(NULL);
    path = grpc_slice_from_copied_string(method);
    s->call = grpc_channel_create_call(c->channel, NULL, GRPC_PROPAGATE_DEFAULTS, s->queue, path,
                                       NULL, deadline_of(timeout_ms), NULL);
    grpc_slice_unref(path);
    s->method = strdup(method);
    rc = s->method ? begin(s, request, err) : err_nomem(err, strlen(method));
    if (rc < 0) {
        stream_close(s);
        return rc;
    }
    *ret_stream = s;
    return 0;
}

int stream_open(struct channel *c, const char *method, const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *reply_type, struct stream **ret_stream,
                struct err *err)
{
    return stream_open_until(c, method, request, reply_type, -1, ret_stream, err);
}

void stream_close(struct stream *s)
{
    if (!s)
        return;
    if (!s->ended)
        grpc_call_cancel(s->call, NULL);
    grpc_completion_queue_shutdown(s->queue);
    while (next_event(s, gpr_inf_future(GPR_CLOCK_MONOTONIC)))
        ;
    if (s->incoming)
        grpc_byte_buffer_destroy(s->incoming);
    grpc_metadata_array_destroy(&s->headers);
    grpc_metadata_array_destroy(&s->trailers);
    grpc_slice_unref(s->details);
    grpc_call_unref(s->call);
    grpc_completion_queue_destroy(s->queue);
    free(s->method);
    free(s);
}

/* The peer has no more messages: what its status says. */
static int end_of(struct stream *s, struct err *err)
{
    char *details;
    int rc;

    while (!s->ended)
        if (!next_event(s, gpr_inf_future(GPR_CLOCK_MONOTONIC)))
            return err_set(err, ERR_INTERNAL, "%s ended without a status", s->method);
    if (s->status == GRPC_STATUS_OK)
        return STREAM_END;
    details = grpc_slice_to_c_string(s->details);
    rc = channel_failed(s->channel, s->method, s->status, details, err);
    gpr_free(details);
    return rc;
}

static int parse_message(struct stream *s, ProtobufCMessage **ret_message, struct err *err)
{
    int rc;

    s->read_done = false;
    if (!s->incoming) {
        rc = end_of(s, err);
        s->read_done = true; /* asked again it says the same */
        return rc;
    }
    rc = wire_unpack(s->incoming, s->reply_type, 0, ret_message, err);
    grpc_byte_buffer_destroy(s->incoming);
    s->incoming = NULL;
    return rc < 0 ? rc : STREAM_MESSAGE;
}

int stream_read(struct stream *s, int timeout_ms, ProtobufCMessage **ret_message, struct err *err)
{
    gpr_timespec deadline = deadline_of(timeout_ms);
    grpc_op receive = {.op = GRPC_OP_RECV_MESSAGE};
    int rc;

    if (!s->reading && !s->read_done) {
        receive.data.recv_message.recv_message = &s->incoming;
        rc = start(s, &receive, 1, TAG_READ, err);
        if (rc < 0)
            return rc;
        s->reading = true;
    }
    while (!s->read_done && !s->woken)
        if (!next_event(s, deadline))
            return STREAM_TIMEOUT;
    if (s->read_done)
        return parse_message(s, ret_message, err);
    s->woken = false;
    return STREAM_WOKEN;
}

int stream_write(struct stream *s, const ProtobufCMessage *message, struct err *err)
{
    grpc_op send = {.op = GRPC_OP_SEND_MESSAGE};
    grpc_byte_buffer *bytes = NULL;
    int rc;

    rc = wire_pack(message, &bytes, err);
    if (rc < 0)
        return rc;
    send.data.send_message.send_message = bytes;
    rc = start(s, &send, 1, TAG_WRITE, err);
    if (rc == 0) {
        s->writing = true;
        while (s->writing)
            next_event(s, gpr_inf_future(GPR_CLOCK_MONOTONIC));
    }
    grpc_byte_buffer_destroy(bytes);
    if (rc < 0)
        return rc;
    if (s->write_ok)
        return 0;
    rc = end_of(s, err);
    return rc == STREAM_END ? err_set(err, ERR_PEER, "the peer has ended %s", s->method) : rc;
}

void stream_wake(struct stream *s)
{
    grpc_call_start_batch(s->call, NULL, 0, tag_of(TAG_WAKE), NULL);
}

void stream_cancel(struct stream *s)
{
    grpc_call_cancel(s->call, NULL);
}
