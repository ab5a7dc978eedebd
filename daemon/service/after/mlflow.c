/* daemon/service/after/mlflow.c - see mlflow.h. */
#include "daemon/service/after/mlflow.h"
#include "core/json_file.h"
#include "core/utf8.h"
#include "daemon/service/after/web.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PARAM_MAX = 500, PARAMS_MAX = 100 };

/* ---- calls ---- */

/* The length of an address without slashes at its end. */
static size_t length_of(const char *server)
{
    size_t len = strlen(server);

    while (len && server[len - 1] == '/')
        len--;
    return len;
}

static bool is_trusted(const char *server)
{
    const char *known = getenv("MLFLOW_TRACKING_URI");
    size_t len = length_of(server);

    return known && length_of(known) == len && strncmp(known, server, len) == 0;
}

/* The answer to a call of the API, which the caller frees; takes over body (NULL: GET). *ret_status
 * is 200 or, where the server says that there is none, 404. */
static int call(const struct mlflow_report *r, const char *path, json_t *body, int *ret_status,
                json_t **ret_answer, struct err *err)
{
    char *url = NULL, bearer[600];
    bool trusted = is_trusted(r->server);
    const char *token = trusted ? getenv("MLFLOW_TRACKING_TOKEN") : NULL;
    struct web_request request = {.stop = r->stop,
                                  .user = trusted ? getenv("MLFLOW_TRACKING_USERNAME") : NULL,
                                  .password = getenv("MLFLOW_TRACKING_PASSWORD")};
    char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
    struct buf answer = {0};
    int rc = 0;

    if (asprintf(&url, "%.*s/api/2.0/mlflow/%s", (int)length_of(r->server), r->server, path) < 0) {
        url = NULL;
        rc = err_nomem(err, strlen(path));
    }
    request.url = url;
    if (token &&
        snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s", token) < (int)sizeof(bearer))
        request.headers[0] = bearer;
    request.body = text;
    if (rc == 0 && body && !text)
        rc = err_nomem(err, 1);
    if (rc == 0)
        rc = web_ask(&request, ret_status, &answer, err);
    if (rc == 0 && *ret_status != 200 && *ret_status != 404)
        rc = err_set(err, ERR_PEER, "%s answers with the status %d%s: %.300s", path, *ret_status,
                     !trusted && (*ret_status == 401 || *ret_status == 403)
                         ? " (credentials are sent only to MLFLOW_TRACKING_URI of dashd's "
                           "environment)"
                         : "",
                     answer.data ? answer.data : "");
    if (rc == 0 && answer.len)
        rc = json_file_parse(answer.data, answer.len, "its answer", ret_answer, err);
    free(url);
    free(text);
    json_decref(body);
    buf_free(&answer);
    return rc < 0 ? err_prefix(err, "MLflow at %.200s", r->server) : 0;
}

/* A call whose answer must be there. */
static int post(const struct mlflow_report *r, const char *path, json_t *body, json_t **ret_answer,
                struct err *err)
{
    int status = 0, rc = call(r, path, body, &status, ret_answer, err);

    if (rc == 0 && status != 200)
        rc = err_set(err, ERR_PEER, "MLflow at %.200s answers %s with the status %d", r->server,
                     path, status);
    return rc;
}

/* ---- the run ---- */

static int take_id(const json_t *id, char *to, size_t size, struct err *err)
{
    const char *text = json_string_value(id);

    if (text && snprintf(to, size, "%s", text) < (int)size)
        return 0;
    return err_set(err, ERR_PEER, "MLflow's answer has no ID");
}

static int find_experiment(const struct mlflow_report *r, char id[64], struct err *err)
{
    struct buf path = {0};
    json_t *answer = NULL;
    int status = 0, rc;

    buf_puts(&path, "experiments/get-by-name?experiment_name=");
    web_escape(r->experiment, &path);
    rc = path.failed ? err_nomem(err, strlen(r->experiment))
                     : call(r, path.data, NULL, &status, &answer, err);
    buf_free(&path);
    if (rc == 0 && status == 200) {
        rc = take_id(json_object_get(json_object_get(answer, "experiment"), "experiment_id"), id,
                     64, err);
    } else if (rc == 0) {
        json_decref(answer);
        answer = NULL;
        rc = post(r, "experiments/create", json_pack("{s:s}", "name", r->experiment), &answer, err);
        if (rc == 0)
            rc = take_id(json_object_get(answer, "experiment_id"), id, 64, err);
    }
    json_decref(answer);
    return rc;
}

static json_t *tags_of(const struct mlflow_report *r)
{
    return json_pack("[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}]", "key", "dash.job", "value", r->job,
                     "key", "dash.output", "value", r->output, "key", "mlflow.source.name", "value",
                     "dash");
}

static int make_run(struct mlflow_report *r, struct err *err)
{
    char experiment[64];
    json_t *answer = NULL;
    int rc = find_experiment(r, experiment, err);

    if (rc == 0)
        rc = post(r, "runs/create",
                  json_pack("{s:s, s:s, s:I, s:o}", "experiment_id", experiment, "run_name",
                            r->name, "start_time", (json_int_t)r->started_ms, "tags", tags_of(r)),
                  &answer, err);
    if (rc == 0)
        rc = take_id(
            json_object_get(json_object_get(json_object_get(answer, "run"), "info"), "run_id"),
            r->run_id, sizeof(r->run_id), err);
    json_decref(answer);
    return rc;
}

/* ---- its settings: the lines of the job file, which has one a key ---- */

static void add_param(json_t *params, const char *section, const char *line, size_t len)
{
    const char *colon = memchr(line, ':', len);
    char key[128], value[PARAM_MAX + 1];

    if (!colon || json_array_size(params) >= PARAMS_MAX)
        return;
    snprintf(key, sizeof(key), "%s%s%.*s", section, section[0] ? "." : "", (int)(colon - line),
             line);
    colon += 1 + (colon[1] == ' ');
    len = (size_t)(line + len - colon);
    if (len > 1 && colon[0] == '"' && colon[len - 1] == '"') {
        colon++;
        len -= 2;
    }
    snprintf(value, sizeof(value), "%.*s", (int)len, colon);
    value[strlen(value) - utf8_cut_bytes(value, strlen(value))] = '\0';
    if (value[0] && strcmp(value, "null") != 0)
        json_array_append_new(params, json_pack("{s:s, s:s}", "key", key, "value", value));
}

static json_t *params_of(const char *yaml)
{
    json_t *params = json_array();
    char section[64] = "";
    const char *end;

    for (; *yaml; yaml = *end ? end + 1 : end) {
        end = yaml + strcspn(yaml, "\n");
        if (*yaml == ' ' && yaml[2] != ' ') {
            add_param(params, section, yaml + 2, (size_t)(end - yaml - 2));
        } else if (*yaml != ' ' && end > yaml && end[-1] == ':') {
            snprintf(section, sizeof(section), "%.*s", (int)(end - yaml - 1), yaml);
        } else if (*yaml != ' ') {
            add_param(params, "", yaml, (size_t)(end - yaml));
        }
    }
    return params;
}

/* ---- its metrics ---- */

static void add_metric(json_t *list, const char *key, double value, int64_t ms, int step)
{
    json_array_append_new(list, json_pack("{s:s, s:f, s:I, s:i}", "key", key, "value", value,
                                          "timestamp", (json_int_t)ms, "step", step));
}

/* Steps have no time of their own: that of the sending stands for it. */
static json_t *metrics_of(const struct mlflow_report *r)
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < r->n; i++) {
        const struct step_row *s = &r->steps[i];
        add_metric(list, "loss", s->loss, r->ended_ms, s->step);
        add_metric(list, "grad_norm", s->grad_norm, r->ended_ms, s->step);
        add_metric(list, "learning_rate", s->learning_rate, r->ended_ms, s->step);
        if (s->seconds > 0)
            add_metric(list, "tokens_per_second", (double)s->tokens / s->seconds, r->ended_ms,
                       s->step);
        if (s->eval_loss > 0)
            add_metric(list, "eval_loss", s->eval_loss, r->ended_ms, s->step);
    }
    return list;
}

static int log_batch(const struct mlflow_report *r, const char *what, json_t *list, struct err *err)
{
    json_t *answer = NULL;
    int rc = 0;

    if (json_array_size(list) > 0)
        rc = post(r, "runs/log-batch", json_pack("{s:s, s:O}", "run_id", r->run_id, what, list),
                  &answer, err);
    json_decref(list);
    json_decref(answer);
    return rc;
}

static int close_run(const struct mlflow_report *r, struct err *err)
{
    json_t *answer = NULL;
    int rc = post(r, "runs/update",
                  json_pack("{s:s, s:s, s:I}", "run_id", r->run_id, "status", r->status, "end_time",
                            (json_int_t)r->ended_ms),
                  &answer, err);

    json_decref(answer);
    return rc;
}

int mlflow_send(struct mlflow_report *r, struct err *err)
{
    bool is_new = !r->run_id[0];
    int rc = is_new ? make_run(r, err) : 0;

    if (rc == 0 && is_new)
        rc = log_batch(r, "params", params_of(r->yaml), err);
    if (rc == 0)
        rc = log_batch(r, "metrics", metrics_of(r), err);
    return rc == 0 && r->status ? close_run(r, err) : rc;
}
