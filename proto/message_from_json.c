/* proto/message_from_json.c - see message_json.h: JSON to messages. The object becomes the
 * message's bytes on the wire, which protobuf-c then unpacks: so what is allocated, checked and
 * freed is the same as of a message that came by gRPC. */
#include "proto/message_json.h"
#include "proto/varint.h"
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 16 };

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

static int put_object(const json_t *object, const ProtobufCMessageDescriptor *type, int depth,
                      struct buf *out, struct err *err);

static void put_tag(struct buf *out, const ProtobufCFieldDescriptor *f, enum wire_type type)
{
    varint_put(out, (uint64_t)f->id << 3 | type);
}

static int wrong(const ProtobufCFieldDescriptor *f, const char *what, struct err *err)
{
    return err_set(err, ERR_INVALID, "%s must be %s", f->name, what);
}

static bool is_signed(const ProtobufCFieldDescriptor *f)
{
    return f->type != PROTOBUF_C_TYPE_UINT32 && f->type != PROTOBUF_C_TYPE_UINT64;
}

static bool is_wide(const ProtobufCFieldDescriptor *f)
{
    return f->type == PROTOBUF_C_TYPE_INT64 || f->type == PROTOBUF_C_TYPE_UINT64;
}

/* Integers, also in strings, as the mapping writes those of 64 bits. */
static bool read_integer(const json_t *v, bool is_signed, uint64_t *ret)
{
    const char *text = json_string_value(v);
    char *end;

    if (json_is_integer(v)) {
        *ret = (uint64_t)json_integer_value(v);
        return is_signed || json_integer_value(v) >= 0;
    }
    if (!text || !text[0] || strchr(" \t\n\v\f\r+", text[0]) || (!is_signed && text[0] == '-'))
        return false;
    errno = 0;
    *ret = is_signed ? (uint64_t)strtoll(text, &end, 10) : strtoull(text, &end, 10);
    return errno == 0 && !*end;
}

static int put_integer(const ProtobufCFieldDescriptor *f, const json_t *v, struct buf *out,
                       struct err *err)
{
    uint64_t value = 0;

    if (!read_integer(v, is_signed(f), &value))
        return wrong(f, is_signed(f) ? "an integer" : "an integer that is not negative", err);
    if (!is_wide(f) && (is_signed(f) ? (int64_t)value != (int32_t)value : value > UINT32_MAX))
        return wrong(f, "an integer of 32 bits", err);
    put_tag(out, f, WIRE_VARINT);
    varint_put(out, value);
    return 0;
}

static int put_enum(const ProtobufCFieldDescriptor *f, const json_t *v, struct buf *out,
                    struct err *err)
{
    const char *name = json_string_value(v);
    const ProtobufCEnumValue *named =
        name ? protobuf_c_enum_descriptor_get_value_by_name(f->descriptor, name) : NULL;
    uint64_t value = 0;

    if (named)
        value = (uint64_t)named->value;
    else if (!json_is_integer(v) || !read_integer(v, true, &value) || value > INT32_MAX)
        return wrong(f, "the name of one of its values", err);
    put_tag(out, f, WIRE_VARINT);
    varint_put(out, value);
    return 0;
}

static int put_double(const ProtobufCFieldDescriptor *f, const json_t *v, struct buf *out,
                      struct err *err)
{
    double value = json_number_value(v);

    if (!json_is_number(v) || !isfinite(value))
        return wrong(f, "a number", err);
    put_tag(out, f, WIRE_64);
    buf_append(out, &value, sizeof(value));
    return 0;
}

static int put_string(const ProtobufCFieldDescriptor *f, const json_t *v, struct buf *out,
                      struct err *err)
{
    if (!json_is_string(v) || strlen(json_string_value(v)) != json_string_length(v))
        return wrong(f, "a text without NUL", err);
    put_tag(out, f, WIRE_BYTES);
    varint_put(out, json_string_length(v));
    buf_append(out, json_string_value(v), json_string_length(v));
    return 0;
}

