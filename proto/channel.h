/* proto/channel.h - gRPC calls as a client makes them, over gRPC's C core.
 *
 * A channel belongs to the thread that opened it, a stream to the thread that opened it, but for
 * stream_wake() and stream_cancel(), which any thread may call while the stream is open. Nothing
 * connects before the first call; a connection that broke is made again by the next call.
 *
 * Addresses: "unix:/path" and "host:port".
 *
 * Errors: ERR_PEER means that no dashd answers or that it went away: trying again later may work.
 * The other codes carry dashd's own words: ERR_INVALID, ERR_NOT_FOUND, ERR_STATE, ERR_UNSUPPORTED,
 * ERR_DENIED, ERR_INTERNAL.
 */
#pragma once
#include "core/err.h"
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

struct channel;
struct stream;

struct channel_tls {
    const char *ca;    /* PEM: what must have signed dashd's certificate, or that one itself */
    const char *name;  /* that the certificate must have; NULL: the host of the address */
    const char *token; /* sent with each call; NULL: none */
    const char *certificate, *key; /* PEM: shown to dashd; NULL: none */
};

/* tls NULL: in plain text. Its texts are copied. */
int channel_open(const char *address, const struct channel_tls *tls, struct channel **ret_channel,
                 struct err *err);
/* Sends this token with each call from now on. It is copied. */
int channel_set_token(struct channel *c, const char *token, struct err *err);
void channel_close(struct channel *c); /* NULL-safe; close its streams first */

/* Calls a unary method ("/dash.v1.FineTuning/GetJob") and waits for the answer, at most timeout_ms.
 * On success the caller frees *ret_reply with protobuf_c_message_free_unpacked(). */
int channel_call(struct channel *c, const char *method, const ProtobufCMessage *request,
                 const ProtobufCMessageDescriptor *reply_type, int timeout_ms,
                 ProtobufCMessage **ret_reply, struct err *err);

/* The whole text of the last call or stream that failed, where err->text may have been cut. */
const char *channel_error(const struct channel *c);
/* Whether it failed since dashd does not know, or no longer knows, who calls. */
bool channel_is_unknown(const struct channel *c);
/* Whether it failed since dashd does not answer. */
bool channel_is_away(const struct channel *c);

/* Opens a streaming call. With `request` it is sent and our side closed (a stream of answers); with
 * NULL both sides stay open for stream_write() and stream_read(). */
int stream_open(struct channel *c, const char *method, const ProtobufCMessage *request,
                const ProtobufCMessageDescriptor *reply_type, struct stream **ret_stream,
                struct err *err);
/* Ends the call, whatever its state. NULL-safe. */
void stream_close(struct stream *s);

enum stream_event {
    STREAM_MESSAGE, /* *ret_message is the caller's */
    STREAM_TIMEOUT,
    STREAM_WOKEN, /* by stream_wake() */
    STREAM_END,   /* the peer ended it with status OK */
};

/* Waits for the next message, at most timeout_ms (-1: without limit). One of enum stream_event, or
 * an error when the stream broke. No message is lost by a timeout or a wake. */
int stream_read(struct stream *s, int timeout_ms, ProtobufCMessage **ret_message, struct err *err);

/* Sends a message; returns once it is on its way (it waits for a peer that reads slowly). */
int stream_write(struct stream *s, const ProtobufCMessage *message, struct err *err);

void stream_wake(struct stream *s);
void stream_cancel(struct stream *s);
