/* client/json.c - see json.h: protobuf-c's own descriptors list what a message holds. */
#include "client/json.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

static json_t *object_of(const ProtobufCMessage *m);

static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *enum_name(const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *named = protobuf_c_enum_descriptor_get_value(type, value);

    return named ? json_string(named->name) : json_integer(value);
}

static json_t *string_of(const char *text)
{
    json_t *string = json_string(text ? text : "");

    return string ? string : json_string("(not UTF-8)");
}

/* One value of field f, at `at`. */
static json_t *value_of(const ProtobufCFieldDescriptor *f, const void *at)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return json_integer(*(const int32_t *)at);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return json_integer(*(const uint32_t *)at);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return json_integer(*(const int64_t *)at);
    case PROTOBUF_C_TYPE_FLOAT:
        return number(*(const float *)at);
    case PROTOBUF_C_TYPE_DOUBLE:
        return number(*(const double *)at);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)at);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_name(f->descriptor, *(const int *)at);
    case PROTOBUF_C_TYPE_STRING:
        return string_of(*(char *const *)at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return object_of(*(ProtobufCMessage *const *)at);
    default: /* bytes: dash.proto has none */
        return json_null();
    }
}

static size_t size_of(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    default:
        return 4;
    }
}

static json_t *array_of(const ProtobufCFieldDescriptor *f, const char *base)
{
    size_t n = *(const size_t *)(base + f->quantifier_offset), i;
    const char *items = *(const char *const *)(base + f->offset);
    json_t *array = json_array();

    for (i = 0; i < n; i++)
        json_array_append_new(array, value_of(f, items + i * size_of(f)));
    return array;
}

static json_t *object_of(const ProtobufCMessage *m)
{
    const char *base = (const char *)m;
    json_t *object;
    unsigned i;

    if (!m)
        return json_null();
    object = json_object();
    for (i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        bool is_oneof = f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
        if (is_oneof && *(const uint32_t *)(base + f->quantifier_offset) != f->id)
            continue;
        json_object_set_new(object, f->name,
                            f->label == PROTOBUF_C_LABEL_REPEATED ? array_of(f, base)
                                                                  : value_of(f, base + f->offset));
    }
    return object;
}

void json_print(const ProtobufCMessage *m, bool pretty)
{
    json_t *object = object_of(m);

    /* A script takes any text; on a terminal nothing may act. */
    json_dumpf(object, stdout,
               (pretty ? JSON_INDENT(2) : JSON_COMPACT) |
                   (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0));
    putchar('\n');
    fflush(stdout);
    json_decref(object);
}
