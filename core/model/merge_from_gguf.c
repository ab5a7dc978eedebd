/* core/model/merge_from_gguf.c - see merge.h: what a GGUF's weights, description and tokenizer are
 * in a folder. Tensors get the names of transformers; rows of q and k are put back in order, and
 * norms become what transformers adds one to, where the family's are.
 *
 * In F32 a norm of 1/2 or more is given back exactly by what is written, as 1 + w.
 * All numbers of a folder have one type, to which transformers casts whatever it finds.
 */
#include "core/json_write.h"
#include "core/model/json_description.h"
#include "core/model/merge.h"
#include "core/model/merge_impl.h"
#include "core/text/token_list.h"
#include "core/text/tokenizer_write_json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 80 };

static const char prefix[] = "model."; /* of names */

/* ---- tensors ---- */

struct conversion { /* one that is being made */
    const struct merge *m;
    struct merge_folder_parts *ret;
    const struct tensorfile *file; /* whose tensors are looked for */
    bool failed;
};

/* Only if the tensor is in the file. */
static void add(struct conversion *c, const char *name, const struct tensor *from, int interleaved,
                int added)
{
    struct merge_plan *p = &c->ret->plan;
    struct merge_tensor *t = &p->of[p->n];

    if (tensorfile_find(c->file, from->name) != from)
        return;
    *t = (struct merge_tensor){.name = pool_text(&c->ret->pool, name, strlen(name)),
                               .source = {from, interleaved},
                               .in_order = interleaved != 0,
                               .added = added,
                               .file = c->file};
    merge_adapt(c->m, t);
    c->ret->matrices[from->type] += from->n_dims > 1;
    c->failed |= !t->name;
    p->n += t->name != NULL;
}

static void add_module(struct conversion *c, int layer, enum module_kind kind)
{
    const struct model *m = c->m->model;
    const struct layer_weights *w = &m->layers[layer];
    int interleaved = model_gguf_interleaved(m, kind);
    char name[NAME_BYTES];

    if (!model_has_module(&m->config, kind))
        return;
    model_folder_module_name(prefix, layer, kind, "weight", name, sizeof(name));
    add(c, name, w->modules[kind], interleaved, 0);
    if (!m->config.biases[kind])
        return;
    model_folder_module_name(prefix, layer, kind, "bias", name, sizeof(name));
    add(c, name, w->biases[kind], interleaved, 0);
}

static void add_layer(struct conversion *c, int layer, int of_norms)
{
    const struct model *m = c->m->model;
    char name[NAME_BYTES];

    for (int kind = 0; kind < NORM_KINDS; kind++) {
        if (!model_norm_size(&m->config, kind))
            continue;
        model_folder_norm_name(prefix, &m->config, layer, kind, name, sizeof(name));
        add(c, name, m->layers[layer].norms[kind], 0, of_norms);
    }
    for (int kind = 0; kind < MODULE_KINDS; kind++)
        add_module(c, layer, kind);
}

/* What is in the file c->file. */
static void add_tensors(struct conversion *c)
{
    const struct model *m = c->m->model;
    int of_norms = model_norm_plus_one(m) ? -1 : 0;

    add(c, "model.embed_tokens.weight", m->embedding, 0, 0);
    for (int i = 0; i < m->config.n_layers; i++)
        add_layer(c, i, of_norms);
    add(c, "model.norm.weight", m->final_norm, 0, of_norms);
    if (!m->config.tied)
        add(c, "lm_head.weight", m->head, 0, 0);
}

static int make_plan(const struct merge *m, struct merge_folder_parts *p, struct err *err)
{
    const struct model *model = m->model;
    size_t most = 3 + (size_t)model->config.n_layers * (NORM_KINDS + 2 * MODULE_KINDS);
    struct conversion c = {.m = m, .ret = p};

    p->plan.of = calloc(most + 1, sizeof(*p->plan.of));
    if (!p->plan.of)
        return err_nomem(err, most * sizeof(*p->plan.of));
    for (int i = 0; i < model->files.n; i++) {
        c.file = model->files.items[i];
        add_tensors(&c);
    }
    return c.failed ? err_nomem(err, most * NAME_BYTES) : 0;
}

/* ---- types ---- */

/* That of all matrices, if they have one and a folder has it; else F32, since nothing less holds
 * the numbers of a quantised type as they are. */
static enum tensor_type type_kept(const struct merge_folder_parts *p, struct buf *notices)
{
    int n = 0;

    for (enum tensor_type type = 0; type < TENSOR_UNSUPPORTED; type++)
        n += p->matrices[type];
    if (p->matrices[TENSOR_BF16] == n)
        return TENSOR_BF16;
    if (p->matrices[TENSOR_F16] == n)
        return TENSOR_F16;
    if (p->matrices[TENSOR_F32] < n)
        buf_printf(notices,
                   "%d of %d matrices are not F32 in the GGUF and are written as F32, which holds "
                   "their numbers as they are: --type BF16 takes half of the space\n",
                   n - p->matrices[TENSOR_F32], n);
    return TENSOR_F32;
}

