/* core/model/model_identity.c - see model_identity.h. The facts are a table, so that one that
 * differs can be named. */
#include "core/model/model_identity.h"
#include "core/model/model_impl.h"
#include "core/tensor/tensorfile_impl.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <xxhash.h>

enum fact_kind { FACT_INT, FACT_DOUBLE, FACT_FLAG, FACT_TEXT, FACT_LIST };

struct fact {
    size_t at, size;
    enum fact_kind kind;
    const char *words; /* with %s for the value; of a list what it is */
};

#define FACT(field, kind, words)                                                                   \
    {                                                                                              \
        offsetof(struct model_config, field), sizeof(((struct model_config *)NULL)->field), kind,  \
            words                                                                                  \
    }

/* The first that differs is named: the plainest come first. */
static const struct fact facts[] = {
    FACT(n_layers, FACT_INT, "%s layers"),
    FACT(vocab, FACT_INT, "a vocabulary of %s tokens"),
    FACT(architecture, FACT_TEXT, "architecture %s"),
    FACT(hidden, FACT_INT, "hidden size %s"),
    FACT(n_heads, FACT_INT, "%s attention heads"),
    FACT(n_kv_heads, FACT_INT, "%s key and value heads"),
    FACT(head_dim, FACT_INT, "head size %s"),
    FACT(intermediate, FACT_INT, "intermediate size %s"),
    FACT(max_positions, FACT_INT, "at most %s positions"),
    FACT(rms_eps, FACT_DOUBLE, "RMS norm epsilon %s"),
    FACT(window, FACT_INT, "a sliding window of %s tokens"),
    FACT(layers, FACT_LIST, "layers with a window or rope"),
    FACT(rope_pairs, FACT_INT, "%s pairs of rope"),
    FACT(rope_long_from, FACT_INT, "long rows of rope from %s tokens"),
    FACT(rope, FACT_LIST, "rope frequencies"),
    FACT(tied, FACT_FLAG, "tied embeddings: %s"),
    FACT(fused, FACT_FLAG, "fused projections: %s"),
    FACT(biases, FACT_LIST, "biases"),
    FACT(pre_norm, FACT_FLAG, "norms before attention and MLP: %s"),
    FACT(post_norm, FACT_FLAG, "norms behind attention and MLP: %s"),
    FACT(qk_norm, FACT_INT, "form %s of q and k norms"),
    FACT(activation, FACT_INT, "activation %s"),
    FACT(embedding_scale, FACT_DOUBLE, "embedding scale %s"),
    FACT(attention_scale, FACT_DOUBLE, "attention scale %s"),
    FACT(residual_scale, FACT_DOUBLE, "residual scale %s"),
    FACT(logit_scale, FACT_DOUBLE, "logit scale %s"),
    FACT(attention_cap, FACT_DOUBLE, "attention soft cap %s"),
    FACT(logit_cap, FACT_DOUBLE, "logit soft cap %s"),
    FACT(bos_id, FACT_INT, "first token %s"),
    FACT(eos_id, FACT_INT, "end token %s"),
};

/* ---- taking one ---- */

static void add(XXH3_state_t *h, const void *bytes, size_t len)
{
    uint64_t n = len;

    XXH3_128bits_update(h, &n, sizeof(n));
    XXH3_128bits_update(h, bytes, len);
}

static void add_description(XXH3_state_t *h, const struct tensor *t)
{
    int32_t form[2] = {t->type, t->n_dims};
    uint64_t bytes = t->bytes;

    add(h, t->name, strlen(t->name));
    add(h, t->type_name, strlen(t->type_name));
    add(h, form, sizeof(form));
    add(h, t->shape, (size_t)t->n_dims * sizeof(t->shape[0]));
    add(h, &bytes, sizeof(bytes));
}

static void add_weights(XXH3_state_t *h, const struct tensor *t, bool whole)
{
    const char *bytes = t->data;
    size_t i;

    if (whole || t->bytes <= (size_t)MODEL_BLOCK * MODEL_BLOCKS) {
        add(h, bytes, t->bytes);
        return;
    }
    for (i = 0; i < MODEL_BLOCKS; i++)
        add(h, bytes + (t->bytes - MODEL_BLOCK) / (MODEL_BLOCKS - 1) * i, MODEL_BLOCK);
}

