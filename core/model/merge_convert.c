/* core/model/merge_convert.c - see merge.h: what a folder's weights, description and tokenizer are
 * in a GGUF. Tensors get llama.cpp's names; rows of q and k are interleaved where the family's are;
 * norms hold what x is multiplied by. */
#include "core/model/gguf_description.h"
#include "core/model/merge.h"
#include "core/model/merge_impl.h"
#include "core/text/gguf_tokens.h"
#include "core/text/tokenizer_write.h"
#include "core/utf8.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 80, QUANTIZATION_VERSION = 2 };

/* ---- tensors ---- */

struct conversion { /* one that is being made */
    const struct merge *m;
    struct merge_conversion *ret;
    bool failed;
};

static const struct tensorfile *file_of(const struct model *m, const struct tensor *t)
{
    for (int i = 0; i < m->files.n; i++)
        if (tensorfile_find(m->files.items[i], t->name) == t)
            return m->files.items[i];
    return m->files.items[0];
}

static struct merge_tensor *add(struct conversion *c, const char *name, const struct tensor *from)
{
    struct merge_plan *p = &c->ret->plan;
    struct merge_tensor *t = &p->of[p->n];

    *t = (struct merge_tensor){.name = pool_text(&c->ret->pool, name, strlen(name)),
                               .source = {from, 0},
                               .file = file_of(c->m->model, from)};
    c->failed |= !t->name;
    p->n += t->name != NULL;
    return t;
}

static void add_divisors(struct conversion *c)
{
    struct gguf_divisors *d = pool_alloc(&c->ret->pool, GGUF_DIVISORS_MAX * sizeof(*d));
    struct tensor *t = pool_alloc(&c->ret->pool, GGUF_DIVISORS_MAX * sizeof(*t));
    int n = d && t ? model_gguf_divisors(c->m->model, d) : 0;

    c->failed |= !d || !t;
    for (int i = 0; i < n; i++) {
        t[i] = (struct tensor){.name = d[i].name,
                               .type = TENSOR_F32,
                               .n_dims = 1,
                               .shape = {d[i].n},
                               .data = d[i].values,
                               .bytes = (size_t)d[i].n * sizeof(float)};
        add(c, d[i].name, &t[i]);
    }
}

static void add_module(struct conversion *c, int layer, enum module_kind kind)
{
    const struct model *m = c->m->model;
    const struct layer_weights *w = &m->layers[layer];
    int interleave = model_gguf_interleaved(m, kind);
    char name[NAME_BYTES];
    struct merge_tensor *t;

    if (!model_has_module(&m->config, kind))
        return;
    model_gguf_module_name(layer, kind, "weight", name, sizeof(name));
    t = add(c, name, w->modules[kind]);
    t->interleave = interleave;
    merge_adapt(c->m, t);
    if (!m->config.biases[kind])
        return;
    model_gguf_module_name(layer, kind, "bias", name, sizeof(name));
    add(c, name, w->biases[kind])->interleave = interleave;
}

static void add_layer(struct conversion *c, int layer)
{
    const struct model *m = c->m->model;
    char name[NAME_BYTES];

    for (int kind = 0; kind < NORM_KINDS; kind++) {
        if (!model_norm_size(&m->config, kind))
            continue;
        model_gguf_norm_name(layer, kind, name, sizeof(name));
        add(c, name, m->layers[layer].norms[kind])->added = model_norm_plus_one(m);
    }
    for (int kind = 0; kind < MODULE_KINDS; kind++)
        add_module(c, layer, kind);
}

int merge_conversion_open(const struct merge *m, struct merge_conversion *ret,
                          struct problems *problems, struct err *err)
{
    const struct model *model = m->model;
    size_t most =
        GGUF_DIVISORS_MAX + 3 + (size_t)model->config.n_layers * (NORM_KINDS + 2 * MODULE_KINDS);
    struct conversion c = {.m = m, .ret = ret};
    int rc;

    ret->plan.of = calloc(most + 1, sizeof(*ret->plan.of));
    if (!ret->plan.of)
        return err_nomem(err, most * sizeof(*ret->plan.of));
    rc = model_check_gguf_description(model, problems, err);
    if (rc < 0)
        return rc;
    add_divisors(&c);
    add(&c, "token_embd.weight", model->embedding);
    for (int i = 0; i < model->config.n_layers; i++)
        add_layer(&c, i);
    add(&c, "output_norm.weight", model->final_norm)->added = model_norm_plus_one(model);
    if (model_gguf_has_head(model))
        add(&c, "output.weight", model->head);
    return c.failed ? err_nomem(err, most * NAME_BYTES) : 0;
}

void merge_conversion_close(struct merge_conversion *c)
{
    merge_plan_close(&c->plan);
    pool_free(&c->pool);
}

/* ---- keys ---- */

/* The folder's name. What llama.cpp reads from a name must be so. */
static void put_name(const struct merge *m, const struct tokenizer *t, struct gguf_out *o)
{
    bool strips = t && tokenizer_strips_as_phi3(t);
    char path[PATH_MAX], name[NAME_MAX + 16];
    const char *slash;

    slash = realpath(m->model->path, path) ? strrchr(path, '/') : NULL;
    snprintf(name, sizeof(name), "%s%s",
             strips && !(slash && gguf_names_phi3(slash)) ? "Phi-3 " : "",
             slash && slash[1] ? slash + 1 : "model");
    if (utf8_is_valid(name) && (!t || gguf_names_phi3(name) == strips))
        gguf_put_string(o, "general.name", name);
    else if (strips)
        gguf_put_string(o, "general.name", "Phi-3");
}

static bool reads_images(const struct model *m)
{
    for (int i = 0; i < m->files.n; i++)
        for (int k = 0; k < tensorfile_count(m->files.items[i]); k++) {
            const char *name = tensorfile_at(m->files.items[i], k)->name;
            if (strstr(name, "vision_tower.") || strstr(name, "multi_modal_projector."))
                return true;
        }
    return false;
}

static int put_tokenizer(const struct merge *m, const struct tokenizer *t, struct gguf_out *o,
                         struct buf *notices, struct problems *problems, struct err *err)
{
    const struct tokenizer_writing w = {.tokenizer = t,
                                        .from = m->model->path,
                                        .n_tokens = m->model->config.vocab,
                                        .chat_template = m->chat_template};

    if (t)
        return tokenizer_write_gguf(&w, o, notices, problems, err);
    gguf_put_string(o, "tokenizer.ggml.model", "none");
    buf_puts(notices, "the model has no tokenizer: what is written takes and gives token ids\n");
    return 0;
}

int merge_conversion_put_keys(const struct merge *m, int file_type, struct gguf_out *o,
                              struct buf *notices, struct problems *problems, struct err *err)
{
    struct tokenizer *t = NULL;
    int rc = merge_open_tokenizer(m->model, &t, problems, err);

    if (rc < 0)
        return rc;
    gguf_put_string(o, "general.architecture", model_gguf_architecture(m->model));
    gguf_put_string(o, "general.type", "model");
    put_name(m, t, o);
    model_put_gguf_description(m->model, o, notices);
    gguf_put_u32(o, "general.file_type", (uint32_t)file_type);
    gguf_put_u32(o, "general.quantization_version", QUANTIZATION_VERSION);
    if (reads_images(m->model))
        buf_puts(notices, "the part of the model that reads images is left out\n");
    rc = put_tokenizer(m, t, o, notices, problems, err);
    tokenizer_free(t);
    return rc;
}
