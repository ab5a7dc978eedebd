/* core/model/adapter.c - see adapter.h: reading.
 *
 * What decides is the tensors: each must be A or B of a map that the model has. adapter_config.json
 * gives the rank and the scale of each, and is held against a list of settings under which A and B
 * would mean something else.
 */
#include "core/model/adapter.h"
#include "core/file.h"
#include "core/finite.h"
#include "core/json_file.h"
#include "core/model/module_pattern.h"
#include "core/tensor/tensorfile.h"
#include <jansson.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CONFIG_BYTES_MAX = 16 << 20, RANK_MAX = 1 << 20 };

/* One slot for each map of the model while an adapter is read. */
struct pair {
    int rank; /* as adapter_config.json has it for the map, whether or not it is adapted */
    double alpha;
    const struct tensor *A, *B;
};

struct reading {
    const char *folder;
    const struct model_config *config;
    struct tensorfile *file;
    struct pair *pairs; /* (n_layers, MODULE_KINDS) */
    struct adapter *adapter;
    bool layers_given; /* layers_to_transform is; layers holds it */
    bool layers[LAYERS_MAX];
};

static int refuse(const struct reading *r, struct err *err, const char *key, const char *why)
{
    return err_set(err, ERR_UNSUPPORTED, "%s: adapter_config.json has %s, which %s", r->folder, key,
                   why);
}

/* null, false, "", [] and {} all say no in a PEFT configuration. */
static bool is_no(const json_t *value)
{
    return !value || json_is_null(value) || json_is_false(value) ||
           (json_is_string(value) && json_string_length(value) == 0) ||
           (json_is_array(value) && json_array_size(value) == 0) ||
           (json_is_object(value) && json_object_size(value) == 0);
}

static int check_refusals(const struct reading *r, const json_t *root, struct err *err)
{
    static const char *const refused[] = {"modules_to_save",   "use_dora",
                                          "lora_bias",         "fan_in_fan_out",
                                          "target_parameters", "use_qalora",
                                          "layer_replication", "alora_invocation_tokens",
                                          "arrow_config",      "trainable_token_indices",
                                          "use_bdlora",        "kasa_config",
                                          "monteclora_config", "velora_config"};
    static const char *const moving[] = {"pissa", "olora", "corda", "loftq", "lora_ga"};
    const char *bias = json_string_value(json_object_get(root, "bias"));
    const char *init = json_string_value(json_object_get(root, "init_lora_weights"));

    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (!is_no(json_object_get(root, refused[i])))
            return refuse(r, err, refused[i], "is not supported");
    if (bias && strcmp(bias, "none") != 0)
        return refuse(r, err, "bias other than none", "is not supported");
    for (size_t i = 0; init && i < sizeof(moving) / sizeof(moving[0]); i++)
        if (strncmp(init, moving[i], strlen(moving[i])) == 0)
            return refuse(r, err, "init_lora_weights that change the base model's weights",
                          "is not supported");
    return 0;
}

/* One layer, or a list of them. */
static int read_layers(struct reading *r, const json_t *value, struct err *err)
{
    size_t n = json_is_array(value) ? json_array_size(value) : 1;

    r->layers_given = !is_no(value);
    for (size_t i = 0; r->layers_given && i < n; i++) {
        const json_t *layer = json_is_array(value) ? json_array_get(value, i) : value;
        if (!json_is_integer(layer) || json_integer_value(layer) < 0)
            return err_set(err, ERR_INVALID,
                           "%s: layers_to_transform of adapter_config.json must hold numbers of "
                           "layers",
                           r->folder);
        if (json_integer_value(layer) < LAYERS_MAX)
            r->layers[json_integer_value(layer)] = true;
    }
    return 0;
}

static bool is_rank(const json_t *value)
{
    return json_is_integer(value) && json_integer_value(value) >= 1 &&
           json_integer_value(value) <= RANK_MAX;
}

static bool is_alpha(const json_t *value)
{
    return json_is_number(value) && fabs(json_number_value(value)) <= FLT_MAX;
}

