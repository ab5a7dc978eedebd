/* core/model/model.c - see model.h. Owns the open files and, resolved once at open, where every
 * weight lies.
 *
 * GGUF's converter stores the rows of a q or k head of D rows interleaved, the two halves that rope
 * turns against each other side by side: GGUF row h*D + 2j + i is HF row h*D + i*D/2 + j, i in {0,
 * 1}, j < D/2.
 */
#include "core/model/model.h"
#include "core/file.h"
#include "core/model/model_impl.h"
#include "core/text/tokenizer.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum norm { NORM_ATTENTION, NORM_MLP, NORMS };
enum { NAMED_MAX = 10 };

struct layer_weights {
    const struct tensor *modules[MODULE_KINDS];
    const struct tensor *norms[NORMS];
};

struct model {
    char *path;
    struct model_config config;
    struct model_files files;
    bool gguf;
    struct layer_weights *layers; /* (n_layers) */
    const struct tensor *embedding, *head, *final_norm;
};

/* Faults of one kind: the first NAMED_MAX become problems, the rest is counted. */
struct tally {
    struct problems *problems;
    const char *what; /* "missing tensors" */
    int n;
};

struct resolver {
    struct model *model;
    struct tally missing, misshapen, unreadable;
};

static void tally_add(struct tally *t, const char *file, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void tally_add(struct tally *t, const char *file, const char *fmt, ...)
{
    char text[512];
    va_list ap;

    if (t->n++ >= NAMED_MAX)
        return;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    problems_add(t->problems, file, 0, "%s", text);
}

static void tally_add_rest(const struct tally *t, const char *file)
{
    if (t->n > NAMED_MAX)
        problems_add(t->problems, file, 0, "and %d more %s", t->n - NAMED_MAX, t->what);
}

static const char *shape_text(const int64_t *shape, int n_dims, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; i < n_dims && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? " x " : "",
                                 (long long)shape[i]);
    return n_dims ? text : "a single number";
}

static const struct tensor *find_tensor(const struct model *m, const char *name,
                                        const char **ret_file)
{
    for (int i = 0; i < m->files.n; i++) {
        const struct tensor *t = tensorfile_find(m->files.items[i], name);
        if (!t)
            continue;
        *ret_file = tensorfile_path(m->files.items[i]);
        return t;
    }
    return NULL;
}

/* columns 0: a vector of `rows`. NULL, after adding a problem, if the tensor does not fit. */
static const struct tensor *resolve(struct resolver *r, const char *name, int rows, int columns)
{
    const int64_t wanted[2] = {rows, columns};
    int n_dims = columns ? 2 : 1;
    const char *file = NULL;
    const struct tensor *t = find_tensor(r->model, name, &file);
    char expected[64], found[128];

    if (!t) {
        tally_add(&r->missing, r->model->path, "tensor %s is missing", name);
        return NULL;
    }
    if (t->n_dims != n_dims || memcmp(t->shape, wanted, (size_t)n_dims * sizeof(*wanted)) != 0) {
        tally_add(&r->misshapen, file, "tensor %s is %s; the description makes it %s", name,
                  shape_text(t->shape, t->n_dims, found, sizeof(found)),
                  shape_text(wanted, n_dims, expected, sizeof(expected)));
        return NULL;
    }
    if (t->type == TENSOR_UNSUPPORTED || t->type == TENSOR_I32 || t->type == TENSOR_I64) {
        tally_add(
            &r->unreadable, file,
            "tensor %s has type %.60s, which cannot be read: F32, F16, BF16, and in a GGUF Q8_0, "
            "Q4_0, Q4_1, Q5_0, Q5_1 and Q2_K to Q6_K can",
            name, t->type_name);
        return NULL;
    }
    return t;
}

static void module_tensor_name(bool gguf, int layer, enum module_kind kind, char *name, size_t size)
{
    static const char *const in_gguf[MODULE_KINDS] = {
        [MODULE_Q] = "attn_q",      [MODULE_K] = "attn_k",      [MODULE_V] = "attn_v",
        [MODULE_O] = "attn_output", [MODULE_GATE] = "ffn_gate", [MODULE_UP] = "ffn_up",
        [MODULE_DOWN] = "ffn_down",
    };

    if (gguf)
        snprintf(name, size, "blk.%d.%s.weight", layer, in_gguf[kind]);
    else
        snprintf(name, size, "model.layers.%d.%s.weight", layer, module_kind_path(kind));
}

static void norm_tensor_name(bool gguf, int layer, enum norm norm, char *name, size_t size)
{
    static const char *const names[2][NORMS] = {
        {"input_layernorm", "post_attention_layernorm"},
        {"attn_norm", "ffn_norm"},
    };

    snprintf(name, size, gguf ? "blk.%d.%s.weight" : "model.layers.%d.%s.weight", layer,
             names[gguf][norm]);
}

