/* core/job/evaluation_request.c - see evaluation_request.h. One table of fields serves reading,
 * writing and checking. */
#include "core/job/evaluation_request.h"
#include "core/job/lora_source.h"
#include <limits.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum field_kind { FIELD_TEXT, FIELD_PATH, FIELD_FLAG, FIELD_NUMBER };

static const struct field {
    const char *name;
    enum field_kind kind;
    size_t at;
    int most; /* of a number */
} fields[] = {
#define FIELD(kind, name, most)                                                                    \
    {                                                                                              \
#name, kind, offsetof(struct evaluation_request, name), most                               \
    }
    FIELD(FIELD_PATH, from, 0),
    FIELD(FIELD_PATH, model, 0),
    FIELD(FIELD_PATH, output, 0),
    FIELD(FIELD_TEXT, name, 0),
    FIELD(FIELD_TEXT, task, 0),
    FIELD(FIELD_TEXT, template_kind, 0),
    FIELD(FIELD_PATH, chat_template, 0),
    FIELD(FIELD_FLAG, base_only, 0),
    FIELD(FIELD_FLAG, without_directions, 0),
    FIELD(FIELD_FLAG, checkpoint, 0),
    FIELD(FIELD_FLAG, here, 0),
    FIELD(FIELD_NUMBER, max_tokens, 1 << 20),
    FIELD(FIELD_NUMBER, new_tokens, 1 << 20),
    FIELD(FIELD_NUMBER, limit, INT_MAX),
    FIELD(FIELD_NUMBER, threads, 4096),
#undef FIELD
};
enum { FIELDS = sizeof(fields) / sizeof(fields[0]) };

static const void *value_of(const struct evaluation_request *r, int i)
{
    return (const char *)r + fields[i].at;
}

/* ---- as text ---- */

static void put(json_t *object, const struct evaluation_request *r, int i)
{
    const char *text;

    switch (fields[i].kind) {
    case FIELD_TEXT:
    case FIELD_PATH:
        text = *(char *const *)value_of(r, i);
        if (text)
            json_object_set_new(object, fields[i].name, json_string(text));
        break;
    case FIELD_FLAG:
        if (*(const bool *)value_of(r, i))
            json_object_set_new(object, fields[i].name, json_true());
        break;
    case FIELD_NUMBER:
        if (*(const int *)value_of(r, i))
            json_object_set_new(object, fields[i].name, json_integer(*(const int *)value_of(r, i)));
        break;
    }
}

static bool holds_all(const json_t *object, const struct evaluation_request *r)
{
    for (int i = 0; i < FIELDS; i++)
        if (fields[i].kind <= FIELD_PATH && *(char *const *)value_of(r, i) &&
            !json_object_get(object, fields[i].name))
            return false;
    return json_array_size(json_object_get(object, "data")) == (size_t)r->n_data;
}

char *evaluation_request_print(const struct evaluation_request *r)
{
    json_t *object = json_object(), *data = json_array();
    char *text = NULL;

    for (int i = 0; i < FIELDS; i++)
        put(object, r, i);
    for (int i = 0; i < r->n_data; i++)
        json_array_append_new(data, json_string(r->data[i]));
    json_object_set_new(object, "data", data);
    if (holds_all(object, r))
        text = json_dumps(object, JSON_INDENT(1) | JSON_SORT_KEYS);
    json_decref(object);
    return text;
}

static int take(struct evaluation_request *r, int i, const json_t *value, struct err *err)
{
    void *at = (char *)r + fields[i].at;

    if (!value)
        return 0;
    if (fields[i].kind == FIELD_FLAG && json_is_boolean(value))
        *(bool *)at = json_is_true(value);
    else if (fields[i].kind == FIELD_NUMBER && json_is_integer(value) &&
             json_integer_value(value) >= 0 && json_integer_value(value) <= INT_MAX)
        *(int *)at = (int)json_integer_value(value);
    else if (fields[i].kind <= FIELD_PATH && json_is_string(value))
        return (*(char **)at = strdup(json_string_value(value))) ? 0 : err_nomem(err, 1);
    else
        return err_set(err, ERR_INVALID, "evaluation: %s has a wrong value", fields[i].name);
    return 0;
}

static int take_data(struct evaluation_request *r, const json_t *list, struct err *err)
{
    size_t n = json_array_size(list);

    if (n > EVALUATION_DATA_MAX)
        return err_set(err, ERR_INVALID, "evaluation: data has %zu files, at most are %d", n,
                       EVALUATION_DATA_MAX);
    r->data = calloc(n + 1, sizeof(*r->data));
    if (!r->data)
        return err_nomem(err, n);
    for (size_t i = 0; i < n; i++) {
        const char *path = json_string_value(json_array_get(list, i));
        r->data[i] = path ? strdup(path) : NULL;
        if (!r->data[i])
            return err_set(err, ERR_INVALID, "evaluation: data must be a list of paths");
        r->n_data++;
    }
    return 0;
}

static void strip_slashes(char *path)
{
    size_t len = path ? strlen(path) : 0;

    while (len > 1 && path[len - 1] == '/')
        path[--len] = '\0';
}

