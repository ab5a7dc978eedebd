/* core/model/gguf_description_check.c - see gguf_description.h. The keys are put into a small file
 * in memory, with tensors of one number in place of those whose being there counts, and read as
 * those of any GGUF are. What llama.cpp alone cannot load is looked at before. */
#include "core/model/gguf_description.h"
#include "core/model/description_compare.h"
#include <stdlib.h>

struct check {
    struct description_check d;
    const struct model *m;
    const struct family *f;
};

/* ---- what llama.cpp does not load ---- */

static void check_biases(const struct check *k)
{
    static const enum module_kind kinds[] = {MODULE_O, MODULE_GATE, MODULE_UP, MODULE_DOWN};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (k->d.is->biases[kinds[i]] && !(k->f->gguf_form & GGUF_BIASES))
            description_check_fault(&k->d, "it has no bias of %s", module_kind_name(kinds[i]));
}

static bool lacks_rule(const struct check *k)
{
    enum rope_rule rule = k->d.is->rope_form[ROPE_MAIN].rule;

    return (rule == RULE_LLAMA3 && !(k->f->gguf_form & GGUF_ROPE_FREQS)) ||
           (rule == RULE_LONG && !(k->f->gguf_form & GGUF_ROPE_FACTORS));
}

static void check_form(const struct check *k)
{
    enum rope_rule rule = k->d.is->rope_form[ROPE_MAIN].rule;

    check_biases(k);
    if ((k->f->gguf_form & GGUF_SQUARE) && k->d.is->n_heads * k->d.is->head_dim != k->d.is->hidden)
        description_check_fault(
            &k->d, "the %d heads of %d numbers must be %d wide together, as hidden_size is",
            k->d.is->n_heads, k->d.is->head_dim, k->d.is->hidden);
    if ((k->f->gguf_form & GGUF_NO_HEAD) && !k->d.is->tied)
        description_check_fault(&k->d, "it has no head other than the embedding (lm_head.weight)");
    if (lacks_rule(k))
        description_check_fault(&k->d, "it has no rope scaling %s",
                                rule == RULE_LLAMA3 ? "llama3" : "longrope");
    if (rule == RULE_YARN && k->f->local_rope)
        description_check_fault(
            &k->d, "llama.cpp would apply the rope scaling yarn to layers with a window, too");
}

/* ---- what is read back ---- */

static void same_layers(const struct check *k)
{
    const struct model_config *c = k->d.is, *r = k->d.becomes;
    bool cut = model_gguf_cuts_context(k->m), windows = false, turns = false;
    unsigned char either;

    for (int i = 0; i < c->n_layers; i++) {
        either = c->layers[i] ^ r->layers[i];
        windows |= !cut && (either & LAYER_WINDOW) && c->window < c->max_positions;
        windows |= !cut && (c->layers[i] & LAYER_WINDOW) && c->window != r->window &&
                   c->window < c->max_positions;
        turns |= either & LAYER_ROPE;
    }
    if (windows)
        description_check_fault(&k->d, "it has other layers with a sliding window");
    if (turns)
        description_check_fault(
            &k->d, "it has rope in other layers (no_rope_layers): every fourth goes without");
}

static void same_rope(const struct check *k)
{
    if (!description_same_rope(k->d.is, k->d.becomes))
        description_check_fault(
            &k->d, "it has no words for this rope scaling: of yarn it has factor, beta_fast and "
                   "beta_slow alone, and layers with a window are never scaled");
}

static void compare(const struct check *k)
{
    description_same_numbers(&k->d);
    if (k->d.is->activation != k->d.becomes->activation)
        description_check_fault(&k->d, "it has another activation than %s", k->f->activation_key);
    same_layers(k);
    if (!lacks_rule(k))
        same_rope(k);
}

/* ---- the small file ---- */

static void put_mark(struct gguf_out *o, const char *name, int n)
{
    struct tensor_out t = {.name = name, .type = TENSOR_F32, .n_dims = 1, .shape = {n}};

    gguf_put_tensor(o, &t);
}

static void put_bias(const struct model *m, struct gguf_out *o, enum module_kind kind)
{
    char name[80];

    model_gguf_module_name(0, kind, "bias", name, sizeof(name));
    if (m->config.biases[kind])
        put_mark(o, name, 1);
}

/* Its numbers are those of the divisors, which come first, and zeros. */
static int make_image(const struct model *m, struct buf *image, struct err *err)
{
    struct gguf_divisors divisors[GGUF_DIVISORS_MAX];
    int n = model_gguf_divisors(m, divisors), rc;
    struct gguf_out o = {.alignment = GGUF_ALIGNMENT};
    struct buf ignored = {0};
    size_t end;

    gguf_put_string(&o, "general.architecture", model_gguf_architecture(m));
    model_put_gguf_description(m, &o, &ignored);
    for (int i = 0; i < n; i++)
        put_mark(&o, divisors[i].name, divisors[i].n);
    for (int kind = 0; kind < MODULE_KINDS; kind++)
        put_bias(m, &o, kind);
    if (model_gguf_has_head(m))
        put_mark(&o, "output.weight", 1);
    rc = gguf_out_header(&o, image, err);
    for (int i = 0; i < n && rc == 0; i++) {
        end = (image->len + sizeof(float) * (size_t)divisors[i].n + GGUF_ALIGNMENT - 1) &
              ~(size_t)(GGUF_ALIGNMENT - 1);
        buf_append(image, divisors[i].values, sizeof(float) * (size_t)divisors[i].n);
        while (image->len < end && !image->failed)
            buf_append(image, "", 1);
    }
    for (int i = 0; i < (MODULE_KINDS + 1) * GGUF_ALIGNMENT; i++)
        buf_append(image, "", 1);
    gguf_out_free(&o);
    buf_free(&ignored);
    return rc < 0 || !image->failed ? rc : err_nomem(err, image->len);
}

static int read_back(const struct check *k, const struct buf *image, struct err *err)
{
    struct tensorfile *file = NULL;
    struct model_config *r = calloc(1, sizeof(*r));
    struct check read = *k;
    int rc = r ? tensorfile_from_memory(image->data, image->len, k->m->path, &file, err)
               : err_nomem(err, sizeof(*r));

    if (rc == 0) {
        struct model_files files = {.items = &file, .n = 1};
        rc = model_describe_gguf(&files, r, k->d.problems, err);
    }
    read.d.becomes = r;
    if (rc == 0)
        compare(&read);
    tensorfile_close(file);
    free(r);
    return rc == ERR_INVALID ? 0 : rc; /* that is in problems */
}

int model_check_gguf_description(const struct model *m, struct problems *problems, struct err *err)
{
    const struct family *f = family_in_gguf(family_by_architecture(m->config.architecture));
    const struct check k = {.d = {.path = m->path,
                                  .form = "a GGUF",
                                  .name = f->gguf,
                                  .place = "there",
                                  .is = &m->config,
                                  .problems = problems},
                            .m = m,
                            .f = f};
    struct buf image = {0};
    int rc = make_image(m, &image, err);

    check_form(&k);
    if (rc == 0)
        rc = read_back(&k, &image, err);
    buf_free(&image);
    return rc;
}
