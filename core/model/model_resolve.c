/* core/model/model_resolve.c - which tensor is which weight.
 *
 * Names are the families': those of Hugging Face's classes in a folder, llama.cpp's in a GGUF.
 * Every tensor of the files must be claimed by a weight, so that nothing that would change the
 * result is left out unnoticed; buffers that can be computed, and the part of a model that reads
 * images, are known and skipped.
 */
#include "core/model/model_impl.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMED_MAX = 10 };

/* Faults of one kind: the first NAMED_MAX become problems, the rest is counted. */
struct tally {
    struct problems *problems;
    const char *what; /* "missing tensors" */
    int n;
};

struct resolver {
    struct model *model;
    const char *prefix;   /* of a folder's names: "model." */
    const char *head;     /* the head's name */
    unsigned char **used; /* (files) flags of their tensors */
    struct tally missing, misshapen, unreadable, unclaimed;
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

/* ---- finding a tensor ---- */

static const char *shape_text(const int64_t *shape, int n_dims, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; i < n_dims && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? " x " : "",
                                 (long long)shape[i]);
    return n_dims ? text : "a single number";
}

/* It counts as claimed. */
static const struct tensor *find_tensor(struct resolver *r, const char *name, const char **ret_file)
{
    const struct model_files *files = &r->model->files;

    for (int i = 0; i < files->n; i++) {
        const struct tensor *t = tensorfile_find(files->items[i], name);
        if (!t)
            continue;
        r->used[i][t - tensorfile_at(files->items[i], 0)] = 1;
        *ret_file = tensorfile_path(files->items[i]);
        return t;
    }
    return NULL;
}

static bool has_tensor(const struct model *m, const char *name)
{
    for (int i = 0; i < m->files.n; i++)
        if (tensorfile_find(m->files.items[i], name))
            return true;
    return false;
}

/* columns 0: a vector of `rows`. NULL, after adding a problem, if the tensor does not fit. */
static const struct tensor *resolve(struct resolver *r, const char *name, int rows, int columns)
{
    const int64_t wanted[2] = {rows, columns};
    int n_dims = columns ? 2 : 1;
    const char *file = NULL;
    const struct tensor *t = find_tensor(r, name, &file);
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
            "Q4_0 to Q5_1, Q2_K to Q6_K, IQ1_S to IQ4_XS, TQ1_0, TQ2_0, MXFP4 and NVFP4 can",
            name, t->type_name);
        return NULL;
    }
    return t;
}

/* ---- names ---- */

void model_gguf_module_name(int layer, enum module_kind kind, const char *part, char *name,
                            size_t size)
{
    static const char *const in_gguf[MODULE_KINDS] = {
        [MODULE_Q] = "attn_q",     [MODULE_K] = "attn_k",       [MODULE_V] = "attn_v",
        [MODULE_QKV] = "attn_qkv", [MODULE_O] = "attn_output",  [MODULE_GATE] = "ffn_gate",
        [MODULE_UP] = "ffn_up",    [MODULE_GATE_UP] = "ffn_up", [MODULE_DOWN] = "ffn_down",
    };

    snprintf(name, size, "blk.%d.%s.%s", layer, in_gguf[kind], part);
}

void model_folder_module_name(const char *prefix, int layer, enum module_kind kind,
                              const char *part, char *name, size_t size)
{
    snprintf(name, size, "%slayers.%d.%s.%s", prefix, layer, module_kind_path(kind), part);
}

static void module_name(const struct resolver *r, int layer, enum module_kind kind,
                        const char *part, char *name, size_t size)
{
    if (r->model->gguf)
        model_gguf_module_name(layer, kind, part, name, size);
    else
        model_folder_module_name(r->prefix, layer, kind, part, name, size);
}

void model_gguf_norm_name(int layer, enum norm_kind kind, char *name, size_t size)
{
    static const char *const in_gguf[NORM_KINDS] = {
        [NORM_PRE_ATTENTION] = "attn_norm", [NORM_POST_ATTENTION] = "post_attention_norm",
        [NORM_PRE_MLP] = "ffn_norm",        [NORM_POST_MLP] = "post_ffw_norm",
        [NORM_Q] = "attn_q_norm",           [NORM_K] = "attn_k_norm",
    };

    snprintf(name, size, "blk.%d.%s.weight", layer, in_gguf[kind]);
}

