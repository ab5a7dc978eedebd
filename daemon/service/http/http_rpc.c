/* daemon/service/http/http_rpc.c - see http_rpc.h. No method is known here by its name. */
#include "daemon/service/http/http_rpc.h"
#include "daemon/service/http/http_json.h"
#include "proto/message_json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BODY_BYTES = RPC_MESSAGE_BYTES }; /* it is read on the loop */

/* ---- one answer ---- */

static json_t *status_json(enum rpc_status status, const char *text, const struct rpc_violation *v,
                           int n)
{
    json_t *json = json_pack("{s:s}", "code", rpc_status_name(status)), *list;
    int i;

    if (status != RPC_OK)
        json_object_set_new(json, "message", http_json_text(text));
    if (n > 0) {
        list = json_array();
        for (i = 0; i < n; i++)
            json_array_append_new(list, json_pack("{s:o, s:o}", "field", http_json_text(v[i].field),
                                                  "description", http_json_text(v[i].text)));
        json_object_set_new(json, "violations", list);
    }
    return json;
}

static bool answer_one(struct http_request *r, const ProtobufCMessage *m)
{
    http_json_reply(r, 200, message_to_json(m, MESSAGE_JSON_PROTO3));
    return true;
}

static void end_one(struct http_request *r, enum rpc_status status, const char *text,
                    const struct rpc_violation *v, int n)
{
    if (status != RPC_OK)
        http_json_reply(r, http_status_of(status), status_json(status, text, v, n));
}

/* ---- a stream of events ---- */

static bool answer_event(struct http_request *r, const ProtobufCMessage *m)
{
    return http_json_event(r, "data: ", message_to_json(m, MESSAGE_JSON_PROTO3));
}

static void end_events(struct http_request *r, enum rpc_status status, const char *text,
                       const struct rpc_violation *v, int n)
{
    http_json_event(r, "event: end\ndata: ", status_json(status, text, v, n));
    http_end(r);
}

/* ---- requests ---- */

static const struct rpc_method *find_method(struct http_request *r, char *path, size_t size)
{
    const struct http_calls *calls = http_service(r);
    const struct rpc_method *method = NULL;

    if (snprintf(path, size, "/%s", http_rest(r)) < (int)size)
        method = rpc_local_method(calls->rpc, path);
    if (method && !method->client_streams)
        return method;
    http_fail(r, RPC_UNIMPLEMENTED, "dashd has no such method");
    return NULL;
}

static int read_message(const char *text, size_t len, const struct rpc_method *method,
                        ProtobufCMessage **ret, struct err *err)
{
    json_t *json = NULL;
    int rc = http_json_parse(len ? text : "{}", len ? len : 2, &json, err);

    if (rc == 0)
        rc = message_from_json(json, method->request_type, ret, err);
    json_decref(json);
    return rc;
}

static void on_post(struct http_request *r)
{
    static const struct http_view view = {answer_one, end_one};
    char path[200];
    const struct rpc_method *method = find_method(r, path, sizeof(path));
    ProtobufCMessage *message = NULL;
    const char *body;
    size_t len;
    struct err err;

    if (!method)
        return;
    if (http_json_check_type(r, &err) < 0) {
        http_fail_err(r, &err);
        return;
    }
    if (method->on_writable) { /* it sends more than one message */
        http_fail(r, RPC_UNIMPLEMENTED,
                  "this method answers by a stream: call it by GET, with ?message={...}");
        return;
    }
    body = http_body(r, &len);
    if (read_message(body, len, method, &message, &err) < 0)
        http_fail_err(r, &err);
    else
        http_call_begin(r, path, message, &view);
}

static void on_get(struct http_request *r)
{
    static const struct http_view view = {answer_event, end_events};
    const char *text = http_query(r, "message");
    char path[200];
    const struct rpc_method *method = find_method(r, path, sizeof(path));
    ProtobufCMessage *message = NULL;
    struct err err;

    if (!method)
        return;
    if (method->role != ROLE_READ) {
        http_fail(r, RPC_UNIMPLEMENTED, "this method is called by POST");
        return;
    }
    if (read_message(text ? text : "", text ? strlen(text) : 0, method, &message, &err) < 0) {
        http_fail_err(r, &err);
        return;
    }
    http_add_header(r, "X-Accel-Buffering", "no"); /* proxies pass on what there is */
    http_stream(r, 200, "text/event-stream");
    http_keep_alive(r, ": alive\n\n");
    http_call_begin(r, path, message, &view);
}

int http_rpc_register(struct http_server *server, struct http_calls *calls, struct err *err)
{
    static const struct http_route routes[] = {
        {.method = HTTP_POST,
         .path = "/rpc/",
         .body_max = BODY_BYTES,
         .done = on_post,
         .gone = http_call_gone},
        {.method = HTTP_GET,
         .path = "/rpc/",
         .done = on_get,
         .writable = http_call_writable,
         .gone = http_call_gone},
    };

    return http_add_routes(server, routes, sizeof(routes) / sizeof(routes[0]), calls, err);
}
