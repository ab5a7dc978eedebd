/* core/model/json_description_check.c - see json_description.h. What a GGUF can have and no class
 * of transformers: some of a layer's biases without the others, layers of other rope, frequencies
 * that no rule makes. */
#include "core/json_file.h"
#include "core/model/description_compare.h"
#include "core/model/json_description.h"
#include <stdio.h>
#include <stdlib.h>

static void same_biases(const struct description_check *k)
{
    char with[100] = "", without[100] = "";
    size_t n_with = 0, n_without = 0;
    bool same = true;

    for (int kind = 0; kind < MODULE_KINDS; kind++) {
        if (!model_has_module(k->is, kind))
            continue;
        same &= k->is->biases[kind] == k->becomes->biases[kind];
        if (k->is->biases[kind])
            n_with += (size_t)snprintf(with + n_with, sizeof(with) - n_with, "%s%s",
                                       n_with ? ", " : "", module_kind_name(kind));
        else
            n_without += (size_t)snprintf(without + n_without, sizeof(without) - n_without, "%s%s",
                                          n_without ? ", " : "", module_kind_name(kind));
    }
    if (!same)
        description_check_fault(
            k, "it has biases of %s and none of %s, for which config.json has no words", with,
            without);
}

static void same_layers(const struct description_check *k)
{
    bool windows = false, turns = false;

    for (int i = 0; i < k->is->n_layers; i++) {
        unsigned char either = k->is->layers[i] ^ k->becomes->layers[i];
        windows |= (either & (LAYER_WINDOW | LAYER_ROPE_LOCAL)) ||
                   ((k->is->layers[i] & LAYER_WINDOW) && k->is->window != k->becomes->window);
        turns |= (either & LAYER_ROPE) != 0;
    }
    if (windows)
        description_check_fault(k, "config.json has no words for its sliding windows");
    if (turns)
        description_check_fault(k, "config.json has no words for its layers without rope");
}

static bool same_sizes(const struct model_config *c, const struct model_config *r)
{
    return c->n_layers == r->n_layers && c->hidden == r->hidden && c->n_heads == r->n_heads &&
           c->n_kv_heads == r->n_kv_heads && c->head_dim == r->head_dim &&
           c->intermediate == r->intermediate && c->vocab == r->vocab &&
           c->max_positions == r->max_positions && c->tied == r->tied && c->fused == r->fused;
}

static void compare(const struct description_check *k)
{
    if (!same_sizes(k->is, k->becomes)) /* of our own making */
        description_check_fault(k, "config.json does not give back its sizes");
    if (k->is->activation != k->becomes->activation)
        description_check_fault(k, "config.json does not give back its activation");
    description_same_numbers(k);
    same_biases(k);
    same_layers(k);
    if (description_same_rope(k->is, k->becomes))
        return;
    if (k->is->rope_form[ROPE_MAIN].rule == RULE_LLAMA3)
        description_check_fault(
            k, "no numbers of the rope scaling llama3 give the divisors of rope_freqs.weight");
    else
        description_check_fault(k, "config.json has no words for its rope scaling");
}

int model_check_json_description(const struct model *m, const struct buf *text,
                                 struct problems *problems, struct err *err)
{
    struct model_config *r = calloc(1, sizeof(*r));
    const struct description_check k = {.path = m->path,
                                        .form = "a folder",
                                        .name = m->config.architecture,
                                        .place = "in config.json",
                                        .is = &m->config,
                                        .becomes = r,
                                        .problems = problems};
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