static int read_numbers(const struct reading *r, const json_t *root, struct err *err)
{
    const json_t *rank = json_object_get(root, "r"), *alpha = json_object_get(root, "lora_alpha");
    const json_t *rslora = json_object_get(root, "use_rslora");
    const json_t *dropout = json_object_get(root, "lora_dropout");

    if (!is_rank(rank))
        return err_set(err, ERR_INVALID, "%s: adapter_config.json gives no rank r of 1 or more",
                       r->folder);
    if (!is_alpha(alpha))
        return err_set(err, ERR_INVALID, "%s: adapter_config.json gives no lora_alpha", r->folder);
    if (!is_no(rslora) && !json_is_boolean(rslora))
        return err_set(err, ERR_INVALID,
                       "%s: use_rslora of adapter_config.json must be true or false", r->folder);
    if (!is_no(dropout) && (!json_is_number(dropout) || !(json_number_value(dropout) >= 0) ||
                            !(json_number_value(dropout) < 1)))
        return err_set(err, ERR_INVALID,
                       "%s: lora_dropout of adapter_config.json must be a number from 0 to less "
                       "than 1",
                       r->folder);
    r->adapter->rslora = json_is_true(rslora);
    r->adapter->dropout = json_number_value(dropout);
    for (int i = 0; i < r->config->n_layers * MODULE_KINDS; i++) {
        r->pairs[i].rank = (int)json_integer_value(rank);
        r->pairs[i].alpha = json_number_value(alpha);
    }
    return 0;
}

/* Gives the value to the modules that the pattern matches and that no pattern before it did. */
static int apply_pattern(const struct reading *r, bool is_rank_pattern, const char *pattern,
                         double value, bool *taken, struct err *err)
{
    struct module_pattern *p;
    char name[MODULE_NAME_MAX];
    int rc = module_pattern_open(pattern, PATTERN_TAIL, &p, err);

    if (rc < 0)
        return rc;
    for (int i = 0; i < r->config->n_layers * MODULE_KINDS && rc >= 0; i++) {
        if (taken[i])
            continue;
        module_full_name(i / MODULE_KINDS, i % MODULE_KINDS, name);
        rc = module_pattern_matches(p, name, err);
        if (rc <= 0)
            continue;
        taken[i] = true;
        if (is_rank_pattern)
            r->pairs[i].rank = (int)value;
        else
            r->pairs[i].alpha = value;
    }
    module_pattern_free(p);
    return rc < 0 ? rc : 0;
}

/* rank_pattern or alpha_pattern: a mapping of patterns to values. */
static int read_patterns(const struct reading *r, const json_t *root, const char *key,
                         struct err *err)
{
    bool ranks = strcmp(key, "rank_pattern") == 0;
    json_t *patterns = json_object_get(root, key), *value;
    const char *pattern;
    bool *taken;
    int rc = 0;

    if (is_no(patterns))
        return 0;
    taken = calloc((size_t)r->config->n_layers * MODULE_KINDS, sizeof(*taken));
    if (!taken)
        return err_nomem(err, (size_t)r->config->n_layers * MODULE_KINDS);
    if (!json_is_object(patterns))
        rc = err_set(err, ERR_INVALID, "it must be a mapping");
    json_object_foreach(patterns, pattern, value)
    {
        if (rc == 0 && !(ranks ? is_rank(value) : is_alpha(value)))
            rc = err_set(err, ERR_INVALID, "\"%.100s\" has no %s", pattern,
                         ranks ? "rank of 1 or more" : "alpha");
        if (rc == 0)
            rc = apply_pattern(r, ranks, pattern, json_number_value(value), taken, err);
    }
    free(taken);
    return rc < 0 ? err_prefix(err, "%s: %s of adapter_config.json", r->folder, key) : 0;
}

static int check_config(struct reading *r, const json_t *root, struct err *err)
{
    const char *type = json_string_value(json_object_get(root, "peft_type"));
    int rc;

    if (!type || strcmp(type, "LORA") != 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: the adapter's peft_type is %.60s; only LORA is supported", r->folder,
                       type ? type : "not given");
    rc = check_refusals(r, root, err);
    if (rc == 0)
        rc = read_layers(r, json_object_get(root, "layers_to_transform"), err);
    if (rc == 0)
        rc = read_numbers(r, root, err);
    if (rc == 0)
        rc = read_patterns(r, root, "rank_pattern", err);
    return rc < 0 ? rc : read_patterns(r, root, "alpha_pattern", err);
}