static void resolve_layer(struct resolver *r, int layer)
{
    struct layer_weights *w = &r->model->layers[layer];
    const struct model_config *c = &r->model->config;
    int rows, columns, i;
    char name[128];

    for (i = 0; i < MODULE_KINDS; i++) {
        model_module_shape(c, i, &rows, &columns);
        module_tensor_name(r->model->gguf, layer, i, name, sizeof(name));
        w->modules[i] = resolve(r, name, rows, columns);
    }
    for (i = 0; i < NORMS; i++) {
        norm_tensor_name(r->model->gguf, layer, i, name, sizeof(name));
        w->norms[i] = resolve(r, name, c->hidden, 0);
    }
}

static void resolve_ends(struct resolver *r)
{
    struct model *m = r->model;
    struct model_config *c = &m->config;
    const char *head = m->gguf ? "output.weight" : "lm_head.weight", *file;

    m->embedding = resolve(r, m->gguf ? "token_embd.weight" : "model.embed_tokens.weight", c->vocab,
                           c->hidden);
    m->final_norm = resolve(r, m->gguf ? "output_norm.weight" : "model.norm.weight", c->hidden, 0);
    if (!c->tied && !find_tensor(m, head, &file))
        c->tied = true;
    m->head = c->tied ? m->embedding : resolve(r, head, c->vocab, c->hidden);
}

/* Tensors beside the weights that we know and that would change the computation. */
static void refuse_biases(const struct model *m, struct problems *problems)
{
    struct tally biases = {problems, "biases", 0};

    for (int i = 0; i < m->files.n; i++) {
        const struct tensorfile *f = m->files.items[i];
        for (int k = 0; k < tensorfile_count(f); k++) {
            const char *name = tensorfile_at(f, k)->name, *dot = strrchr(name, '.');
            if (dot && strcmp(dot, ".bias") == 0)
                tally_add(&biases, tensorfile_path(f),
                          "tensor %.200s: maps with a bias are not supported", name);
        }
    }
    tally_add_rest(&biases, m->path);
}

static bool all_ones(const struct tensor *t)
{
    int64_t n = tensor_elements(t);
    float *values = t->n_dims == 1 && n < 1 << 16 ? malloc((size_t)n * sizeof(float) + 1) : NULL;
    bool ones = values && tensor_read_f32(t, 0, 1, values, NULL) == 0;

    for (int64_t i = 0; ones && i < n; i++)
        ones = values[i] == 1.0f;
    free(values);
    return ones;
}

static void refuse_scaled_rope(const struct model *m, struct problems *problems)
{
    const char *file;
    const struct tensor *factors = m->gguf ? find_tensor(m, "rope_freqs.weight", &file) : NULL;

    if (factors && !all_ones(factors))
        problems_add(problems, m->path, 0,
                     "the GGUF scales its rope frequencies (rope_freqs.weight, as Llama 3 does), "
                     "which is not supported: take the model's Hugging Face folder");
}

static int resolve_all(struct model *m, struct problems *problems, struct err *err)
{
    struct resolver r = {
        .model = m,
        .missing = {problems, "missing tensors", 0},
        .misshapen = {problems, "tensors of wrong shape", 0},
        .unreadable = {problems, "tensors of types that cannot be read", 0},
    };
    int before = problems->n + problems->dropped;

    m->layers = calloc((size_t)m->config.n_layers, sizeof(*m->layers));
    if (!m->layers)
        return err_nomem(err, (size_t)m->config.n_layers * sizeof(*m->layers));
    resolve_ends(&r);
    for (int i = 0; i < m->config.n_layers; i++)
        resolve_layer(&r, i);
    tally_add_rest(&r.missing, m->path);
    tally_add_rest(&r.misshapen, m->path);
    tally_add_rest(&r.unreadable, m->path);
    refuse_biases(m, problems);
    refuse_scaled_rope(m, problems);
    if (problems->n + problems->dropped > before)
        return err_set(err, ERR_INVALID, "%s: the weights cannot be used", m->path);
    return 0;
}

static int open_folder(struct model *m, struct problems *problems, struct err *err)
{
    char *config = file_join(m->path, "config.json");
    int rc, rc_files;

    if (!config)
        return err_nomem(err, strlen(m->path));
    rc = model_describe_json(config, &m->config, problems, err);
    rc_files = model_files_open(m->path, &m->files, problems, err);
    free(config);
    return rc < 0 ? rc : rc_files;
}

