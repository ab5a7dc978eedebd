/* core/model/model.c - see model.h. Owns the open files and, resolved once at open, where every
 * weight lies.
 *
 * GGUF's converter stores the rows of a q or k head of D rows interleaved, the two halves that rope
 * turns against each other side by side: GGUF row h*D + 2j + i is HF row h*D + i*D/2 + j, i in {0,
 * 1}, j < D/2.
 */
#include "core/model/model.h"
#include "core/file.h"
#include "core/finite.h"
#include "core/model/model_impl.h"
#include "core/text/tokenizer.h"
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_folder(struct model *m, struct problems *problems, struct err *err)
{
    char *config = file_join(m->path, "config.json");
    int rc, rc_files;

    if (!config)
        return err_nomem(err, strlen(m->path));
    rc = model_describe_json(config, &m->config, &m->unread, problems, err);
    free(config);
    if (rc == ERR_UNSUPPORTED) /* of another family: its files would be measured by a wrong one */
        return err_set(err, ERR_INVALID, "%s: the model cannot be used", m->path);
    rc_files = model_files_open(m->path, &m->files, problems, err);
    return rc < 0 ? rc : rc_files;
}

static int open_gguf(struct model *m, struct problems *problems, struct err *err)
{
    int rc = model_files_open_gguf(m->path, &m->files, problems, err);

    if (rc < 0)
        return rc;
    m->gguf = tensorfile_is_gguf(m->files.items[0]);
    if (m->gguf)
        return model_describe_gguf(&m->files, &m->config, problems, err);
    problems_add(problems, m->path, 0,
                 "a model is a folder or a .gguf file: name the folder that holds this file");
    return err_set(err, ERR_INVALID, "%s: is not a model", m->path);
}

int model_open(const char *path, struct model **ret_model, struct problems *problems,
               struct err *err)
{
    struct model *m = calloc(1, sizeof(*m));
    struct stat st;
    int rc;

    if (!m || !(m->path = strdup(path))) {
        rc = err_nomem(err, sizeof(*m));
    } else if (stat(path, &st) < 0) {
        err_errno(err, "%s: the model cannot be opened", path);
        if (err)
            problems_add(problems, NULL, 0, "%s", err->text);
        rc = err_set(err, ERR_INVALID, "%s: there is no model", path);
    } else if (S_ISDIR(st.st_mode)) {
        rc = open_folder(m, problems, err);
    } else {
        rc = open_gguf(m, problems, err);
    }
    if (rc == 0)
        rc = model_resolve(m, problems, err);
    if (rc < 0) {
        model_close(m);
        return rc;
    }
    *ret_model = m;
    return 0;
}

void model_close(struct model *model)
{
    if (!model)
        return;
    model_files_close(&model->files);
    free(model->layers);
    free(model->unread);
    free(model->path);
    free(model);
}

const struct model_config *model_config(const struct model *model)
{
    return &model->config;
}

const struct model_files *model_open_files(const struct model *model)
{
    return &model->files;
}

const char *model_path(const struct model *model)
{
    return model->path;
}

const char *model_unread_keys(const struct model *model)
{
    return model->unread;
}

int model_lost_window(const struct model *model)
{
    static const char *const keys[] = {"general.name", "general.basename",
                                       "general.base_model.0.name"};

    for (size_t i = 0; model->gguf && i < sizeof(keys) / sizeof(keys[0]); i++) {
        const char *name = tensorfile_kv_string(model->files.items[0], keys[i]);
        if (name && strcasestr(name, "mistral"))
            return family_by_name("mistral")->window;
    }
    return 0;
}

int model_norm_size(const struct model_config *c, enum norm_kind kind)
{
    switch (kind) {
    case NORM_PRE_ATTENTION:
    case NORM_PRE_MLP:
        return c->pre_norm ? c->hidden : 0;
    case NORM_POST_ATTENTION:
    case NORM_POST_MLP:
        return c->post_norm ? c->hidden : 0;
    default:
        if (c->qk_norm == QK_NORM_NONE)
            return 0;
        if (c->qk_norm == QK_NORM_HEAD)
            return c->head_dim;
        return (kind == NORM_Q ? c->n_heads : c->n_kv_heads) * c->head_dim;
    }
}

/* ---- reading ---- */

static const struct family *family_of(const struct model *m)
{
    return family_by_architecture(m->config.architecture);
}

static const char *file_of(const struct model *m, const struct tensor *t)
{
    for (int i = 0; i < m->files.n; i++)
        if (tensorfile_find(m->files.items[i], t->name) == t)
            return tensorfile_path(m->files.items[i]);
    return m->path;
}

