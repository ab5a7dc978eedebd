/* daemon/service/http/http_json.h - JSON that strangers to the loop send, and words for them.
 *
 * A request is read on the loop, so what it may cost is bounded by its number of values, too: four
 * megabytes of "{},{},..." would take a gigabyte and a second.
 */
#pragma once
#include "core/err.h"
#include <jansson.h>

enum { HTTP_JSON_VALUES_MAX = 20000 };

/* The body of a request; the caller frees *ret. */
int http_json_parse(const char *bytes, size_t len, json_t **ret, struct err *err);
/* A text as a string, whatever its bytes are: messages quote what was sent, and may be cut within a
 * character. NULL: no memory. */
json_t *http_json_text(const char *text);