void model_folder_norm_name(const char *prefix, const struct model_config *c, int layer,
                            enum norm_kind kind, char *name, size_t size)
{
    static const char *const in_folder[NORM_KINDS] = {
        [NORM_PRE_ATTENTION] = "input_layernorm",
        [NORM_POST_ATTENTION] = "post_attention_layernorm",
        [NORM_PRE_MLP] = "pre_feedforward_layernorm",
        [NORM_POST_MLP] = "post_feedforward_layernorm",
        [NORM_Q] = "self_attn.q_norm",
        [NORM_K] = "self_attn.k_norm",
    };
    const char *folder = in_folder[kind];

    /* Without norms behind attention the one before the MLP has that name. */
    if (kind == NORM_PRE_MLP && !c->post_norm)
        folder = in_folder[NORM_POST_ATTENTION];
    snprintf(name, size, "%slayers.%d.%s.weight", prefix, layer, folder);
}

static void norm_name(const struct resolver *r, int layer, enum norm_kind kind, char *name,
                      size_t size)
{
    if (r->model->gguf)
        model_gguf_norm_name(layer, kind, name, size);
    else
        model_folder_norm_name(r->prefix, &r->model->config, layer, kind, name, size);
}

/* The text part of a model that reads images too has names behind another prefix. */
static void choose_names(struct resolver *r)
{
    static const struct {
        const char *prefix, *head;
    } forms[] = {
        {"model.", "lm_head.weight"},
        {"language_model.model.", "language_model.lm_head.weight"},
        {"model.language_model.", "lm_head.weight"},
    };
    char name[80];

    r->prefix = forms[0].prefix;
    r->head = r->model->gguf ? "output.weight" : forms[0].head;
    for (size_t i = 0; !r->model->gguf && i < sizeof(forms) / sizeof(forms[0]); i++) {
        snprintf(name, sizeof(name), "%sembed_tokens.weight", forms[i].prefix);
        if (!has_tensor(r->model, name))
            continue;
        r->prefix = forms[i].prefix;
        r->head = forms[i].head;
        return;
    }
}

/* ---- the weights ---- */

static void resolve_layer(struct resolver *r, int layer)
{
    struct layer_weights *w = &r->model->layers[layer];
    const struct model_config *c = &r->model->config;
    int rows, columns, i, n;
    char name[128];

    for (i = 0; i < MODULE_KINDS; i++) {
        if (!model_has_module(c, i))
            continue;
        model_module_shape(c, i, &rows, &columns);
        module_name(r, layer, i, "weight", name, sizeof(name));
        w->modules[i] = resolve(r, name, rows, columns);
        if (!c->biases[i])
            continue;
        module_name(r, layer, i, "bias", name, sizeof(name));
        w->biases[i] = resolve(r, name, rows, 0);
    }
    for (i = 0; i < NORM_KINDS; i++) {
        n = model_norm_size(c, i);
        if (!n)
            continue;
        norm_name(r, layer, i, name, sizeof(name));
        w->norms[i] = resolve(r, name, n, 0);
    }
}

static bool is_same(const struct tensor *a, const struct tensor *b)
{
    return a && b && a->type == b->type && a->bytes == b->bytes &&
           memcmp(a->data, b->data, a->bytes) == 0;
}

/* A head of its own wins over tie_word_embeddings, as in transformers 5. */
static void resolve_head(struct resolver *r)
{
    struct model *m = r->model;
    struct model_config *c = &m->config;

    if (c->tied && !has_tensor(m, r->head)) {
        m->head = m->embedding;
        return;
    }
    if (!m->gguf && !has_tensor(m, r->head)) {
        tally_add(&r->missing, m->path,
                  "tensor %s is missing, and config.json has tie_word_embeddings false: the file "
                  "is not whole, or tie_word_embeddings should be true",
                  r->head);
        return;
    }
    m->head = resolve(r, r->head, c->vocab, c->hidden);
    c->tied = is_same(m->head, m->embedding);
    if (c->tied)
        m->head = m->embedding;
}

