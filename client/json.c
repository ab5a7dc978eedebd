/* client/json.c - see json.h. */
#include "client/json.h"
#include "proto/message_json.h"
#include <stdio.h>
#include <unistd.h>

void json_print(const ProtobufCMessage *m, bool pretty)
{
    json_t *object = message_to_json(m, MESSAGE_JSON_FIELDS);

    /* A script takes any text; on a terminal nothing may act. */
    json_dumpf(object, stdout,
               (pretty ? JSON_INDENT(2) : JSON_COMPACT) |
                   (isatty(STDOUT_FILENO) ? JSON_ENSURE_ASCII : 0));
    putchar('\n');
    fflush(stdout);
    json_decref(object);
}
