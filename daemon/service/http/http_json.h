/* daemon/service/http/http_json.h - JSON that strangers to the loop send, and words for them.
 *
 * A request is read on the loop, so what it may cost is bounded by its number of values, too: four
 * megabytes of "{},{},..." would take a gigabyte and a second.
 */
#pragma once
#include "core/err.h"
#include "daemon/service/http/http.h"
#include <jansson.h>

enum { HTTP_JSON_VALUES_MAX = 20000 };

/* The body of a request; the caller frees *ret. */
int http_json_parse(const char *bytes, size_t len, json_t **ret, struct err *err);
/* ERR_INVALID unless the request says that its body is JSON, which a form of another site cannot.
 */
int http_json_check_type(const struct http_request *r, struct err *err);

/* Answers with json, which is taken over; NULL: there is no memory for it, which is answered. */
void http_json_reply(struct http_request *r, int status, json_t *json);
/* The same of an error, which is answered as {} where there is no memory. */
void http_json_error(struct http_request *r, enum rpc_status status, json_t *json);
/* Writes `before`, json, which is taken over, and the end of a server-sent event. False for lack of
 * memory. */
bool http_json_event(struct http_request *r, const char *before, json_t *json);

/* A text as a string, whatever its bytes are: messages quote what was sent, and may be cut within a
 * character. NULL: no memory. */
json_t *http_json_text(const char *text);