int evaluation_request_parse(const char *text, struct evaluation_request *ret, struct err *err)
{
    struct evaluation_request r = {0};
    json_t *object = json_loads(text, 0, NULL);
    int rc = json_is_object(object) ? 0 : err_set(err, ERR_INVALID, "it is no evaluation");

    for (int i = 0; rc == 0 && i < FIELDS; i++)
        rc = take(&r, i, json_object_get(object, fields[i].name), err);
    if (rc == 0)
        rc = take_data(&r, json_object_get(object, "data"), err);
    json_decref(object);
    if (rc < 0) {
        evaluation_request_free(&r);
        return rc;
    }
    strip_slashes(r.output);
    *ret = r;
    return 0;
}

void evaluation_request_free(struct evaluation_request *r)
{
    for (int i = 0; i < FIELDS; i++)
        if (fields[i].kind <= FIELD_PATH)
            free(*(char *const *)value_of(r, i));
    for (int i = 0; i < r->n_data; i++)
        free(r->data[i]);
    free(r->data);
    *r = (struct evaluation_request){0};
}

/* ---- checks ---- */

static void check_word(const char *name, const char *word, const char *const *words,
                       const char *listed, struct problems *problems)
{
    for (int i = 0; word && words[i]; i++)
        if (strcmp(word, words[i]) == 0)
            return;
    if (word)
        problems_add(problems, NULL, 0, "%s must be %s, not \"%s\"", name, listed, word);
}

static void check_path(const char *name, const char *path, struct problems *problems)
{
    if (path && path[0] != '/')
        problems_add(problems, NULL, 0, "%s must be an absolute path, not \"%s\"", name, path);
}

static void check_together(const struct evaluation_request *r, struct problems *problems)
{
    const char *what = r->checkpoint ? "checkpoint" : "without_directions";

    if (!r->output)
        problems_add(problems, NULL, 0, "output is missing: a folder for the results");
    if (!r->from && !r->model)
        problems_add(problems, NULL, 0,
                     "from is missing: the output folder of a job or an adapter; or else a model");
    if (!r->from && (r->checkpoint || r->without_directions))
        problems_add(problems, NULL, 0, "%s needs the output folder of a job in from", what);
    if (r->base_only && (r->checkpoint || r->without_directions))
        problems_add(problems, NULL, 0,
                     "base_only leaves out all that was trained: %s cannot be given beside it",
                     what);
    if (!r->from && !r->n_data)
        problems_add(problems, NULL, 0, "data is missing: files of rows");
}

void evaluation_request_check(const struct evaluation_request *r, struct problems *problems)
{
    static const char *const tasks[] = {"auto", "loss", "choice", "answer", NULL};
    static const char *const templates[] = {"auto", "model", "plain", "alpaca", "chatml", NULL};

    for (int i = 0; i < FIELDS; i++) {
        if (fields[i].kind == FIELD_PATH)
            check_path(fields[i].name, *(char *const *)value_of(r, i), problems);
        if (fields[i].kind == FIELD_NUMBER && *(const int *)value_of(r, i) > fields[i].most)
            problems_add(problems, NULL, 0, "%s must be an integer from 1 to %d", fields[i].name,
                         fields[i].most);
    }
    for (int i = 0; i < r->n_data; i++)
        check_path("data", r->data[i], problems);
    check_word("task", r->task, tasks, "auto, loss, choice or answer", problems);
    check_word("template_kind", r->template_kind, templates, "auto, model, plain, alpaca or chatml",
               problems);
    check_together(r, problems);
}

/* A PEFT folder names a model, too, but is not looked into. */
static int check_source(const struct evaluation_request *r, const struct job_roots *roots,
                        struct problems *problems, struct err *err)
{
    struct lora_source source = {0};
    struct job *job = NULL;
    int rc = lora_source_open(r->from, &source, err);

    if (rc == 0 && source.output)
        rc = lora_source_read_job(source.output, &job, err);
    if (rc == 0 && job)
        job_roots_check(job, roots, problems);
    else if (rc == 0 && !r->model)
        problems_add(problems, NULL, 0,
                     "model is missing: this dashd allows some folders only (--allow-root), and "
                     "from is not the output folder of a job");
    job_free(job);
    lora_source_close(&source);
    return rc;
}

int evaluation_request_check_roots(const struct evaluation_request *r,
                                   const struct job_roots *roots, struct problems *problems,
                                   struct err *err)
{
    int before = problems_count(problems);

    for (int i = 0; i < FIELDS; i++) {
        const char *path = fields[i].kind == FIELD_PATH ? *(char *const *)value_of(r, i) : NULL;
        if (path)
            job_roots_check_path(roots, fields[i].name, path, strcmp(fields[i].name, "output") != 0,
                                 problems);
    }
    for (int i = 0; i < r->n_data; i++)
        job_roots_check_files(roots, "data", r->data[i], problems);
    if (!r->from || roots->n == 0 || problems_count(problems) > before)
        return 0;
    return check_source(r, roots, problems, err);
}