static size_t all_bytes(const struct model_files *files)
{
    size_t bytes = 0;
    int i;

    for (i = 0; i < files->n; i++)
        bytes += files->items[i]->len;
    return bytes;
}

static void add_files(const struct model_files *files, XXH3_state_t *tensors, XXH3_state_t *weights)
{
    bool whole = all_bytes(files) <= MODEL_WHOLE_MAX;
    int i, k;

    for (i = 0; i < files->n; i++) {
        const struct tensorfile *f = files->items[i];
        uint64_t len = f->len;
        add(tensors, &len, sizeof(len));
        for (k = 0; k < tensorfile_count(f); k++) {
            add_description(tensors, tensorfile_at(f, k));
            add_weights(weights, tensorfile_at(f, k), whole);
        }
        tensorfile_release(f);
    }
}

int model_identify(const struct model *model, struct model_identity *ret, struct err *err)
{
    XXH3_state_t *tensors = XXH3_createState(), *weights = XXH3_createState();
    XXH128_hash_t hash;
    int rc = tensors && weights ? 0 : err_nomem(err, 0);

    if (rc == 0) {
        XXH3_128bits_reset(tensors);
        XXH3_128bits_reset(weights);
        add_files(model_open_files(model), tensors, weights);
        *ret = (struct model_identity){.config = *model_config(model)};
        hash = XXH3_128bits_digest(tensors);
        ret->tensors[0] = hash.low64;
        ret->tensors[1] = hash.high64;
        hash = XXH3_128bits_digest(weights);
        ret->weights[0] = hash.low64;
        ret->weights[1] = hash.high64;
    }
    XXH3_freeState(tensors);
    XXH3_freeState(weights);
    return rc;
}

/* ---- comparing ---- */

static void print_fact(const struct fact *fact, const struct model_config *c, char *text,
                       size_t size)
{
    const char *at = (const char *)c + fact->at;
    double x;
    int n;

    switch (fact->kind) {
    case FACT_INT:
        memcpy(&n, at, sizeof(n));
        snprintf(text, size, "%d", n);
        break;
    case FACT_DOUBLE:
        memcpy(&x, at, sizeof(x));
        snprintf(text, size, "%.9g", x);
        break;
    case FACT_FLAG:
        snprintf(text, size, "%s", *at ? "yes" : "no");
        break;
    case FACT_TEXT:
        snprintf(text, size, "%.*s", (int)fact->size, at);
        break;
    case FACT_LIST:
        break;
    }
}

static bool is_same(const struct fact *fact, const struct model_config *a,
                    const struct model_config *b)
{
    const char *x = (const char *)a + fact->at, *y = (const char *)b + fact->at;

    if (fact->kind == FACT_TEXT)
        return strncmp(x, y, fact->size) == 0;
    return memcmp(x, y, fact->size) == 0;
}

static void print_with(char *text, size_t size, const char *words, const char *value)
{
    const char *hole = strstr(words, "%s");

    snprintf(text, size, "%.*s%s%s", (int)(hole - words), words, value, hole + strlen("%s"));
}

bool model_identity_differs(const struct model_identity *there, const struct model_identity *here,
                            char *ret_text, size_t size)
{
    char value[80], other[80], has[160];
    size_t i;

    for (i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
        if (is_same(&facts[i], &there->config, &here->config))
            continue;
        if (facts[i].kind == FACT_LIST) {
            snprintf(ret_text, size, "has other %s there than", facts[i].words);
            return true;
        }
        print_fact(&facts[i], &there->config, value, sizeof(value));
        print_fact(&facts[i], &here->config, other, sizeof(other));
        print_with(has, sizeof(has), facts[i].words, value);
        snprintf(ret_text, size, "has %s there but %s", has, other);
        return true;
    }
    if (memcmp(there->tensors, here->tensors, sizeof(here->tensors)) != 0)
        snprintf(ret_text, size, "has other tensors (names, types, shapes or sizes) there than");
    else if (memcmp(there->weights, here->weights, sizeof(here->weights)) != 0)
        snprintf(ret_text, size, "has other weights there than");
    else
        return false;
    return true;
}
