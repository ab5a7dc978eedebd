/* core/job/export_source.c - see export_source.h. Whether adapter/ is of the last launch is in
 * outcome.json: a job that was resumed for more steps, and stopped, has an adapter/ of before. */
#include "core/job/export_source.h"
#include "core/file.h"
#include "core/job/checkpoint_read.h"
#include "core/job/lora_source.h"
#include "core/json_file.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool has(const char *folder, const char *name)
{
    char *path = folder ? file_join(folder, name) : NULL;
    bool there = path && access(path, F_OK) == 0;

    free(path);
    return there;
}

/* ---- the model's path ---- */

/* base_model_name_or_path of a PEFT folder. Caller frees *ret. */
static int read_base_name(const char *folder, char **ret, struct err *err)
{
    char *path = file_join(folder, "adapter_config.json");
    json_t *root = NULL;
    const char *name;
    int rc =
        path ? json_file_read(path, FILE_SMALL_MAX, &root, err) : err_nomem(err, strlen(folder));

    name = json_string_value(json_object_get(root, "base_model_name_or_path"));
    if (rc == 0 && !(*ret = strdup(name ? name : "")))
        rc = err_nomem(err, strlen(folder));
    json_decref(root);
    free(path);
    return rc;
}

static int find_model(const struct export_choice *choice, struct export_source *s, struct err *err)
{
    char absolute[PATH_MAX];
    int rc = 0;

    if (choice->model)
        s->base_name = strdup(realpath(choice->model, absolute) ? absolute : choice->model);
    else if (s->job)
        s->base_name = strdup(s->job->model);
    else
        rc = read_base_name(s->adapter_folder, &s->base_name, err);
    if (rc == 0 && !s->base_name)
        rc = err_nomem(err, sizeof(absolute));
    if (rc < 0)
        return rc;
    s->model_path = strdup(s->base_name);
    if (!s->model_path)
        return err_nomem(err, strlen(s->base_name));
    if (access(s->model_path, F_OK) == 0)
        return 0;
    if (choice->model)
        return err_set(err, ERR_NOT_FOUND, "the model \"%s\" is not a file or folder here",
                       choice->model);
    return err_set(err, ERR_NOT_FOUND,
                   "the model of %s is \"%s\", which is not a file or folder here: name it with "
                   "--model PATH",
                   choice->from, s->base_name);
}

/* ---- the adapter ---- */

/* Whether adapter/ is what the job has trained. */
static bool adapter_is_current(const struct export_source *s)
{
    char *path = file_join(s->output, "outcome.json");
    json_t *root = NULL;
    struct err ignored;
    const char *how;
    bool current;

    if (path)
        json_file_read(path, FILE_SMALL_MAX, &root, &ignored);
    how = json_string_value(json_object_get(root, "how"));
    current = !how || strcmp(how, "adapter_written") == 0;
    json_decref(root);
    free(path);
    return current && has(s->adapter_folder, "adapter_config.json");
}

static void note_checkpoint(const struct export_source *s, const struct state *state,
                            bool lora_only, struct buf *notices)
{
    if (!lora_only || state->step < s->job->training.steps)
        buf_printf(notices, "the checkpoint of step %d is used\n", state->step);
    if (s->job->method != METHOD_LORA_DASH)
        return;
    if (!state->identified)
        buf_printf(notices,
                   "the directions of LoRA-Dash are not chosen before step %d: it is the "
                   "plain LoRA\n",
                   s->job->dash.prelaunch_steps);
    else if (lora_only)
        buf_printf(notices,
                   "the %d directions of each matrix are left out: this is not all that "
                   "was trained\n",
                   state->layout->directions);
}

static int read_checkpoint(struct export_source *s, bool last, bool lora_only, struct buf *notices,
                           struct err *err)
{
    struct trainable layout = {0};
    struct state state = {0};
    int rc = checkpoint_load_of_job(s->output, s->job, last, "", model_config(s->model), &layout,
                                    &state, notices, err);

    if (rc == 0)
        rc = state_adapter(&state, !lora_only, &s->adapter, err);
    if (rc == 0) {
        s->step = state.step;
        note_checkpoint(s, &state, lora_only, notices);
    }
    state_close(&state);
    trainable_free(&layout);
    return rc;
}

static int read_adapter(const struct export_choice *choice, struct export_source *s,
                        struct buf *notices, struct err *err)
{
    bool is_dash = s->job && s->job->method == METHOD_LORA_DASH;
    bool only = choice->lora_only && is_dash;

    s->step = -1;
    if ((choice->checkpoint || choice->lora_only) && !s->output)
        return err_set(err, ERR_INVALID,
                       "%s is not the output folder of a job with its checkpoints: %s needs one",
                       choice->from, choice->checkpoint ? "--checkpoint" : "--lora-only");
    if (s->output && (only || choice->checkpoint || !adapter_is_current(s)))
        return read_checkpoint(s, choice->checkpoint, only, notices, err);
    return adapter_read(s->adapter_folder, model_config(s->model), &s->adapter, err);
}

static int make_scales(struct export_source *s, struct err *err)
{
    const struct adapter *a = s->adapter;
    enum job_scaling scaling = a->rslora ? SCALING_RSLORA : SCALING_STANDARD;

    s->scales = calloc((size_t)a->n + 1, sizeof(*s->scales));
    if (!s->scales)
        return err_nomem(err, (size_t)a->n * sizeof(*s->scales));
    for (int i = 0; i < a->n; i++)
        s->scales[i] = lora_scale(a->maps[i].alpha, a->maps[i].rank, scaling);
    return 0;
}

/* The folders, and the job. */
static int find_source(const struct export_choice *choice, struct export_source *s, struct err *err)
{
    struct lora_source source = {0};
    int rc = lora_source_open(choice->from, &source, err);

    if (rc < 0)
        return rc;
    s->adapter_folder = source.adapter;
    s->output = source.output;
    source.adapter = source.output = NULL;
    lora_source_close(&source);
    if (s->output)
        return lora_source_read_job(s->output, &s->job, err);
    if (access(choice->from, F_OK) < 0)
        return err_errno(err, "%s: cannot be opened", choice->from);
    if (!has(s->adapter_folder, "adapter_config.json"))
        return err_set(err, ERR_INVALID,
                       "%s is neither the output folder of a job, which has job.yaml and "
                       "checkpoint/, nor an adapter, which has adapter_config.json",
                       choice->from);
    return 0;
}

int export_source_open(const struct export_choice *choice, struct export_source *ret,
                       struct buf *notices, struct problems *problems, struct err *err)
{
    int rc;

    *ret = (struct export_source){0};
    rc = find_source(choice, ret, err);
    if (rc == 0)
        rc = find_model(choice, ret, err);
    if (rc == 0)
        rc = model_open(ret->model_path, &ret->model, problems, err);
    if (rc == 0)
        rc = read_adapter(choice, ret, notices, err);
    return rc < 0 ? rc : make_scales(ret, err);
}

void export_source_close(struct export_source *s)
{
    adapter_free(s->adapter);
    model_close(s->model);
    job_free(s->job);
    free(s->adapter_folder);
    free(s->output);
    free(s->model_path);
    free(s->base_name);
    free(s->scales);
    *s = (struct export_source){0};
}

int export_source_rank(const struct export_source *s)
{
    int rank = 0;

    for (int i = 0; i < s->adapter->n; i++)
        rank = s->adapter->maps[i].rank > rank ? s->adapter->maps[i].rank : rank;
    return rank;
}
