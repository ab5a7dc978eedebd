/* proto/message_json.c - see message_json.h: messages to JSON. */
#include "proto/message_json.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_MAX_BYTES = 128 };

static json_t *object_of(const ProtobufCMessage *m, enum message_json_form form);

static json_t *number(double value, enum message_json_form form)
{
    if (isfinite(value))
        return json_real(value);
    if (form == MESSAGE_JSON_FIELDS)
        return json_null();
    return json_string(isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
}

static json_t *wide(int64_t value, bool is_signed, enum message_json_form form)
{
    char text[24];

    if (form == MESSAGE_JSON_FIELDS)
        return json_integer(value);
    snprintf(text, sizeof(text), is_signed ? "%lld" : "%llu", (long long)value);
    return json_string(text);
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

static json_t *base64_of(const ProtobufCBinaryData *bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *text = malloc(4 * (bytes->len / 3 + 1) + 1), *to = text;
    json_t *string;
    size_t i;

    if (!text)
        return NULL;
    for (i = 0; i < bytes->len; i += 3) {
        size_t n = bytes->len - i < 3 ? bytes->len - i : 3;
        uint32_t word = (uint32_t)bytes->data[i] << 16;
        if (n > 1)
            word |= (uint32_t)bytes->data[i + 1] << 8;
        if (n > 2)
            word |= bytes->data[i + 2];
        *to++ = digits[word >> 18];
        *to++ = digits[word >> 12 & 63];
        *to++ = n > 1 ? digits[word >> 6 & 63] : '=';
        *to++ = n > 2 ? digits[word & 63] : '=';
    }
    string = json_stringn_nocheck(text, (size_t)(to - text));
    free(text);
    return string;
}

/* One value of field f, at `at`. */
static json_t *value_of(const ProtobufCFieldDescriptor *f, const void *at,
                        enum message_json_form form)
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
        return wide(*(const int64_t *)at, true, form);
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return wide(*(const int64_t *)at, false, form);
    case PROTOBUF_C_TYPE_FLOAT:
        return number(*(const float *)at, form);
    case PROTOBUF_C_TYPE_DOUBLE:
        return number(*(const double *)at, form);
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)at);
    case PROTOBUF_C_TYPE_ENUM:
        return enum_name(f->descriptor, *(const int *)at);
    case PROTOBUF_C_TYPE_STRING:
        return string_of(*(char *const *)at);
    case PROTOBUF_C_TYPE_MESSAGE:
        return object_of(*(ProtobufCMessage *const *)at, form);
    default: /* bytes */
        return form == MESSAGE_JSON_PROTO3 ? base64_of(at) : json_null();
    }
}

static size_t size_of(const ProtobufCFieldDescriptor *f)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
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

static json_t *array_of(const ProtobufCFieldDescriptor *f, const char *base,
                        enum message_json_form form)
{
    size_t n = *(const size_t *)(base + f->quantifier_offset), i;
    const char *items = *(const char *const *)(base + f->offset);
    json_t *array = json_array();

    for (i = 0; i < n; i++)
        json_array_append_new(array, value_of(f, items + i * size_of(f), form));
    return array;
}

/* What proto3's mapping leaves out. */
static bool is_default(const ProtobufCFieldDescriptor *f, const char *base)
{
    static const char zeros[16];
    const void *at = base + f->offset;
    const char *text;

    if (f->label == PROTOBUF_C_LABEL_REPEATED)
        return *(const size_t *)(base + f->quantifier_offset) == 0;
    if (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return false;
    if (f->type == PROTOBUF_C_TYPE_STRING) {
        text = *(char *const *)at;
        return !text || !text[0];
    }
    if (f->type == PROTOBUF_C_TYPE_BYTES)
        return ((const ProtobufCBinaryData *)at)->len == 0;
    return memcmp(at, zeros, size_of(f)) == 0;
}

static bool is_other_of_oneof(const ProtobufCFieldDescriptor *f, const char *base)
{
    return (f->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
           *(const uint32_t *)(base + f->quantifier_offset) != f->id;
}

static const char *key_of(const ProtobufCFieldDescriptor *f, enum message_json_form form,
                          char camel[NAME_MAX_BYTES])
{
    const char *from = f->name;
    size_t n = 0;

    if (form == MESSAGE_JSON_FIELDS)
        return from;
    for (; *from && n < NAME_MAX_BYTES - 1; from++)
        if (*from != '_')
            camel[n++] = *from;
        else if (from[1])
            camel[n++] = (char)toupper((unsigned char)*++from);
    camel[n] = '\0';
    return camel;
}

static json_t *object_of(const ProtobufCMessage *m, enum message_json_form form)
{
    const char *base = (const char *)m;
    char camel[NAME_MAX_BYTES];
    json_t *object, *value;
    unsigned i;

    if (!m)
        return json_null();
    object = json_object();
    for (i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *f = &m->descriptor->fields[i];
        if (is_other_of_oneof(f, base) || (form == MESSAGE_JSON_PROTO3 && is_default(f, base)))
            continue;
        value = f->label == PROTOBUF_C_LABEL_REPEATED ? array_of(f, base, form)
                                                      : value_of(f, base + f->offset, form);
        json_object_set_new(object, key_of(f, form, camel), value);
    }
    return object;
}

json_t *message_to_json(const ProtobufCMessage *m, enum message_json_form form)
{
    return object_of(m, form);
}
