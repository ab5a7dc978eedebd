/* core/model/model.c - see model.h. Owns the open files and, resolved once at open, where every
 * weight lies.
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

struct model_memory model_memory(const struct model *model)
{
    struct model_memory m = {.embedding = weight_tensor_bytes(model->embedding),
                             .head = model->config.tied ? 0 : weight_tensor_bytes(model->head)};

    for (int i = 0; i < model->config.n_layers; i++)
        for (int kind = 0; kind < MODULE_KINDS; kind++)
            if (model_has_module(&model->config, kind))
                m.layer += weight_tensor_bytes(model->layers[i].modules[kind]);
    m.layer /= model->config.n_layers;
    return m;
}

/* ---- reading ---- */

static const struct family *family_of(const struct model *m)
{
    return family_by_architecture(m->config.architecture);
}

const char *model_gguf_architecture(const struct model *m)
{
    if (m->gguf)
        return tensorfile_kv_string(m->files.items[0], "general.architecture");
    return family_in_gguf(family_of(m))->gguf;
}

static const char *file_of(const struct model *m, const struct tensor *t)
{
    for (int i = 0; i < m->files.n; i++)
        if (tensorfile_find(m->files.items[i], t->name) == t)
            return tensorfile_path(m->files.items[i]);
    return m->path;
}

/* n values of t, from number `first` on. */
static int check_finite(const struct model *m, const struct tensor *t, const float *values,
                        int64_t n, int64_t first, struct err *err)
{
    int64_t i = 0;

    if (floats_are_right(values, (size_t)n, -FLT_MAX))
        return 0;
    while (i < n && isfinite(values[i]))
        i++;
    return err_set(err, ERR_INVALID, "%s: tensor %.200s: number %lld of %lld is not finite",
                   file_of(m, t), t->name, (long long)(first + i), (long long)tensor_elements(t));
}

/* The rows of a source, which are in w from `first` on. */
static int check_rows(const struct model *m, const struct weight_source *source,
                      const struct weight *w, int first, struct err *err)
{
    const struct tensor *t = source->tensor;
    float *row = malloc((size_t)w->columns * sizeof(float));
    int rc = row ? 0 : err_nomem(err, (size_t)w->columns * sizeof(float));

    for (int i = 0; i < t->shape[0] && rc == 0; i++) {
        weight_read(w, first + i, 0, w->columns, row);
        rc = check_finite(m, t, row, w->columns, weight_source_row(source, i) * w->columns, err);
    }
    free(row);
    return rc;
}

static int read_whole(const struct model *m, const struct tensor *t, float *out, struct err *err)
{
    int rc = tensor_read_f32(t, 0, t->n_dims < 2 ? 1 : t->shape[0], out, err);

    return rc < 0 ? rc : check_finite(m, t, out, tensor_elements(t), 0, err);
}

int model_gguf_interleaved(const struct model *m, enum module_kind kind)
{
    bool turned = kind == MODULE_Q || kind == MODULE_K;

    return family_of(m)->interleaved && turned ? m->config.head_dim : 0;
}

static bool is_interleaved(const struct model *m, enum module_kind kind)
{
    return m->gguf && model_gguf_interleaved(m, kind);
}

static int read_weight(const struct model *m, const struct weight_source *sources, int n,
                       struct weight *ret, struct err *err)
{
    struct weight w;
    int rc = weight_open(sources, n, &w, err);

    if (rc < 0)
        return rc;
    for (int i = 0; i < n && rc == 0; i++)
        rc = check_rows(m, &sources[i], &w, w.pieces[i].first, err);
    if (rc < 0)
        weight_close(&w);
    else
        *ret = w;
    return rc;
}

int model_read_modules(const struct model *model, int layer, const enum module_kind *kinds, int n,
                       struct weight *ret, struct err *err)
{
    struct weight_source sources[WEIGHT_PIECES_MAX];

    for (int i = 0; i < n; i++)
        sources[i] =
            (struct weight_source){model->layers[layer].modules[kinds[i]],
                                   is_interleaved(model, kinds[i]) ? model->config.head_dim : 0};
    return read_weight(model, sources, n, ret, err);
}

int model_read_bias(const struct model *model, int layer, enum module_kind kind, float *out,
                    struct err *err)
{
    const struct tensor *t = model->layers[layer].biases[kind];
    const struct weight_source source = {t, model->config.head_dim};
    float *stored;
    int rc;

    if (!is_interleaved(model, kind))
        return read_whole(model, t, out, err);
    stored = malloc((size_t)t->shape[0] * sizeof(float));
    rc = stored ? read_whole(model, t, stored, err)
                : err_nomem(err, (size_t)t->shape[0] * sizeof(float));
    for (int64_t row = 0; rc == 0 && row < t->shape[0]; row++)
        out[row] = stored[weight_source_row(&source, row)];
    free(stored);
    return rc;
}

bool model_norm_plus_one(const struct model *m)
{
    return family_of(m)->norm_plus_one;
}

/* A GGUF holds 1 + w already. */
static int read_norm(const struct model *m, const struct tensor *t, float *out, struct err *err)
{
    int rc = read_whole(m, t, out, err);

    for (int64_t i = 0; rc == 0 && !m->gguf && model_norm_plus_one(m) && i < t->shape[0]; i++)
        out[i] += 1;
    return rc;
}

int model_read_norm(const struct model *model, int layer, enum norm_kind kind, float *out,
                    struct err *err)
{
    return read_norm(model, model->layers[layer].norms[kind], out, err);
}

int model_read_embedding(const struct model *model, struct weight *ret, struct err *err)
{
    return read_weight(model, &(struct weight_source){model->embedding, 0}, 1, ret, err);
}

int model_read_head(const struct model *model, struct weight *ret, struct err *err)
{
    return read_weight(model, &(struct weight_source){model->head, 0}, 1, ret, err);
}

int model_read_final_norm(const struct model *model, float *out, struct err *err)
{
    return read_norm(model, model->final_norm, out, err);
}

int model_open_tokenizer(const struct model *model, struct tokenizer **ret_tokenizer,
                         struct err *err)
{
    const char *kind;

    if (!model->gguf)
        return tokenizer_from_folder(model->path, model->config.bos_id, model->config.eos_id,
                                     ret_tokenizer, err);
    kind = tensorfile_kv_string(model->files.items[0], "tokenizer.ggml.model");
    if (kind && strcmp(kind, "none") != 0)
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
