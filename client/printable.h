/* client/printable.h - text from outside, made safe for a terminal: control characters are spelled
 * out (core/utf8.h). */
#pragma once
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

/* Escapes every text of a message, in place, but those that are files (job_yaml, batch_script). */
void printable_message(ProtobufCMessage *m);
/* Prints text, with its line breaks, to `to`. */
void printable_print(FILE *to, const char *text);