static int open_gguf(struct model *m, struct problems *problems, struct err *err)
{
    struct err failed;
    int rc;

    m->files.items = calloc(1, sizeof(*m->files.items));
    if (!m->files.items)
        return err_nomem(err, sizeof(*m->files.items));
    rc = tensorfile_open(m->path, &m->files.items[0], &failed);
    if (rc < 0) {
        problems_add(problems, NULL, 0, "%s", failed.text);
        return err_set(err, rc == ERR_NOMEM ? rc : ERR_INVALID, "%s", failed.text);
    }
    m->files.n = 1;
    m->gguf = tensorfile_is_gguf(m->files.items[0]);
    if (m->gguf)
        return model_describe_gguf(m->files.items[0], &m->config, problems, err);
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
        rc = resolve_all(m, problems, err);
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

void model_module_shape(const struct model_config *c, enum module_kind kind, int *ret_rows,
                        int *ret_columns)
{
    int q = c->n_heads * c->head_dim, kv = c->n_kv_heads * c->head_dim;
    const int shapes[MODULE_KINDS][2] = {
        [MODULE_Q] = {q, c->hidden},
        [MODULE_K] = {kv, c->hidden},
        [MODULE_V] = {kv, c->hidden},
        [MODULE_O] = {c->hidden, q},
        [MODULE_GATE] = {c->intermediate, c->hidden},
        [MODULE_UP] = {c->intermediate, c->hidden},
        [MODULE_DOWN] = {c->hidden, c->intermediate},
    };

    *ret_rows = shapes[kind][0];
    *ret_columns = shapes[kind][1];
}

static int read_whole(const struct tensor *t, float *out, struct err *err)
{
    return tensor_read_f32(t, 0, t->n_dims < 2 ? 1 : t->shape[0], out, err);
}

/* Puts the rows of each head of D back: see the head of this file. */
static int read_unpermuted(const struct tensor *t, int D, float *out, struct err *err)
{
    int64_t columns = t->shape[1];
    int rc = 0;

    for (int64_t row = 0; row < t->shape[0] && rc == 0; row++) {
        int64_t head = row / D * D, half = row % D / (D / 2), j = row % (D / 2);
        rc = tensor_read_f32(t, head + 2 * j + half, 1, out + row * columns, err);
    }
    return rc;
}

int model_read_module(const struct model *model, int layer, enum module_kind kind, float *out,
                      struct err *err)
{
    const struct tensor *t = model->layers[layer].modules[kind];

    if (model->gguf && (kind == MODULE_Q || kind == MODULE_K))
        return read_unpermuted(t, model->config.head_dim, out, err);
    return read_whole(t, out, err);
}

int model_read_norms(const struct model *model, int layer, float *attention, float *mlp,
                     struct err *err)
{
    const struct layer_weights *w = &model->layers[layer];
    int rc = read_whole(w->norms[NORM_ATTENTION], attention, err);

    return rc < 0 ? rc : read_whole(w->norms[NORM_MLP], mlp, err);
}

int model_read_embedding(const struct model *model, float *out, struct err *err)
{
    return read_whole(model->embedding, out, err);
}

int model_read_head(const struct model *model, float *out, struct err *err)
{
    return read_whole(model->head, out, err);
}

int model_read_final_norm(const struct model *model, float *out, struct err *err)
{
    return read_whole(model->final_norm, out, err);
}

static int open_folder_tokenizer(const struct model *model, struct tokenizer **ret_tokenizer,
                                 struct err *err)
{
    char *path = file_join(model->path, "tokenizer.json");
    char *pieces = file_join(model->path, "tokenizer.model");
    int rc = 0;

    if (!path || !pieces)
        rc = err_nomem(err, strlen(model->path));
    else if (access(path, F_OK) == 0)
        rc = tokenizer_from_json(path, model->config.bos_id, model->config.eos_id, ret_tokenizer,
                                 err);
    else if (access(pieces, F_OK) == 0)
        rc = err_set(err, ERR_UNSUPPORTED,
                     "%s: the folder has a SentencePiece tokenizer.model but no tokenizer.json",
                     model->path);
    else
        *ret_tokenizer = NULL;
    free(path);
    free(pieces);
    return rc;
}

int model_open_tokenizer(const struct model *model, struct tokenizer **ret_tokenizer,
                         struct err *err)
{
    if (!model->gguf)
        return open_folder_tokenizer(model, ret_tokenizer, err);
    if (tensorfile_kv_string(model->files.items[0], "tokenizer.ggml.model"))
        return tokenizer_from_gguf(model->files.items[0], ret_tokenizer, err);
    *ret_tokenizer = NULL;
    return 0;
}
