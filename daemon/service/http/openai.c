/* daemon/service/http/openai.c - see openai.h: what its views share. */
#include "daemon/service/http/openai.h"
#include "daemon/service/http/http_json.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- answers ---- */

static const char *type_of(enum rpc_status status)
{
    switch (status) {
    case RPC_UNAUTHENTICATED:
        return "authentication_error";
    case RPC_PERMISSION_DENIED:
        return "permission_error";
    case RPC_RESOURCE_EXHAUSTED:
        return "rate_limit_error";
    case RPC_INTERNAL:
    case RPC_UNAVAILABLE:
        return "server_error";
    default:
        return "invalid_request_error";
    }
}

static void fail_with(struct http_request *r, enum rpc_status status, const char *param,
                      const char *text)
{
    const char *code = status == RPC_UNAUTHENTICATED ? "invalid_api_key"
                       : status == RPC_NOT_FOUND     ? "not_found"
                                                     : NULL;

    http_json_error(r, status,
                    json_pack("{s:{s:o, s:s, s:s?, s:s?}}", "error", "message",
                              http_json_text(text), "type", type_of(status), "param", param, "code",
                              code));
}

void openai_fail(struct http_request *r, enum rpc_status status, const char *text)
{
    fail_with(r, status, NULL, text);
}

void openai_refuse(struct http_request *r, const char *param, const char *format, ...)
{
    char text[1000];
    va_list values;

    va_start(values, format);
    vsnprintf(text, sizeof(text), format, values);
    va_end(values);
    fail_with(r, RPC_INVALID_ARGUMENT, param, text);
}

void openai_reply(struct http_request *r, json_t *json)
{
    http_json_reply(r, 200, json); /* lack of memory is reported by openai_fail() */
}

json_t *openai_body(struct http_request *r)
{
    const char *body;
    json_t *json = NULL;
    size_t len;
    struct err err;

    if (http_json_check_type(r, &err) < 0) {
        openai_refuse(r, NULL, "%s", err.text);
        return NULL;
    }
    body = http_body(r, &len);
    if (http_json_parse(body, len, &json, &err) < 0) {
        openai_refuse(r, NULL, "%s", err.text);
    } else if (!json_is_object(json)) {
        json_decref(json);
        json = NULL;
        openai_refuse(r, NULL, "the request must be a JSON object");
    }
    return json;
}

bool openai_knows_keys(struct http_request *r, const json_t *object, const char *const *known)
{
    const char *key;
    json_t *value;
    int i;

    json_object_foreach((json_t *)object, key, value)
    {
        for (i = 0; known[i] && strcmp(known[i], key) != 0; i++)
            ;
        if (known[i] || json_is_null(value))
            continue;
        openai_refuse(r, key, "`%.100s` is not offered by this server", key);
        return false;
    }
    return true;
}

bool openai_read_page(struct http_request *r, int limit, int most, struct openai_page *ret)
{
    const char *text = http_query(r, "limit");
    char *end = NULL;
    long n = text ? strtol(text, &end, 10) : limit;

    if (n < 1 || n > most || (text && (end == text || *end))) {
        openai_refuse(r, "limit", "limit must be an integer from 1 to %d", most);
        return false;
    }
    *ret = (struct openai_page){(int)n, http_query(r, "after")};
    return true;
}

static const char *id_of(const json_t *item)
{
    const char *id = json_string_value(json_object_get(item, "id"));

    return id ? id : "";
}

void openai_reply_list(struct http_request *r, json_t *items, const struct openai_page *page)
{
    size_t n = json_array_size(items), from = 0, i;
    json_t *data = json_array();

    if (page->after && page->after[0]) {
        while (from < n && strcmp(id_of(json_array_get(items, from)), page->after) != 0)
            from++;
        from++;
    }
    for (i = from; i < n && i < from + (size_t)page->limit; i++)
        json_array_append(data, json_array_get(items, i));
    json_decref(items);
    openai_reply_page(r, data, from + (size_t)page->limit < n);
}

void openai_reply_page(struct http_request *r, json_t *data, bool has_more)
{
    size_t n = json_array_size(data);
    json_t *list =
        json_pack("{s:s, s:O, s:b, s:s?, s:s?}", "object", "list", "data", data, "has_more",
                  has_more, "first_id", n ? id_of(json_array_get(data, 0)) : NULL, "last_id",
                  n ? id_of(json_array_get(data, n - 1)) : NULL);
    json_decref(data);
    openai_reply(r, list);
}

int openai_open(uv_loop_t *loop, const struct options *options, struct rpc_server *rpc,
                struct runs *runs, struct openai **ret, struct err *err)
{
    struct openai *o = calloc(1, sizeof(*o));
    int rc;

    if (!o)
        return err_nomem(err, sizeof(*o));
    o->calls.rpc = rpc;
    o->runs = runs;
    o->options = options;
    rc = openai_files_open(loop, options->state, &o->files, err);
    if (rc == 0)
        rc = chats_open(loop, options->programs, options->chat_models, options->chat_silence_s,
                        &o->chats, err);
    if (rc == 0)
        rc = openai_metrics_open(loop, &o->metrics, err);
    if (rc < 0) {
        openai_close(o);
        return rc;
    }
    openai_models_open(o);
    *ret = o;
    return 0;
}

void openai_stop(struct openai *o)
{
    if (o)
        chats_stop(o->chats);
}

void openai_close(struct openai *o)
{
    if (!o)
        return;
    chats_close(o->chats);
    openai_metrics_close(o->metrics);
    openai_files_close(o->files);
    free(o);
}