/* The values of t, which has been read in order to out (or its rows in another order). */
static int check_finite(const struct model *m, const struct tensor *t, const float *values,
                        struct err *err)
{
    int64_t n = tensor_elements(t), i = 0;

    if (floats_are_right(values, (size_t)n, -FLT_MAX))
        return 0;
    while (i < n && isfinite(values[i]))
        i++;
    return err_set(err, ERR_INVALID, "%s: tensor %.200s: number %lld of %lld is not finite",
                   file_of(m, t), t->name, (long long)i, (long long)n);
}

static int read_whole(const struct model *m, const struct tensor *t, float *out, struct err *err)
{
    int rc = tensor_read_f32(t, 0, t->n_dims < 2 ? 1 : t->shape[0], out, err);

    return rc < 0 ? rc : check_finite(m, t, out, err);
}

/* Puts the rows of each head of D back: see the head of this file. A bias is a column. */
static int read_permuted(const struct model *m, const struct tensor *t, float *out, struct err *err)
{
    int64_t D = m->config.head_dim, rows = t->shape[0];
    size_t columns = t->n_dims < 2 ? 1 : (size_t)t->shape[1];
    float *stored = malloc((size_t)rows * columns * sizeof(float));
    int rc = stored ? read_whole(m, t, stored, err)
                    : err_nomem(err, (size_t)rows * columns * sizeof(float));

    for (int64_t row = 0; rc == 0 && row < rows; row++) {
        int64_t head = row / D * D, half = row % D / (D / 2), j = row % (D / 2);
        memcpy(out + (size_t)row * columns, stored + (size_t)(head + 2 * j + half) * columns,
               columns * sizeof(float));
    }
    free(stored);
    return rc;
}

static int read_map(const struct model *m, const struct tensor *t, enum module_kind kind,
                    float *out, struct err *err)
{
    if (m->gguf && family_of(m)->interleaved && (kind == MODULE_Q || kind == MODULE_K))
        return read_permuted(m, t, out, err);
    return read_whole(m, t, out, err);
}

int model_read_module(const struct model *model, int layer, enum module_kind kind, float *out,
                      struct err *err)
{
    return read_map(model, model->layers[layer].modules[kind], kind, out, err);
}

int model_read_bias(const struct model *model, int layer, enum module_kind kind, float *out,
                    struct err *err)
{
    return read_map(model, model->layers[layer].biases[kind], kind, out, err);
}

/* A GGUF holds 1 + w already. */
static int read_norm(const struct model *m, const struct tensor *t, float *out, struct err *err)
{
    int rc = read_whole(m, t, out, err);

    for (int64_t i = 0; rc == 0 && !m->gguf && family_of(m)->norm_plus_one && i < t->shape[0]; i++)
        out[i] += 1;
    return rc;
}

int model_read_norm(const struct model *model, int layer, enum norm_kind kind, float *out,
                    struct err *err)
{
    return read_norm(model, model->layers[layer].norms[kind], out, err);
}

int model_read_embedding(const struct model *model, float *out, struct err *err)
{
    return read_whole(model, model->embedding, out, err);
}

int model_read_head(const struct model *model, float *out, struct err *err)
{
    return read_whole(model, model->head, out, err);
}

int model_read_final_norm(const struct model *model, float *out, struct err *err)
{
    return read_norm(model, model->final_norm, out, err);
}

int model_open_tokenizer(const struct model *model, struct tokenizer **ret_tokenizer,
                         struct err *err)
{
    if (!model->gguf)
        return tokenizer_from_folder(model->path, model->config.bos_id, model->config.eos_id,
                                     ret_tokenizer, err);
    if (tensorfile_kv_string(model->files.items[0], "tokenizer.ggml.model"))
        return tokenizer_from_gguf(model->files.items[0], ret_tokenizer, err);
    *ret_tokenizer = NULL;
    return 0;
}

int model_open_tokenizer_if_usable(const struct model *model, struct tokenizer **ret_tokenizer,
                                   struct err *ret_refusal, struct err *err)
{
    int rc = model_open_tokenizer(model, ret_tokenizer, ret_refusal);

    if (rc == ERR_NOMEM || rc == ERR_INTERNAL)
        return err_set(err, rc, "%s", ret_refusal->text);
    if (rc < 0)
        *ret_tokenizer = NULL;
    else
        ret_refusal->code = 0;
    return 0;
}
