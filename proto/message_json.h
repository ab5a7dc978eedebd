/* proto/message_json.h - messages as JSON, by protobuf-c's own descriptors, in two forms.
 *
 *                      MESSAGE_JSON_FIELDS (dashctl)        MESSAGE_JSON_PROTO3 (HTTP)
 *   keys               as dash.proto names fields           the same in lowerCamelCase
 *   64-bit integers    numbers                              strings
 *   default values     written; absent messages are null    left out
 *   not finite         null                                 "NaN", "Infinity", "-Infinity"
 *   enums              their names                          their names
 *   bytes              null                                 base64
 *
 * The second is proto3's JSON mapping (protobuf.dev/programming-guides/json), which libraries of
 * other languages read and write.
 */
#pragma once
#include "core/buf.h"
#include "core/err.h"
#include <jansson.h>
#include <protobuf-c/protobuf-c.h>

enum message_json_form { MESSAGE_JSON_FIELDS, MESSAGE_JSON_PROTO3 };

/* NULL for lack of memory. */
json_t *message_to_json(const ProtobufCMessage *m, enum message_json_form form);

/* The message of this type that the object stands for, in proto3's mapping; keys may be the names
 * of fields, too. ERR_INVALID names a key that the type has not, and a value of another kind.
 * Caller frees by protobuf_c_message_free_unpacked(). */
int message_from_json(const json_t *object, const ProtobufCMessageDescriptor *type,
                      ProtobufCMessage **ret_message, struct err *err);
