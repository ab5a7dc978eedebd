/* proto/channel_impl.h - what channel.c and stream.c share. */
#pragma once
#include "proto/channel.h"
#include <grpc/grpc.h>
#include <stdbool.h>

struct channel {
    grpc_channel *channel;
    char *address;
    bool tls;
    char *authorization;     /* sent with each call; NULL: none */
    char *error;             /* owned: channel_error() */
    grpc_status_code failed; /* of the last call or stream that failed */
};

/* Opens a call with a deadline (-1: none). */
int stream_open_until(struct channel *c, const char *method, const ProtobufCMessage *request,
                      const ProtobufCMessageDescriptor *reply_type, int timeout_ms,
                      struct stream **ret_stream, struct err *err);

/* Turns the status of a call that failed into words, kept for channel_error(). Returns the code. */
int channel_failed(struct channel *c, const char *method, grpc_status_code status,
                   const char *details, struct err *err);