static void resolve_ends(struct resolver *r)
{
    struct model *m = r->model;
    char embedding[80], norm[80];

    snprintf(embedding, sizeof(embedding), "%sembed_tokens.weight", r->prefix);
    snprintf(norm, sizeof(norm), "%snorm.weight", r->prefix);
    m->embedding =
        resolve(r, m->gguf ? "token_embd.weight" : embedding, m->config.vocab, m->config.hidden);
    m->final_norm = resolve(r, m->gguf ? "output_norm.weight" : norm, m->config.hidden, 0);
    resolve_head(r);
}

/* ---- what is left ---- */

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n >= m && strcmp(name + n - m, end) == 0;
}

static bool begins_with(const char *name, const char *begin)
{
    return strncmp(name, begin, strlen(begin)) == 0;
}

/* Buffers that are computed from the description, and what a text does not use. */
static bool is_known_buffer(const struct resolver *r, const char *name)
{
    bool text_part = strcmp(r->prefix, "model.") != 0;

    if (r->model->gguf)
        return strcmp(name, "rope_freqs.weight") == 0 ||
               (r->model->config.rope_long_from && begins_with(name, "rope_factors_"));
    if (text_part && (strstr(name, "vision_tower.") || strstr(name, "multi_modal_projector.")))
        return true;
    return ends_with(name, ".rotary_emb.inv_freq");
}

static void report_unclaimed(struct resolver *r)
{
    const struct model_files *files = &r->model->files;

    for (int i = 0; i < files->n; i++)
        for (int k = 0; k < tensorfile_count(files->items[i]); k++) {
            const char *name = tensorfile_at(files->items[i], k)->name;
            if (!r->used[i][k] && !is_known_buffer(r, name))
                tally_add(&r->unclaimed, tensorfile_path(files->items[i]),
                          "tensor %.200s has no place in a %s: it is not supported", name,
                          r->model->config.architecture);
        }
}

static int open_flags(struct resolver *r, struct err *err)
{
    const struct model_files *files = &r->model->files;

    r->used = calloc((size_t)files->n + 1, sizeof(*r->used));
    for (int i = 0; r->used && i < files->n; i++) {
        r->used[i] = calloc((size_t)tensorfile_count(files->items[i]) + 1, 1);
        if (!r->used[i])
            return err_nomem(err, (size_t)tensorfile_count(files->items[i]));
    }
    return r->used ? 0 : err_nomem(err, (size_t)files->n * sizeof(*r->used));
}

static void free_flags(struct resolver *r)
{
    for (int i = 0; r->used && i < r->model->files.n; i++)
        free(r->used[i]);
    free(r->used);
}

static void resolve_all(struct resolver *r)
{
    struct model *m = r->model;

    choose_names(r);
    resolve_ends(r);
    for (int i = 0; i < m->config.n_layers; i++)
        resolve_layer(r, i);
    report_unclaimed(r);
    tally_add_rest(&r->missing, m->path);
    tally_add_rest(&r->misshapen, m->path);
    tally_add_rest(&r->unreadable, m->path);
    tally_add_rest(&r->unclaimed, m->path);
}

int model_resolve(struct model *m, struct problems *problems, struct err *err)
{
    struct resolver r = {
        .model = m,
        .missing = {problems, "missing tensors", 0},
        .misshapen = {problems, "tensors of wrong shape", 0},
        .unreadable = {problems, "tensors of types that cannot be read", 0},
        .unclaimed = {problems, "tensors that have no place", 0},
    };
    int before = problems_count(problems), rc = 0;

    m->layers = calloc((size_t)m->config.n_layers, sizeof(*m->layers));
    if (!m->layers)
        return err_nomem(err, (size_t)m->config.n_layers * sizeof(*m->layers));
    rc = open_flags(&r, err);
    if (rc == 0)
        resolve_all(&r);
    free_flags(&r);
    if (rc == 0 && problems_count(problems) > before)
        rc = err_set(err, ERR_INVALID, "%s: the weights cannot be used", m->path);
    return rc;
}
