/* client/json.h - messages as JSON, for scripts: keys are the field names of dash.proto, enums are
 * their names, 64-bit numbers are numbers, absent messages and numbers that are not finite are
 * null.
 */
#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>

/* Prints the message on one line (indented over several where `pretty`), and flushes. */
void json_print(const ProtobufCMessage *m, bool pretty);
