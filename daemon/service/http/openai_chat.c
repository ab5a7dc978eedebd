/* daemon/service/http/openai_chat.c - POST v1/chat/completions: a conversation, answered by a
 * process of chats.h, at once or as server-sent events. A client that goes away, or does not read,
 * ends its question.
 */
#include "core/buf.h"
#include "core/clock.h"
#include "core/json_file.h"
#include "core/random.h"
#include "daemon/service/http/http_json.h"
#include "daemon/service/http/openai.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STOPS_MAX = 4, TOP_MAX = 20, UNREAD_MAX = 1 << 20 };

struct completion {
    struct http_request *request;
    struct chat_question *question;
    char *model, id[48];
    json_int_t created;
    bool streams, usage, logprobs;
    struct buf text;     /* of one that does not stream */
    json_t *token_probs; /* likewise */
};

static void free_completion(struct completion *c)
{
    buf_free(&c->text);
    json_decref(c->token_probs);
    free(c->model);
    free(c);
}

/* ---- answers ---- */

static json_t *frame(const struct completion *c, json_t *choices)
{
    return json_pack("{s:s, s:s, s:I, s:s, s:n, s:o}", "id", c->id, "object",
                     c->streams ? "chat.completion.chunk" : "chat.completion", "created",
                     c->created, "model", c->model, "system_fingerprint", "choices", choices);
}

static json_t *probabilities(const struct completion *c, const json_t *list)
{
    if (!c->logprobs)
        return json_null();
    return json_pack("{s:O, s:n}", "content", list ? list : json_null(), "refusal");
}

static bool send_event(struct completion *c, json_t *json)
{
    return http_json_event(c->request, "data: ", json);
}

static bool send_chunk(struct completion *c, json_t *delta, json_t *probs, const char *how)
{
    json_t *chunk = frame(c, json_pack("[{s:i, s:o, s:o, s:s?}]", "index", 0, "delta", delta,
                                       "logprobs", probs, "finish_reason", how));

    if (c->usage)
        json_object_set_new(chunk, "usage", json_null());
    return send_event(c, chunk);
}

static json_t *usage_of(int prompt_tokens, int tokens)
{
    return json_pack("{s:i, s:i, s:i}", "prompt_tokens", prompt_tokens, "completion_tokens", tokens,
                     "total_tokens", prompt_tokens + tokens);
}

/* The client is let go, and its question with it. */
static void give_up(struct completion *c)
{
    struct http_request *r = c->request;

    http_set_data(r, NULL);
    chats_drop(c->question);
    http_break(r);
    free_completion(c);
}

static void begin_stream(struct completion *c)
{
    http_add_header(c->request, "X-Accel-Buffering", "no");
    http_stream(c->request, 200, "text/event-stream");
    send_chunk(c, json_pack("{s:s, s:s}", "role", "assistant", "content", ""),
               probabilities(c, NULL), NULL);
}

static void on_text(void *arg, const char *text, const json_t *logprobs)
{
    struct completion *c = arg;

    if (!c->streams) {
        buf_puts(&c->text, text);
        if (logprobs)
            json_array_extend(c->token_probs, (json_t *)logprobs);
        return;
    }
    if (!http_has_begun(c->request))
        begin_stream(c);
    if (!send_chunk(c, json_pack("{s:s}", "content", text), probabilities(c, logprobs), NULL) ||
        http_unsent(c->request) > UNREAD_MAX)
        give_up(c);
}

static void reply_whole(struct completion *c, const char *how, json_t *usage)
{
    json_t *message = json_pack("{s:s, s:s, s:n}", "role", "assistant", "content",
                                c->text.data ? c->text.data : "", "refusal");
    json_t *json =
        frame(c, json_pack("[{s:i, s:o, s:o, s:s}]", "index", 0, "message", message, "logprobs",
                           probabilities(c, c->token_probs), "finish_reason", how));

    json_object_set_new(json, "usage", usage);
    openai_reply(c->request, c->text.failed ? NULL : json);
    if (c->text.failed)
        json_decref(json);
}

static void on_end(void *arg, const char *how, int prompt_tokens, int tokens)
{
    struct completion *c = arg;
    struct http_request *r = c->request;
    json_t *usage = usage_of(prompt_tokens, tokens), *last;

    http_set_data(r, NULL);
    if (!c->streams) {
        reply_whole(c, how, usage);
        free_completion(c);
        return;
    }
    if (!http_has_begun(r))
        begin_stream(c);
    send_chunk(c, json_object(), json_null(), how);
    if (c->usage) {
        last = frame(c, json_array());
        json_object_set(last, "usage", usage);
        send_event(c, last);
    }
    json_decref(usage);
    http_write(r, "data: [DONE]\n\n", 14);
    http_end(r);
    free_completion(c);
}