/* Norms and biases are F32 in GGUFs of 16 bits. */
static void note_narrowed(const struct merge_plan *p, enum tensor_type type, struct buf *notices)
{
    int n = 0;

    for (int i = 0; i < p->n; i++)
        n += p->of[i].source.tensor->type == TENSOR_F32;
    if (type != TENSOR_F32 && n > 0)
        buf_printf(
            notices,
            "%d vectors are F32 in the GGUF and are written as %s, since all of a folder has "
            "one type: --type F32 keeps them\n",
            n, tensor_type_name(type));
}

static enum tensor_type choose_type(const struct merge *m, struct merge_folder_parts *p,
                                    struct buf *notices)
{
    enum tensor_type type = m->keep ? type_kept(p, notices) : m->type;

    for (int i = 0; i < p->plan.n; i++)
        p->plan.of[i].type = type;
    if (m->keep)
        note_narrowed(&p->plan, type, notices);
    return type;
}

/* ---- the files beside them ---- */

static struct buf *add_file(struct merge_folder_parts *p, const char *name)
{
    struct merge_side_file *file = &p->files[p->n_files++];

    file->name = name;
    return &file->text;
}

/* All that ends a text: a number, or a list. */
static void put_ends(struct json_writer *w, const struct token_list *ends)
{
    if (ends->n == 1)
        json_put_int(w, "eos_token_id", ends->ids[0]);
    if (ends->n < 2)
        return;
    json_put_begin(w, "eos_token_id", '[');
    for (int i = 0; i < ends->n; i++)
        json_write_int(w, ends->ids[i]);
    json_write_end(w, ']');
}

static int put_generation(const struct json_description *d, const struct tokenizer *t,
                          struct buf *out, struct err *err)
{
    struct json_writer w = {.out = out};
    struct token_list ends = {0};
    int rc = 0;

    if (t)
        rc = tokenizer_ends(t, &ends, err);
    else if (d->eos >= 0)
        rc = token_list_push(&ends, d->eos, 0, err);
    json_write_begin(&w, '{');
    if (d->bos >= 0)
        json_put_int(&w, "bos_token_id", d->bos);
    put_ends(&w, &ends);
    if (d->pad >= 0)
        json_put_int(&w, "pad_token_id", d->pad);
    json_write_end(&w, '}');
    token_list_free(&ends);
    return rc;
}

static int put_tokenizer(const struct merge *m, const struct tokenizer *t,
                         struct merge_folder_parts *p, struct buf *notices,
                         struct problems *problems, struct err *err)
{
    const struct tokenizer_writing w = {.tokenizer = t,
                                        .from = m->model->path,
                                        .n_tokens = m->model->config.vocab,
                                        .n_positions = m->model->config.max_positions,
                                        .chat_template = m->chat_template};
    struct buf *json = add_file(p, "tokenizer.json");

    return tokenizer_write_json(&w, json, add_file(p, "tokenizer_config.json"), notices, problems,
                                err);
}

static int put_files(const struct merge *m, enum tensor_type type, const struct tokenizer *t,
                     struct merge_folder_parts *p, struct buf *notices, struct problems *problems,
                     struct err *err)
{
    const struct model_config *c = &m->model->config;
    const struct json_description d = {.model = m->model,
                                       .bos = t ? tokenizer_bos(t) : c->bos_id,
                                       .eos = t ? tokenizer_eos(t) : c->eos_id,
                                       .pad = t ? tokenizer_named(t, "pad_token") : -1,
                                       .type = type};
    struct buf *config = add_file(p, "config.json"), *generation;
    int rc;

    model_put_json_description(&d, config);
    generation = add_file(p, "generation_config.json");
    rc = put_generation(&d, t, generation, err);
    if (rc == 0 && (config->failed || generation->failed))
        rc = err_nomem(err, config->len + generation->len);
    if (rc == 0)
        rc = model_check_json_description(m->model, config, problems, err);
    if (rc == 0 && t)
        rc = put_tokenizer(m, t, p, notices, problems, err);
    else if (rc == 0)
        buf_puts(notices, "the model has no tokenizer: what is written takes and gives token "
                          "ids\n");
    return rc;
}

static void note_window(const struct model *m, struct buf *notices)
{
    int window = model_lost_window(m);

    if (window && window < m->config.max_positions)
        buf_printf(notices,
                   "a GGUF of Mistral does not say that its layers have a sliding window: if it "
                   "was one of %d tokens, the folder differs from the original in longer texts\n",
                   window);
}

int merge_folder_parts_open(const struct merge *m, struct merge_folder_parts *ret,
                            struct buf *notices, struct problems *problems, struct err *err)
{
    struct tokenizer *t = NULL;
    enum tensor_type type;
    int rc = make_plan(m, ret, err);

    if (rc == 0)
        rc = merge_open_tokenizer(m->model, &t, problems, err);
    if (rc == 0) {
        type = choose_type(m, ret, notices);
        note_window(m->model, notices);
        rc = put_files(m, type, t, ret, notices, problems, err);
    }
    tokenizer_free(t);
    return rc;
}

void merge_folder_parts_close(struct merge_folder_parts *p)
{
    merge_plan_close(&p->plan);
    pool_free(&p->pool);
    for (int i = 0; i < p->n_files; i++)
        buf_free(&p->files[i].text);
}
