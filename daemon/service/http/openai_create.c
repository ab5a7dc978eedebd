/* daemon/service/http/openai_create.c - a fine-tuning job's parameters as a job file, and as the
 * labels by which the job says them again. Parameters that are not offered, or change nothing here,
 * are refused. */
#include "core/random.h"
#include "daemon/service/http/openai.h"
#include "daemon/service/labels.h"
#include "daemon/service/tokens.h"
#include "proto/dash.pb-c.h"
#include "proto/message_json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUFFIX_MAX = 64,
    METADATA_MAX = 16,
    DEFAULT_EPOCHS = 3,
    DEFAULT_BATCH = 16,
    PRELAUNCH_MAX = 100, /* the job file's default */
    PRELAUNCH_SHARE = 3  /* of a short job, a third comes before the directions */
};

#define LEARNING_RATE                                                                              \
    2e-4 /* of which learning_rate_multiplier is a multiple: the job file's default */

struct creation {
    struct http_request *r;
    struct openai *o;
    const json_t *body, *hyper; /* hyper NULL: none given */
    struct openai_model model;
    json_t *job, *labels;
    int64_t rows; /* of the training file */
};

static bool refuse(struct creation *c, const char *param, const char *text)
{
    openai_refuse(c->r, param, "%s: %s", param, text);
    return false;
}

static void add_label(struct creation *c, const char *name, const char *value)
{
    json_array_append_new(c->labels, json_pack("{s:s, s:s}", "name", name, "value", value));
}

static const json_t *given(const json_t *o, const char *key)
{
    const json_t *value = json_object_get(o, key);

    return json_is_null(value) ? NULL : value;
}

/* ---- the model and the files ---- */

static bool read_model(struct creation *c)
{
    const char *name = json_string_value(json_object_get(c->body, "model"));
    struct err err;

    if (!name)
        return refuse(c, "model", "must be the name of a model");
    if (openai_model_find(c->o, name, &c->model, &err) < 0) {
        openai_fail(c->r, rpc_status_of(&err), err.text);
        return false;
    }
    json_object_set_new(c->job, "model", json_string(c->model.path));
    if (c->model.adapter)
        json_object_set_new(c->job, "lora", json_pack("{s:s}", "init_adapter", c->model.adapter));
    add_label(c, "openai.model", name);
    return true;
}

static bool read_file(struct creation *c, const char *param, const char *key, const char *label,
                      json_t *data)
{
    const json_t *value = given(c->body, param);
    const char *id = json_string_value(value);
    const struct openai_file *file =
        id ? openai_files_find(c->o->files, http_caller(c->r), id) : NULL;
    char *path;

    if (!value && strcmp(key, "eval") == 0)
        return true;
    if (!file)
        return refuse(c, param, "must be the id of an uploaded file");
    path = openai_files_path(c->o->files, id);
    json_object_set_new(data, key, json_string(path ? path : ""));
    free(path);
    add_label(c, label, id);
    if (strcmp(key, "train") == 0)
        c->rows = file->rows;
    return true;
}

static bool read_data(struct creation *c)
{
    json_t *data = json_object();

    json_object_set_new(c->job, "data", data);
    return read_file(c, "training_file", "train", "openai.training_file", data) &&
           read_file(c, "validation_file", "eval", "openai.validation_file", data);
}

/* ---- numbers ---- */

/* A hyperparameter, or `otherwise` where it is not given or "auto". */
static bool read_number(struct creation *c, const char *param, double otherwise, bool whole,
                        double *ret)
{
    const json_t *value = given(c->hyper, param);
    const char *text = json_string_value(value);
    char label[64], shown[32];

    *ret = otherwise;
    if (!value || (text && strcmp(text, "auto") == 0))
        return true;
    if (!json_is_number(value) || json_number_value(value) <= 0 || json_number_value(value) > 1e6 ||
        (whole && !json_is_integer(value)))
        return refuse(c, param,
                      whole ? "must be a positive integer, or \"auto\""
                            : "must be a positive number, or \"auto\"");
    *ret = json_number_value(value);
    snprintf(label, sizeof(label), "openai.%s", param);
    snprintf(shown, sizeof(shown), "%.10g", *ret);
    add_label(c, label, shown);
    return true;
}

