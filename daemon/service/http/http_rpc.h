/* daemon/service/http/http_rpc.h - gRPC's methods over HTTP, in proto3's JSON mapping:
 *
 *   POST rpc/dash.v1.FineTuning/GetJob      {"id": "7"}  ->  {"job": {...}}
 *   GET  rpc/dash.v1.FineTuning/WatchJob?message=%7B...   ->  text/event-stream
 *
 * Any method can be called either way that has one request. By POST, a method that answers with one
 * message has it as its body; an error has the HTTP status of its code and
 *
 *   {"code": "INVALID_ARGUMENT", "message": "...", "violations": [{"field", "description"}]}
 *
 * By GET, each message is an event `data: {...}`, and the end is an event `end` with {"code": "OK"}
 * or an error as above; `: alive` comes in between where nothing else does. By GET only methods
 * that need no more than the role read: a link changes nothing.
 */
#pragma once
#include "daemon/service/http/http_call.h"

int http_rpc_register(struct http_server *server, struct http_calls *calls, struct err *err);