static void on_fail(void *arg, enum rpc_status status, const char *text)
{
    struct completion *c = arg;
    struct http_request *r = c->request;

    http_set_data(r, NULL);
    if (!http_has_begun(r)) {
        openai_fail(r, status, text);
    } else {
        send_event(c, json_pack("{s:{s:o, s:s, s:n, s:n}}", "error", "message",
                                http_json_text(text), "type", "server_error", "param", "code"));
        http_end(r);
    }
    free_completion(c);
}

void openai_on_chat_gone(struct http_request *r)
{
    struct completion *c = http_data(r);

    if (!c)
        return;
    chats_drop(c->question);
    free_completion(c);
}

/* ---- requests ---- */

static bool in_range(struct http_request *r, const json_t *body, const char *key, double least,
                     double most)
{
    const json_t *value = json_object_get(body, key);

    if (!value || json_is_null(value))
        return true;
    if (json_is_number(value) && json_number_value(value) >= least &&
        json_number_value(value) <= most)
        return true;
    openai_refuse(r, key, "%s must be a number from %g to %g", key, least, most);
    return false;
}

static bool is_integer(struct http_request *r, const json_t *body, const char *key, double least,
                       double most)
{
    const json_t *value = json_object_get(body, key);

    if (!value || json_is_null(value) || json_is_integer(value))
        return in_range(r, body, key, least, most);
    openai_refuse(r, key, "%s must be an integer", key);
    return false;
}

static bool are_switches(struct http_request *r, const json_t *body)
{
    static const char *const keys[] = {"stream", "logprobs", "store", NULL};
    const json_t *options = json_object_get(body, "stream_options");
    int i;

    for (i = 0; keys[i]; i++) {
        const json_t *value = json_object_get(body, keys[i]);
        if (!value || json_is_null(value) || json_is_boolean(value))
            continue;
        openai_refuse(r, keys[i], "%s must be true or false", keys[i]);
        return false;
    }
    if (json_is_set(options) && !json_is_object(options))
        openai_refuse(r, "stream_options", "stream_options must be an object");
    else if (json_is_set(json_object_get(body, "top_logprobs")) &&
             !json_is_true(json_object_get(body, "logprobs")))
        openai_refuse(r, "top_logprobs", "top_logprobs needs logprobs to be true");
    else
        return true;
    return false;
}

/* What has an effect with OpenAI, and is offered for the value that has none. */
static bool is_neutral(struct http_request *r, const json_t *body)
{
    const json_t *n = json_object_get(body, "n"), *store = json_object_get(body, "store");
    const json_t *format = json_object_get(body, "response_format");
    const char *type = json_string_value(json_object_get(format, "type"));

    if (!in_range(r, body, "frequency_penalty", 0, 0) ||
        !in_range(r, body, "presence_penalty", 0, 0))
        return false;
    if (n && !json_is_null(n) && json_integer_value(n) != 1)
        openai_refuse(r, "n", "one answer is offered: n must be 1");
    else if (json_is_true(store))
        openai_refuse(r, "store", "answers are not stored here");
    else if (json_is_set(format) && (!type || strcmp(type, "text") != 0))
        openai_refuse(r, "response_format", "only text is offered");
    else
        return true;
    return false;
}

static bool check_request(struct http_request *r, const json_t *body)
{
    static const char *const known[] = {"model",
                                        "messages",
                                        "max_tokens",
                                        "temperature",
                                        "max_completion_tokens",
                                        "top_p",
                                        "seed",
                                        "stop",
                                        "stream",
                                        "stream_options",
                                        "logprobs",
                                        "top_logprobs",
                                        "n",
                                        "frequency_penalty",
                                        "presence_penalty",
                                        "response_format",
                                        "store",
                                        "user",
                                        "metadata",
                                        NULL};

    if (!openai_knows_keys(r, body, known) || !are_switches(r, body) || !is_neutral(r, body) ||
        !in_range(r, body, "temperature", 0, 2) || !in_range(r, body, "top_p", 1e-6, 1) ||
        !is_integer(r, body, "seed", -9007199254740991.0, 9007199254740991.0) ||
        !is_integer(r, body, "max_tokens", 1, 1 << 20) ||
        !is_integer(r, body, "max_completion_tokens", 1, 1 << 20) ||
        !is_integer(r, body, "top_logprobs", 0, TOP_MAX))
        return false;
    if (json_array_size(json_object_get(body, "messages")) > 0)
        return true;
    openai_refuse(r, "messages", "messages must be a list with at least one message");
    return false;
}

