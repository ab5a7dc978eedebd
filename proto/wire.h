/* proto/wire.h - protobuf-c messages as gRPC's byte buffers, for the two files that speak gRPC:
 * proto/channel (and its stream) and daemon/service/rpc.
 */
#pragma once
#include "core/err.h"
#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <protobuf-c/protobuf-c.h>

/* Before grpc_init(): what gRPC itself would print to stderr is left out, for what matters of it
 * comes as a status. GRPC_VERBOSITY brings it back. */
void wire_quiet(void);

/* Caller destroys the buffer. */
int wire_pack(const ProtobufCMessage *message, grpc_byte_buffer **ret_buffer, struct err *err);
/* ERR_PEER when the bytes are not such a message; ERR_NOMEM when it would take more than max_memory
 * bytes (0: no limit), as a few bytes can become many fields. */
int wire_unpack(grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *type, size_t max_memory,
                ProtobufCMessage **ret_message, struct err *err);
