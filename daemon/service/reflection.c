/* daemon/service/reflection.c - see reflection.h.
 *
 * The descriptor set is walked in its binary form: of descriptor.proto only these fields are
 * needed.
 *
 *   FileDescriptorSet    file = 1
 *   FileDescriptorProto  name = 1, package = 2, message_type = 4, enum_type = 5, service = 6
 *   DescriptorProto      name = 1, field = 2, nested_type = 3, enum_type = 4
 *   EnumDescriptorProto, FieldDescriptorProto   name = 1
 *   ServiceDescriptorProto   name = 1, method = 2 { name = 1 }
 */
#include "daemon/service/reflection.h"
#include "proto/descriptor_set.h"
#include "proto/reflection.pb-c.h"
#include <stdint.h>
#include <stdio.h>
#include <string.h>

struct bytes {
    const uint8_t *at;
    size_t len;
};

static bool read_varint(struct bytes *b, uint64_t *ret)
{
    uint64_t value = 0;
    int shift;

    for (shift = 0; b->len && shift < 64; shift += 7) {
        uint8_t byte = *b->at++;
        b->len--;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *ret = value;
            return true;
        }
    }
    return false;
}

/* The next field of a message; ret_value holds the bytes of those that have any. False at the end.
 */
static bool next_field(struct bytes *b, int *ret_number, struct bytes *ret_value)
{
    uint64_t key, len = 0;

    *ret_value = (struct bytes){0};
    if (!read_varint(b, &key))
        return false;
    *ret_number = (int)(key >> 3);
    switch (key & 7) {
    case 0:
        return read_varint(b, &len);
    case 1:
        len = 8;
        break;
    case 5:
        len = 4;
        break;
    case 2:
        if (!read_varint(b, &len))
            return false;
        *ret_value = (struct bytes){b->at, len};
        break;
    default:
        return false;
    }
    if (len > b->len)
        return false;
    b->at += len;
    b->len -= len;
    return true;
}

static struct bytes string_field(struct bytes message, int number)
{
    struct bytes value;
    int n;

    while (next_field(&message, &n, &value))
        if (n == number)
            return value;
    return (struct bytes){0};
}

/* If symbol continues with name, as a whole part, the rest of it after the dot; else NULL. */
static const char *after_name(const char *symbol, struct bytes name)
{
    if (!name.len)
        return symbol; /* no package */
    if (strncmp(symbol, (const char *)name.at, name.len) != 0)
        return NULL;
    symbol += name.len;
    return *symbol == '.' ? symbol + 1 : *symbol ? NULL : symbol;
}

/* Whether `symbol`, relative to here, names this thing or something in it. */
static bool holds(struct bytes thing, const char *symbol, int depth)
{
    const char *rest = after_name(symbol, string_field(thing, 1));
    struct bytes part;
    int n;

    if (!rest || depth > 16)
        return false;
    if (!*rest)
        return true;
    while (next_field(&thing, &n, &part))
        if (n >= 2 && n <= 4 && part.len && holds(part, rest, depth + 1))
            return true;
    return false;
}

static bool file_holds(struct bytes file, const char *symbol)
{
    const char *rest = after_name(symbol, string_field(file, 2));
    struct bytes part;
    int n;

    if (!rest || !*rest)
        return false;
    while (next_field(&file, &n, &part))
        if (n >= 4 && n <= 6 && holds(part, rest, 0))
            return true;
    return false;
}

static bool is_named(struct bytes file, const char *name)
{
    struct bytes is = string_field(file, 1);

    return is.len > 0 && is.len == strlen(name) && memcmp(is.at, name, is.len) == 0;
}

static bool find_file(const char *wanted, bool (*fits)(struct bytes, const char *),
                      struct bytes *ret_file)
{
    struct bytes set = {descriptor_set, descriptor_set_len}, file;
    int n;

    while (next_field(&set, &n, &file))
        if (n == 1 && fits(file, wanted)) {
            *ret_file = file;
            return true;
        }
    return false;
}

typedef Grpc__Reflection__V1alpha__ServerReflectionResponse response_message;

static void send_response(struct rpc_call *call, const response_message *response)
{
    if (!rpc_send(call, &response->base))
        rpc_finish(call, RPC_RESOURCE_EXHAUSTED, "dashd is out of memory");
}