/* One text, or a list of at most four. NULL: refused. */
static json_t *read_stops(struct http_request *r, const json_t *body)
{
    const json_t *stop = json_object_get(body, "stop");
    json_t *list = json_array();
    bool ok = !stop || json_is_null(stop) || json_is_string(stop) ||
              (json_is_array(stop) && json_array_size(stop) <= STOPS_MAX);
    size_t i;

    if (json_is_string(stop))
        json_array_append(list, (json_t *)stop);
    for (i = 0; ok && i < json_array_size(stop); i++) {
        ok = json_is_string(json_array_get(stop, i));
        json_array_append(list, json_array_get(stop, i));
    }
    if (ok)
        return list;
    json_decref(list);
    openai_refuse(r, "stop", "stop must be a text, or a list of at most 4");
    return NULL;
}

static void copy_if_given(json_t *to, const char *key, const json_t *from, const char *from_key)
{
    json_t *value = json_object_get(from, from_key);

    if (value && !json_is_null(value))
        json_object_set(to, key, value);
}

/* What worker/chat.h has. Without a seed, answers differ. */
static json_t *make_question(const json_t *body, json_t *stops)
{
    json_t *q =
        json_pack("{s:O, s:o}", "messages", json_object_get(body, "messages"), "stop", stops);
    char hex[9];

    copy_if_given(q, "temperature", body, "temperature");
    copy_if_given(q, "top_p", body, "top_p");
    copy_if_given(q, "max_tokens", body, "max_tokens");
    copy_if_given(q, "max_tokens", body, "max_completion_tokens");
    if (random_hex(hex, 4, NULL) == 0)
        json_object_set_new(q, "seed", json_integer((json_int_t)strtoul(hex, NULL, 16)));
    copy_if_given(q, "seed", body, "seed");
    if (json_is_true(json_object_get(body, "logprobs"))) {
        json_object_set_new(q, "logprobs", json_integer(0));
        copy_if_given(q, "logprobs", body, "top_logprobs");
    }
    return q;
}

static struct completion *make_completion(struct http_request *r, const json_t *body)
{
    struct completion *c = calloc(1, sizeof(*c));
    char hex[25] = "";

    if (!c)
        return NULL;
    random_hex(hex, 12, NULL);
    snprintf(c->id, sizeof(c->id), "chatcmpl-%s", hex);
    c->request = r;
    c->created = clock_unix_ms() / 1000;
    c->model = strdup(json_string_value(json_object_get(body, "model")));
    c->streams = json_is_true(json_object_get(body, "stream"));
    c->logprobs = json_is_true(json_object_get(body, "logprobs"));
    c->usage =
        json_is_true(json_object_get(json_object_get(body, "stream_options"), "include_usage"));
    c->token_probs = json_array();
    if (c->model && c->token_probs)
        return c;
    free_completion(c);
    return NULL;
}

/* Takes over stops. */
static int ask(struct http_request *r, const json_t *body, json_t *stops, struct err *err)
{
    static const struct chat_listener listener = {on_text, on_end, on_fail};
    const struct openai *o = http_service(r);
    struct openai_model model;
    struct completion *c;
    int rc = openai_model_find(o, json_string_value(json_object_get(body, "model")), &model, err);

    if (rc < 0) {
        json_decref(stops);
        return rc;
    }
    c = make_completion(r, body);
    if (!c) {
        json_decref(stops);
        rc = err_nomem(err, sizeof(*c));
    } else {
        rc = chats_ask(o->chats, model.path, model.adapter, make_question(body, stops), &listener,
                       c, &c->question, err);
    }
    openai_model_free(&model);
    if (rc < 0 && c)
        free_completion(c);
    else if (rc == 0)
        http_set_data(r, c);
    return rc;
}

void openai_on_chat(struct http_request *r)
{
    json_t *body = openai_body(r), *stops;
    struct err err;

    if (!body)
        return;
    if (!json_is_string(json_object_get(body, "model")))
        openai_refuse(r, "model", "model must be the name of a model");
    else if (check_request(r, body) && (stops = read_stops(r, body)) &&
             ask(r, body, stops, &err) < 0)
        openai_fail(r, rpc_status_of(&err), err.text);
    json_decref(body);
}