static int read_config(struct reading *r, struct err *err)
{
    char *path = file_join(r->folder, "adapter_config.json");
    json_t *root = NULL;
    int rc, line;

    if (!path)
        return err_nomem(err, strlen(r->folder));
    rc = json_file_read_object(path, CONFIG_BYTES_MAX, &root, &line, err);
    if (rc < 0 && line > 0)
        err_prefix(err, "%s:%d: is not JSON", path, line);
    if (rc == 0)
        rc = check_config(r, root, err);
    json_decref(root);
    free(path);
    return rc;
}

static const char *skip(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

/* Takes apart [base_model.model.][model.]layers.N.<path>.lora_A[.<adapter>].weight. */
static bool parse_name(const char *name, int *ret_layer, enum module_kind *ret_kind, bool *ret_is_b)
{
    const char *at = name, *rest;
    char *end;
    long layer;
    int kind;

    if ((rest = skip(at, "base_model.model.")))
        at = rest;
    if ((rest = skip(at, "model.")))
        at = rest;
    at = skip(at, "layers.");
    if (!at || *at < '0' || *at > '9')
        return false;
    layer = strtol(at, &end, 10);
    if (*end != '.' || layer > INT32_MAX)
        return false;
    for (kind = 0; kind < MODULE_KINDS; kind++)
        if ((rest = skip(end + 1, module_kind_path(kind))) && *rest == '.')
            break;
    if (kind == MODULE_KINDS || !(at = skip(rest, ".lora_")) || (*at != 'A' && *at != 'B'))
        return false;
    *ret_is_b = *at++ == 'B';
    if (strcmp(at, ".weight") != 0) {
        const char *dot = *at == '.' ? strchr(at + 1, '.') : NULL;
        if (!dot || strcmp(dot, ".weight") != 0)
            return false;
    }
    *ret_layer = (int)layer;
    *ret_kind = kind;
    return true;
}

static int match_tensor(const struct reading *r, const struct tensor *t, struct err *err)
{
    const char *path = tensorfile_path(r->file);
    int layer, rows, columns, rank;
    const struct tensor **slot;
    struct pair *pair;
    enum module_kind kind;
    bool is_b;

    if (!parse_name(t->name, &layer, &kind, &is_b))
        return err_set(err, ERR_UNSUPPORTED,
                       "%s: tensor %.200s is not lora_A or lora_B of a linear map of a layer", path,
                       t->name);
    if (layer >= r->config->n_layers)
        return err_set(err, ERR_INVALID,
                       "%s: tensor %.200s is of a layer that the model lacks: it "
                       "has %d",
                       path, t->name, r->config->n_layers);
    model_module_shape(r->config, kind, &rows, &columns);
    pair = &r->pairs[layer * MODULE_KINDS + (int)kind];
    rank = pair->rank;
    if (is_b)
        columns = rank;
    else
        rows = rank;
    if (t->n_dims != 2 || t->shape[0] != rows || t->shape[1] != columns)
        return err_set(err, ERR_INVALID,
                       "%s: tensor %.200s is %lld x %lld; the model and rank %d make it %d x %d",
                       path, t->name, (long long)t->shape[0],
                       t->n_dims > 1 ? (long long)t->shape[1] : 1, rank, rows, columns);
    slot = is_b ? &pair->B : &pair->A;
    if (*slot)
        return err_set(err, ERR_INVALID, "%s: tensors %.200s and %.200s are the same one", path,
                       (*slot)->name, t->name);
    *slot = t;
    return 0;
}

static int read_matrix(const struct reading *r, const struct tensor *t, float **ret,
                       struct err *err)
{
    int64_t n = tensor_elements(t);
    float *values = malloc((size_t)n * sizeof(*values));
    int rc;

    if (!values)
        return err_nomem(err, (size_t)n * sizeof(*values));
    *ret = values; /* freed with the adapter */
    rc = tensor_read_f32(t, 0, t->shape[0], values, err);
    if (rc < 0)
        return err_prefix(err, "%s", tensorfile_path(r->file)), rc;
    if (floats_are_right(values, (size_t)n, -FLT_MAX))
        return 0;
    return err_set(err, ERR_INVALID, "%s: tensor %.200s holds values that are not finite",
                   tensorfile_path(r->file), t->name);
}

static int read_pair(const struct reading *r, int layer, enum module_kind kind,
                     const struct pair *p, struct err *err)
{
    struct adapter_map *map = &r->adapter->maps[r->adapter->n];
    int rc;

    if (!p->A || !p->B)
        return err_set(err, ERR_INVALID, "%s: tensor %.200s has no lora_%c beside it",
                       tensorfile_path(r->file), p->A ? p->A->name : p->B->name, p->A ? 'B' : 'A');
    if (r->layers_given && !r->layers[layer])
        return err_set(err, ERR_INVALID,
                       "%s: tensor %.200s is of a layer that layers_to_transform of "
                       "adapter_config.json leaves out",
                       tensorfile_path(r->file), p->A->name);
    *map = (struct adapter_map){.layer = layer, .kind = kind, .rank = p->rank, .alpha = p->alpha};
    model_module_shape(r->config, kind, &map->rows, &map->columns);
    r->adapter->n++;
    rc = read_matrix(r, p->A, &map->A, err);
    return rc < 0 ? rc : read_matrix(r, p->B, &map->B, err);
}

static int read_tensors(struct reading *r, struct err *err)
{
    int slots = r->config->n_layers * MODULE_KINDS, rc = 0;

    for (int i = 0; i < tensorfile_count(r->file) && rc == 0; i++)
        rc = match_tensor(r, tensorfile_at(r->file, i), err);
    for (int i = 0; i < slots && rc == 0; i++)
        if (r->pairs[i].A || r->pairs[i].B)
            rc = read_pair(r, i / MODULE_KINDS, i % MODULE_KINDS, &r->pairs[i], err);
    if (rc == 0 && r->adapter->n == 0)
        rc = err_set(err, ERR_INVALID, "%s: the adapter has no tensors", r->folder);
    return rc;
}

static int open_tensors(struct reading *r, struct err *err)
{
    char *path = file_join(r->folder, "adapter_model.safetensors");
    int rc;

    if (!path)
        return err_nomem(err, strlen(r->folder));
    rc = tensorfile_open(path, &r->file, err);
    free(path);
    if (rc == 0 && tensorfile_is_gguf(r->file))
        rc = err_set(err, ERR_INVALID, "%s: adapter_model.safetensors is a GGUF file", r->folder);
    return rc;
}

int adapter_read(const char *folder, const struct model_config *config,
                 struct adapter **ret_adapter, struct err *err)
{
    size_t slots = (size_t)config->n_layers * MODULE_KINDS;
    struct reading r = {.folder = folder, .config = config};
    int rc = 0;

    r.adapter = calloc(1, sizeof(*r.adapter));
    r.pairs = calloc(slots, sizeof(*r.pairs));
    if (r.adapter)
        r.adapter->maps = calloc(slots, sizeof(*r.adapter->maps));
    if (!r.adapter || !r.pairs || !r.adapter->maps)
        rc = err_nomem(err, slots * sizeof(*r.adapter->maps));
    if (rc == 0)
        rc = read_config(&r, err);
    if (rc == 0)
        rc = open_tensors(&r, err);
    if (rc == 0)
        rc = read_tensors(&r, err);
    free(r.pairs);
    tensorfile_close(r.file);
    if (rc < 0) {
        adapter_free(r.adapter);
        return rc;
    }
    *ret_adapter = r.adapter;
    return 0;
}

void adapter_free(struct adapter *a)
{
    if (!a)
        return;
    for (int i = 0; i < a->n; i++) {
        free(a->maps[i].A);
        free(a->maps[i].B);
    }
    free(a->maps);
    free(a);
}
