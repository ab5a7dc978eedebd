/* proto/wire.c - see wire.h. protobuf-c trusts lengths: sizes and numbers of fields are limited
 * before it sees the bytes. */
#include "proto/wire.h"
#include <grpc/byte_buffer_reader.h>
#include <grpc/support/log.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

static void print_nothing(gpr_log_func_args *args)
{
    (void)args;
}

void wire_quiet(void)
{
    if (!getenv("GRPC_VERBOSITY"))
        gpr_set_log_function(print_nothing);
}

int wire_pack(const ProtobufCMessage *message, grpc_byte_buffer **ret_buffer, struct err *err)
{
    size_t len = protobuf_c_message_get_packed_size(message);
    grpc_slice slice = grpc_slice_malloc(len);
    grpc_byte_buffer *buffer;

    protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    if (!buffer)
        return err_nomem(err, len);
    *ret_buffer = buffer;
    return 0;
}

/* What one message may take while it is unpacked. */
struct budget {
    size_t left;
    bool spent;
};

static void *budget_alloc(void *data, size_t size)
{
    struct budget *b = data;

    b->spent = b->spent || size > b->left;
    if (b->spent)
        return NULL;
    b->left -= size;
    return malloc(size);
}

static void budget_free(void *data, void *pointer)
{
    (void)data;
    free(pointer);
}

int wire_unpack(grpc_byte_buffer *buffer, const ProtobufCMessageDescriptor *type, size_t max_memory,
                ProtobufCMessage **ret_message, struct err *err)
{
    struct budget budget = {max_memory ? max_memory : SIZE_MAX, false};
    ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
    grpc_byte_buffer_reader reader;
    ProtobufCMessage *message;
    grpc_slice slice;

    if (!grpc_byte_buffer_reader_init(&reader, buffer))
        return err_set(err, ERR_PEER, "a %s could not be read", type->short_name);
    slice = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    message = protobuf_c_message_unpack(type, &allocator, GRPC_SLICE_LENGTH(slice),
                                        GRPC_SLICE_START_PTR(slice));
    grpc_slice_unref(slice);
    if (!message && budget.spent)
        return err_set(err, ERR_NOMEM, "the %s has too many fields", type->name);
    if (!message)
        return err_set(err, ERR_PEER, "the bytes received are not a valid %s", type->name);
    *ret_message = message;
    return 0;
}