static int put_message(const ProtobufCFieldDescriptor *f, const json_t *v, int depth,
                       struct buf *out, struct err *err)
{
    struct buf inner = {0};
    int rc = put_object(v, f->descriptor, depth + 1, &inner, err);

    if (rc < 0)
        err_prefix(err, "%s", f->name);
    put_tag(out, f, WIRE_BYTES);
    varint_put(out, inner.len);
    buf_append(out, inner.data, inner.len);
    if (inner.failed)
        out->failed = true;
    buf_free(&inner);
    return rc;
}

static int put_value(const ProtobufCFieldDescriptor *f, const json_t *v, int depth, struct buf *out,
                     struct err *err)
{
    switch (f->type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_UINT64:
        return put_integer(f, v, out, err);
    case PROTOBUF_C_TYPE_ENUM:
        return put_enum(f, v, out, err);
    case PROTOBUF_C_TYPE_BOOL:
        if (!json_is_boolean(v))
            return wrong(f, "true or false", err);
        put_tag(out, f, WIRE_VARINT);
        varint_put(out, json_is_true(v));
        return 0;
    case PROTOBUF_C_TYPE_DOUBLE:
        return put_double(f, v, out, err);
    case PROTOBUF_C_TYPE_STRING:
        return put_string(f, v, out, err);
    case PROTOBUF_C_TYPE_MESSAGE:
        return put_message(f, v, depth, out, err);
    default: /* no request has others */
        return err_set(err, ERR_UNSUPPORTED, "%s cannot be given in JSON", f->name);
    }
}

static int put_field(const ProtobufCFieldDescriptor *f, const json_t *v, int depth, struct buf *out,
                     struct err *err)
{
    size_t i;
    int rc = 0;

    if (f->label != PROTOBUF_C_LABEL_REPEATED)
        return put_value(f, v, depth, out, err);
    if (!json_is_array(v))
        return wrong(f, "a list", err);
    for (i = 0; i < json_array_size(v) && rc == 0; i++)
        rc = put_value(f, json_array_get(v, i), depth, out, err);
    return rc;
}

/* "fromStep" is from_step. */
static bool is_key(const char *name, const char *key)
{
    for (; *name && *key; name++, key++) {
        if (*name == *key)
            continue;
        if (*name != '_' || !name[1] || name[1] - 'a' + 'A' != *key)
            return false;
        name++;
    }
    return *name == *key;
}

static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type,
                                                  const char *key)
{
    unsigned i;

    for (i = 0; i < type->n_fields; i++)
        if (is_key(type->fields[i].name, key))
            return &type->fields[i];
    return NULL;
}

static int put_object(const json_t *object, const ProtobufCMessageDescriptor *type, int depth,
                      struct buf *out, struct err *err)
{
    const ProtobufCFieldDescriptor *f;
    const char *key;
    json_t *v;
    int rc = 0;

    if (!json_is_object(object) || depth > DEPTH_MAX)
        return err_set(err, ERR_INVALID, "%s must be an object", type->short_name);
    json_object_foreach((json_t *)object, key, v)
    {
        f = find_field(type, key);
        if (!f)
            return err_set(err, ERR_INVALID, "%s has no field '%.64s'", type->short_name, key);
        if (!json_is_null(v))
            rc = put_field(f, v, depth, out, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

int message_from_json(const json_t *object, const ProtobufCMessageDescriptor *type,
                      ProtobufCMessage **ret_message, struct err *err)
{
    struct buf wire = {0};
    ProtobufCMessage *m = NULL;
    int rc = put_object(object, type, 0, &wire, err);

    if (rc == 0 && !wire.failed)
        m = protobuf_c_message_unpack(type, NULL, wire.len, (const uint8_t *)wire.data);
    if (rc == 0 && !m)
        rc = err_nomem(err, wire.len);
    buf_free(&wire);
    if (rc == 0)
        *ret_message = m;
    return rc;
}
