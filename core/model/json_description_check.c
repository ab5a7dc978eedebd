/* core/model/json_description_check.c - see json_description.h. What a GGUF can have and no class
 * of transformers: some of a layer's biases without the others, layers of other rope, frequencies
 * that no rule makes. */
#include "core/json_file.h"
#include "core/model/description_compare.h"
#include "core/model/json_description.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct check {
    const struct model *m;
    const struct model_config *c; /* the GGUF's */
    const struct model_config *r; /* as it was read back */
    struct problems *problems;
};

static void fault(const struct check *k, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void fault(const struct check *k, const char *fmt, ...)
{
    char text[400];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    problems_add(k->problems, k->m->path, 0, "cannot become a folder of %s: %s", k->c->architecture,
                 text);
}

static void same_numbers(const struct check *k)
{
    struct description_number is[DESCRIPTION_NUMBERS], becomes[DESCRIPTION_NUMBERS];

    description_numbers(k->c, is);
    description_numbers(k->r, becomes);
    for (int i = 0; i < DESCRIPTION_NUMBERS; i++)
        if (!description_is_near(is[i].value, becomes[i].value))
            fault(k, "%s is %.9g, but in config.json it would be %.9g", is[i].name, is[i].value,
                  becomes[i].value);
}

static void same_biases(const struct check *k)
{
    char with[100] = "", without[100] = "";
    size_t n_with = 0, n_without = 0;
    bool same = true;

    for (int kind = 0; kind < MODULE_KINDS; kind++) {
        if (!model_has_module(k->c, kind))
            continue;
        same &= k->c->biases[kind] == k->r->biases[kind];
        if (k->c->biases[kind])
            n_with += (size_t)snprintf(with + n_with, sizeof(with) - n_with, "%s%s",
                                       n_with ? ", " : "", module_kind_name(kind));
        else
            n_without += (size_t)snprintf(without + n_without, sizeof(without) - n_without, "%s%s",
                                          n_without ? ", " : "", module_kind_name(kind));
    }
    if (!same)
        fault(k, "it has biases of %s and none of %s, for which config.json has no words", with,
              without);
}

static void same_layers(const struct check *k)
{
    bool windows = false, turns = false;

    for (int i = 0; i < k->c->n_layers; i++) {
        unsigned char either = k->c->layers[i] ^ k->r->layers[i];
        windows |= (either & (LAYER_WINDOW | LAYER_ROPE_LOCAL)) ||
                   ((k->c->layers[i] & LAYER_WINDOW) && k->c->window != k->r->window);
        turns |= (either & LAYER_ROPE) != 0;
    }
    if (windows)
        fault(k, "config.json has no words for its sliding windows");
    if (turns)
        fault(k, "config.json has no words for its layers without rope");
}

static bool same_sizes(const struct model_config *c, const struct model_config *r)
{
    return c->n_layers == r->n_layers && c->hidden == r->hidden && c->n_heads == r->n_heads &&
           c->n_kv_heads == r->n_kv_heads && c->head_dim == r->head_dim &&
           c->intermediate == r->intermediate && c->vocab == r->vocab &&
           c->max_positions == r->max_positions && c->tied == r->tied && c->fused == r->fused;
}

static void compare(const struct check *k)
{
    if (!same_sizes(k->c, k->r)) /* of our own making */
        fault(k, "config.json does not give back its sizes");
    if (k->c->activation != k->r->activation)
        fault(k, "config.json does not give back its activation");
    same_numbers(k);
    same_biases(k);
    same_layers(k);
    if (description_same_rope(k->c, k->r))
        return;
    if (k->c->rope_form[ROPE_MAIN].rule == RULE_LLAMA3)
        fault(k, "no numbers of the rope scaling llama3 give the divisors of rope_freqs.weight");
    else
        fault(k, "config.json has no words for its rope scaling");
}

int model_check_json_description(const struct model *m, const struct buf *text,
                                 struct problems *problems, struct err *err)
{
    struct model_config *r = calloc(1, sizeof(*r));
    const struct check k = {m, &m->config, r, problems};
    json_t *root = NULL;
    char *unread = NULL;
    int rc = r ? 0 : err_nomem(err, sizeof(*r));

    if (rc == 0)
        rc = json_file_parse(text->data, text->len, "config.json", &root, err);
    if (rc == 0) {
        rc = model_describe_json_object("config.json", root, r, &unread, problems, err);
        if (rc == 0)
            compare(&k);
        rc = rc == ERR_INVALID || rc == ERR_UNSUPPORTED ? 0 : rc; /* that is in problems */
    }
    json_decref(root);
    free(unread);
    free(r);
    return rc;
}
