/* daemon/service/http/openai_models.c - which models there are: those that dashd was started with,
 * and what jobs have trained. */
#include "core/job/job_read.h"
#include "daemon/service/http/openai.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* The path of a name of --model "NAME=PATH", or NULL. */
static const char *listed(const struct openai *o, const char *name)
{
    size_t len = strlen(name);
    int i;

    for (i = 0; i < o->options->n_models; i++)
        if (strncmp(o->options->models[i], name, len) == 0 && o->options->models[i][len] == '=')
            return o->options->models[i] + len + 1;
    return NULL;
}

/* The name under which a path is listed, or the end of the path. Caller frees. */
static char *base_name(const struct openai *o, const char *path)
{
    const char *slash = strrchr(path, '/');
    int i;

    for (i = 0; i < o->options->n_models; i++) {
        const char *equals = strchr(o->options->models[i], '=');
        if (strcmp(equals + 1, path) == 0)
            return strndup(o->options->models[i], (size_t)(equals - o->options->models[i]));
    }
    return strdup(slash ? slash + 1 : path);
}

/* Of the model that a job trains, which no change of the job changes; NULL: not known. It is read
 * once: a job file takes long enough that a list of thousands of jobs would be waited for. */
static const char *trained_path(struct run *run)
{
    struct job *job = NULL;

    if (!run->model && job_from_yaml(run->row.job_yaml, &job, NULL) == 0)
        run->model = strdup(job->model);
    job_free(job);
    return run->model;
}

/* Of "ft:smollm2:dash:run:7", which another job continued, "smollm2". */
static void cut_to_base(char *name)
{
    size_t len;

    if (strncmp(name, "ft:", 3) != 0)
        return;
    len = strcspn(name + 3, ":");
    memmove(name, name + 3, len);
    name[len] = '\0';
}

char *openai_model_name(const struct openai *o, struct run *run)
{
    char *base, *suffix, *name = NULL;

    if (run->row.state != RUN_SUCCEEDED || run->row.kind != RUN_TRAINING)
        return NULL;
    base = openai_label(run, "openai.model");
    if (!base && trained_path(run))
        base = base_name(o, trained_path(run));
    if (base)
        cut_to_base(base);
    suffix = openai_label(run, "openai.suffix");
    if (!suffix)
        suffix = strdup(run->row.name);
    if (base && suffix && asprintf(&name, "ft:%s:dash:%s:%ld", base, suffix, run->row.id) < 0)
        name = NULL;
    free(base);
    free(suffix);
    return name;
}

static struct run *find_tuned(const struct openai *o, const char *name)
{
    const char *colon = strrchr(name, ':');
    struct run *run = NULL;
    char *theirs;
    bool same;

    if (strncmp(name, "ft:", 3) != 0 || runs_find(o->runs, colon + 1, &run, NULL) < 0)
        return NULL;
    theirs = openai_model_name(o, run);
    same = theirs && strcmp(theirs, name) == 0;
    free(theirs);
    return same ? run : NULL;
}

void openai_model_free(struct openai_model *m)
{
    free(m->path);
    free(m->adapter);
    free(m->base);
    *m = (struct openai_model){0};
}

static int fill_tuned(const struct openai *o, struct run *run, struct openai_model *ret,
                      struct err *err)
{
    const char *path = trained_path(run);
    struct stat st;

    ret->path = path ? strdup(path) : NULL;
    if (!ret->path || asprintf(&ret->adapter, "%s/adapter", run->row.output) < 0) {
        ret->adapter = NULL;
        return err_nomem(err, 64);
    }
    ret->base = base_name(o, ret->path);
    if (!ret->base)
        return err_nomem(err, 64);
    if (stat(ret->adapter, &st) < 0)
        return err_errno(err, "what job %ld has trained", run->row.id);
    return 0;
}

int openai_model_find(const struct openai *o, const char *name, struct openai_model *ret,
                      struct err *err)
{
    const char *path = listed(o, name);
    struct run *tuned = path ? NULL : find_tuned(o, name);
    int rc = 0;

    *ret = (struct openai_model){0};
    if (path) {
        ret->path = strdup(path);
        ret->base = strdup(name);
        rc = ret->path && ret->base ? 0 : err_nomem(err, strlen(path));
    } else if (tuned) {
        rc = fill_tuned(o, tuned, ret, err);
    } else {
        rc = err_set(err, ERR_NOT_FOUND,
                     "there is no model `%.200s`: GET v1/models lists them; whoever runs dashd "
                     "adds one by --model NAME=PATH",
                     name);
    }
    if (rc < 0)
        openai_model_free(ret);
    return rc;
}

void openai_models_open(const struct openai *o)
{
    int i;

    for (i = 0; i < o->runs->n; i++)
        free(openai_model_name(o, o->runs->items[i]));
}

static json_t *model_json(const char *name, int64_t created_ms)
{
    return json_pack("{s:s, s:s, s:I, s:s}", "id", name, "object", "model", "created",
                     (json_int_t)(created_ms / 1000), "owned_by", "dash");
}

static json_t *all_models(const struct openai *o)
{
    json_t *list = json_array();
    int i;

    for (i = 0; i < o->options->n_models; i++) {
        const char *model = o->options->models[i];
        char *name = strndup(model, strcspn(model, "="));
        if (name)
            json_array_append_new(list, model_json(name, 0));
        free(name);
    }
    for (i = o->runs->n - 1; i >= 0; i--) {
        char *name = openai_model_name(o, o->runs->items[i]);
        if (name)
            json_array_append_new(list, model_json(name, o->runs->items[i]->row.finished_ms));
        free(name);
    }
    return list;
}

void openai_on_models(struct http_request *r)
{
    openai_reply(r, json_pack("{s:s, s:o}", "object", "list", "data", all_models(http_service(r))));
}

void openai_on_model(struct http_request *r)
{
    const struct openai *o = http_service(r);
    const char *name = http_rest(r);
    const struct run *tuned = listed(o, name) ? NULL : find_tuned(o, name);

    if (tuned || listed(o, name))
        openai_reply(r, model_json(name, tuned ? tuned->row.finished_ms : 0));
    else
        openai_fail(r, RPC_NOT_FOUND, "there is no such model: GET v1/models lists them");
}