static void send_error(struct rpc_call *call, response_message response, enum rpc_status code,
                       char *text)
{
    Grpc__Reflection__V1alpha__ErrorResponse error =
        GRPC__REFLECTION__V1ALPHA__ERROR_RESPONSE__INIT;

    error.error_code = code;
    error.error_message = text;
    response.message_response_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
    response.error_response = &error;
    send_response(call, &response);
}

static void send_file(struct rpc_call *call, response_message response, const char *wanted,
                      bool (*fits)(struct bytes, const char *))
{
    Grpc__Reflection__V1alpha__FileDescriptorResponse files =
        GRPC__REFLECTION__V1ALPHA__FILE_DESCRIPTOR_RESPONSE__INIT;
    ProtobufCBinaryData data;
    struct bytes file;

    if (!find_file(wanted, fits, &file)) {
        send_error(call, response, RPC_NOT_FOUND, "dashd has no such file or symbol");
        return;
    }
    data = (ProtobufCBinaryData){file.len, (uint8_t *)file.at};
    files.n_file_descriptor_proto = 1;
    files.file_descriptor_proto = &data;
    response.message_response_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
    response.file_descriptor_response = &files;
    send_response(call, &response);
}

enum { SERVICES_MAX = 16 };

static int list_services(char names[SERVICES_MAX][128])
{
    struct bytes set = {descriptor_set, descriptor_set_len}, file, part;
    int number, n = 0;

    while (next_field(&set, &number, &file)) {
        struct bytes package = string_field(file, 2), left = file, name;
        while (next_field(&left, &number, &part)) {
            if (number != 6 || n == SERVICES_MAX)
                continue;
            name = string_field(part, 1);
            snprintf(names[n++], 128, "%.*s.%.*s", (int)package.len, (const char *)package.at,
                     (int)name.len, (const char *)name.at);
        }
    }
    return n;
}

static void send_services(struct rpc_call *call, response_message response)
{
    Grpc__Reflection__V1alpha__ListServiceResponse list =
        GRPC__REFLECTION__V1ALPHA__LIST_SERVICE_RESPONSE__INIT;
    Grpc__Reflection__V1alpha__ServiceResponse services[SERVICES_MAX], *pointers[SERVICES_MAX];
    char names[SERVICES_MAX][128];
    int n = list_services(names), i;

    for (i = 0; i < n; i++) {
        grpc__reflection__v1alpha__service_response__init(&services[i]);
        services[i].name = names[i];
        pointers[i] = &services[i];
    }
    list.service = pointers;
    list.n_service = (size_t)n;
    response.message_response_case =
        GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
    response.list_services_response = &list;
    send_response(call, &response);
}

static void on_request(struct rpc_call *call, const ProtobufCMessage *message)
{
    Grpc__Reflection__V1alpha__ServerReflectionRequest *m =
        (Grpc__Reflection__V1alpha__ServerReflectionRequest *)message;
    response_message response = GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_RESPONSE__INIT;

    response.valid_host = m->host;
    response.original_request = m;
    switch (m->message_request_case) {
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES:
        send_services(call, response);
        break;
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME:
        send_file(call, response, m->file_by_filename, is_named);
        break;
    case GRPC__REFLECTION__V1ALPHA__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL:
        send_file(call, response, m->file_containing_symbol, file_holds);
        break;
    default:
        send_error(call, response, RPC_NOT_FOUND, "dashd's messages have no extensions");
        break;
    }
}

static void on_client_done(struct rpc_call *call)
{
    rpc_finish(call, RPC_OK, NULL);
}

static void on_gone(struct rpc_call *call)
{
    rpc_finish(call, RPC_UNAVAILABLE, "dashd is shutting down");
}

int reflection_register(struct rpc_server *server, struct err *err)
{
    static const struct rpc_method methods[] = {
        {.path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
         .role = ROLE_READ,
         .request_type = &grpc__reflection__v1alpha__server_reflection_request__descriptor,
         .client_streams = true,
         .on_message = on_request,
         .on_client_done = on_client_done,
         .on_gone = on_gone},
    };

    return rpc_add_methods(server, methods, 1, NULL, err);
}