static bool read_seed(struct creation *c, json_t *training)
{
    const json_t *seed = given(c->body, "seed");
    char shown[32] = "0";

    if (seed && (!json_is_integer(seed) || json_integer_value(seed) < 0))
        return refuse(c, "seed", "must be an integer that is not negative");
    if (seed) {
        json_object_set(training, "seed", (json_t *)seed);
        snprintf(shown, sizeof(shown), "%lld", (long long)json_integer_value(seed));
    }
    add_label(c, "openai.seed", shown);
    return true;
}

/* The job file's default suits long jobs; a job of few steps has no time for directions. */
static void set_method(struct creation *c, double epochs, double batch)
{
    double steps = (double)c->rows / batch * epochs;
    int prelaunch =
        steps / PRELAUNCH_SHARE > PRELAUNCH_MAX ? PRELAUNCH_MAX : (int)(steps / PRELAUNCH_SHARE);

    if (prelaunch < 1)
        json_object_set_new(c->job, "method", json_string("lora"));
    else
        json_object_set_new(c->job, "dash", json_pack("{s:i}", "prelaunch_steps", prelaunch));
}

static bool read_training(struct creation *c)
{
    static const char *const known[] = {"n_epochs", "batch_size", "learning_rate_multiplier", NULL};
    json_t *training = json_object();
    double epochs, batch, multiplier;

    json_object_set_new(c->job, "training", training);
    if ((c->hyper && !openai_knows_keys(c->r, c->hyper, known)) ||
        !read_number(c, "n_epochs", DEFAULT_EPOCHS, false, &epochs) ||
        !read_number(c, "batch_size", DEFAULT_BATCH, true, &batch) ||
        !read_number(c, "learning_rate_multiplier", 1, false, &multiplier) ||
        !read_seed(c, training))
        return false;
    json_object_set_new(training, "epochs", json_real(epochs));
    json_object_set_new(training, "batch_size", json_integer((json_int_t)batch));
    json_object_set_new(training, "warmup_steps", json_integer(0)); /* there is no such parameter */
    set_method(c, epochs, batch);
    json_object_set_new(training, "learning_rate", json_real(LEARNING_RATE * multiplier));
    return true;
}

/* method: {type: supervised, supervised: {hyperparameters}}; or hyperparameters beside it. */
static bool read_method(struct creation *c)
{
    static const char *const known[] = {"type", "supervised", NULL};
    static const char *const inner[] = {"hyperparameters", NULL};
    const json_t *method = given(c->body, "method"), *supervised = given(method, "supervised");
    const char *type = json_string_value(json_object_get(method, "type"));

    c->hyper = given(c->body, "hyperparameters");
    if (method && (!type || strcmp(type, "supervised") != 0))
        return refuse(c, "method", "only the type \"supervised\" is offered");
    if (method && (!openai_knows_keys(c->r, method, known) ||
                   (supervised && !openai_knows_keys(c->r, supervised, inner))))
        return false;
    if (given(supervised, "hyperparameters"))
        c->hyper = given(supervised, "hyperparameters");
    if (c->hyper && !json_is_object(c->hyper))
        return refuse(c, "hyperparameters", "must be an object");
    return true;
}

/* ---- words ---- */

