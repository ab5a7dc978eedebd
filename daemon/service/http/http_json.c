/* daemon/service/http/http_json.c - see http_json.h. */
#include "daemon/service/http/http_json.h"
#include "core/json_file.h"
#include "core/utf8.h"
#include <stdlib.h>
#include <string.h>

/* Every value but the first comes after one of these. */
static int count_values(const char *bytes, size_t len)
{
    bool in_string = false;
    int n = 1;
    size_t i;

    for (i = 0; i < len && n <= HTTP_JSON_VALUES_MAX; i++)
        if (bytes[i] == '"')
            in_string = !in_string;
        else if (in_string)
            i += bytes[i] == '\\';
        else
            n += bytes[i] == ',' || bytes[i] == '[' || bytes[i] == '{';
    return n;
}

int http_json_parse(const char *bytes, size_t len, json_t **ret, struct err *err)
{
    if (count_values(bytes, len) > HTTP_JSON_VALUES_MAX)
        return err_set(err, ERR_INVALID, "the request has more than %d values: send less at a time",
                       HTTP_JSON_VALUES_MAX);
    return json_file_parse(bytes, len, "the request", ret, err);
}

int http_json_check_type(const struct http_request *r, struct err *err)
{
    static const char json[] = "application/json";
    const char *type = http_header(r, "Content-Type");

    if (type && strncasecmp(type, json, sizeof(json) - 1) == 0)
        return 0;
    return err_set(err, ERR_INVALID, "the request's Content-Type must be application/json");
}

/* Takes over json. False for lack of memory: nothing is answered. */
static bool reply(struct http_request *r, int status, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    bool ok = text != NULL;

    if (ok)
        http_reply(r, status, "application/json", text, strlen(text));
    free(text);
    json_decref(json);
    return ok;
}

void http_json_reply(struct http_request *r, int status, json_t *json)
{
    if (!reply(r, status, json))
        http_fail(r, RPC_RESOURCE_EXHAUSTED, "dashd has no memory for its answer");
}

void http_json_error(struct http_request *r, enum rpc_status status, json_t *json)
{
    if (!reply(r, http_status_of(status), json))
        http_reply_static(r, http_status_of(status), "application/json", "{}", 2);
}

bool http_json_event(struct http_request *r, const char *before, json_t *json)
{
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    bool ok = text && http_write(r, before, strlen(before)) && http_write(r, text, strlen(text)) &&
              http_write(r, "\n\n", 2);

    free(text);
    json_decref(json);
    return ok;
}

json_t *http_json_text(const char *text)
{
    size_t len = strlen(text);
    char *valid;
    json_t *string;

    if (utf8_is_valid(text))
        return json_stringn(text, len);
    valid = strndup(text, len);
    if (!valid)
        return NULL;
    utf8_make_valid(valid, len);
    string = json_stringn(valid, len);
    free(valid);
    return string;
}