static bool read_suffix(struct creation *c)
{
    const json_t *value = given(c->body, "suffix");
    const char *suffix = value ? json_string_value(value) : "";

    if (!suffix || strlen(suffix) > SUFFIX_MAX ||
        strspn(suffix, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") !=
            strlen(suffix))
        return refuse(c, "suffix", "must have at most 64 letters, digits and . _ - alone");
    json_object_set_new(c->job, "name", json_string(suffix[0] ? suffix : "fine-tuning"));
    if (suffix[0])
        add_label(c, "openai.suffix", suffix);
    return true;
}

static bool read_metadata(struct creation *c)
{
    const json_t *metadata = given(c->body, "metadata");
    char label[LABEL_NAME_MAX + 1];
    const char *key;
    json_t *value;

    if (metadata && (!json_is_object(metadata) || json_object_size(metadata) > METADATA_MAX))
        return refuse(c, "metadata", "must be an object with at most 16 keys");
    json_object_foreach((json_t *)metadata, key, value)
    {
        if (!json_is_string(value))
            return refuse(c, "metadata", "values must be texts");
        if (snprintf(label, sizeof(label), "openai.meta/%s", key) >= (int)sizeof(label))
            return refuse(c, "metadata", "a key has at most 51 characters here");
        add_label(c, label, json_string_value(value));
    }
    return true;
}

/* The same for the same Idempotency-Key: a request that is repeated must be the same job file. */
static int name_output(const struct creation *c, char hex[TOKEN_HASH_SIZE], struct err *err)
{
    const char *key = http_header(c->r, "Idempotency-Key");
    char *text;

    if (!key || !key[0])
        return random_hex(hex, 8, err);
    if (asprintf(&text, "%s %s", http_caller(c->r)->name, key) < 0)
        return err_nomem(err, strlen(key));
    tokens_hash(text, hex);
    hex[16] = '\0';
    free(text);
    return 0;
}

static bool set_output(struct creation *c)
{
    char hex[TOKEN_HASH_SIZE], *output = NULL;
    struct err err;

    if (name_output(c, hex, &err) < 0 ||
        asprintf(&output, "%s/fine-tuned/%s", c->o->options->state, hex) < 0) {
        openai_fail(c->r, RPC_INTERNAL, "dashd cannot name an output folder");
        return false;
    }
    json_object_set_new(c->job, "output", json_string(output));
    free(output);
    return true;
}

static bool check_rest(struct creation *c)
{
    static const char *const known[] = {
        "model",  "training_file", "validation_file", "method",       "hyperparameters",
        "suffix", "seed",          "metadata",        "integrations", NULL};
    const json_t *integrations = given(c->body, "integrations");

    if (json_array_size(integrations) > 0 || (integrations && !json_is_array(integrations)))
        return refuse(c, "integrations", "are not offered here; a job file has `tracking`");
    return openai_knows_keys(c->r, c->body, known);
}

static ProtobufCMessage *make_message(struct creation *c)
{
    const char *key = http_header(c->r, "Idempotency-Key");
    char *yaml = json_dumps(c->job, JSON_INDENT(2)); /* JSON is YAML */
    json_t *request;
    ProtobufCMessage *message = NULL;
    struct err err;

    request = json_pack("{s:s?, s:s, s:s, s:O, s:s}", "job_yaml", yaml, "directory", "/",
                        "file_name", "the job", "labels", c->labels, "request_id", key ? key : "");
    if (!request ||
        message_from_json(request, &dash__v1__create_job_request__descriptor, &message, &err) < 0)
        openai_fail(c->r, RPC_INVALID_ARGUMENT,
                    request ? err.text : "the request cannot be made a job file");
    json_decref(request);
    free(yaml);
    return message;
}

ProtobufCMessage *openai_make_job(struct http_request *r)
{
    json_t *body = openai_body(r);
    struct creation c = {.r = r, .o = http_service(r), .body = body};
    ProtobufCMessage *message = NULL;

    if (!body)
        return NULL;
    c.job = json_object();
    c.labels = json_array();
    if (check_rest(&c) && read_model(&c) && read_data(&c) && read_method(&c) && read_training(&c) &&
        read_suffix(&c) && read_metadata(&c) && set_output(&c))
        message = make_message(&c);
    openai_model_free(&c.model);
    json_decref(c.job);
    json_decref(c.labels);
    json_decref(body);
    return message;
}
