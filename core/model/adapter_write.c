/* core/model/adapter_write.c - see adapter.h: writing. What most maps have is the configuration's
 * r and lora_alpha; the others are exceptions in its patterns. */
#include "core/model/adapter.h"
#include "core/file.h"
#include "core/model/module_values.h"
#include "core/tensor/tensorfile.h"
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void tensor_name(const struct adapter_map *map, char which, char *name, size_t size)
{
    snprintf(name, size, "base_model.model.model.layers.%d.%s.lora_%c.weight", map->layer,
             module_kind_path(map->kind), which);
}

static int encode_tensors(const struct adapter *a, struct buf *out, struct err *err)
{
    enum { NAME_BYTES = 128 };
    static const char *const metadata[] = {"format", "pt"};
    struct tensor_out *tensors = calloc(2 * (size_t)a->n + 1, sizeof(*tensors));
    char(*names)[NAME_BYTES] = calloc(2 * (size_t)a->n + 1, sizeof(*names));
    int rc;

    if (!tensors || !names) {
        rc = err_nomem(err, 2 * (size_t)a->n * sizeof(*names));
        goto done;
    }
    for (size_t i = 0; i < (size_t)a->n; i++) {
        const struct adapter_map *map = &a->maps[i];
        tensor_name(map, 'A', names[2 * i], NAME_BYTES);
        tensor_name(map, 'B', names[2 * i + 1], NAME_BYTES);
        tensors[2 * i] =
            (struct tensor_out){names[2 * i], TENSOR_F32, 2, {map->rank, map->columns}, map->A};
        tensors[2 * i + 1] =
            (struct tensor_out){names[2 * i + 1], TENSOR_F32, 2, {map->rows, map->rank}, map->B};
    }
    rc = safetensors_encode(tensors, 2 * a->n, metadata, 1, out, err);
done:
    free(names);
    free(tensors);
    return rc;
}

/* Whether layers 0, 1, ... each have the same kinds: then the kinds' names alone say which maps are
 * adapted. */
static bool is_uniform(const struct adapter *a)
{
    int per_layer = 0;

    while (per_layer < a->n && a->maps[per_layer].layer == 0)
        per_layer++;
    if (per_layer == 0 || a->n % per_layer)
        return false;
    for (int i = 0; i < a->n; i++)
        if (a->maps[i].layer != i / per_layer || a->maps[i].kind != a->maps[i % per_layer].kind)
            return false;
    return true;
}

/* NULL for lack of memory. */
static json_t *target_modules(const struct adapter *a)
{
    json_t *list = json_array();
    bool uniform = is_uniform(a), failed = false;

    for (int i = 0; i < a->n && !(uniform && a->maps[i].layer > 0); i++) {
        enum module_kind kind = a->maps[i].kind;
        json_t *name =
            uniform ? json_string(module_kind_name(kind))
                    : json_sprintf("model.layers.%d.%s", a->maps[i].layer, module_kind_path(kind));
        failed |= json_array_append_new(list, name) < 0;
    }
    if (!failed)
        return list;
    json_decref(list);
    return NULL;
}

static json_t *whole_or_real(double x)
{
    return x == floor(x) && fabs(x) < 1e15 ? json_integer((json_int_t)x) : json_real(x);
}

/* Ranks or alphas. Adds to root the common one under `key`, the others under `pattern_key`. */
static int put_values(json_t *root, const struct adapter *a, bool ranks, const char *key,
                      const char *pattern_key, struct err *err)
{
    struct module_value *values = calloc((size_t)a->n + 1, sizeof(*values));
    json_t *patterns = json_object();
    struct module_values v = {0};
    int rc = values && patterns ? 0 : err_nomem(err, (size_t)a->n * sizeof(*values)), failed;

    for (int i = 0; rc == 0 && i < a->n; i++)
        values[i] = (struct module_value){a->maps[i].layer, a->maps[i].kind,
                                          ranks ? a->maps[i].rank : a->maps[i].alpha};
    if (rc == 0)
        rc = module_values_split(values, a->n, &v, err);
    free(values);
    if (rc < 0) {
        json_decref(patterns);
        return rc;
    }
    failed = json_object_set_new(root, key, whole_or_real(v.common)) < 0;
    for (int i = 0; i < v.n; i++)
        failed |= json_object_set_new(patterns, v.exceptions[i].name,
                                      whole_or_real(v.exceptions[i].value)) < 0;
    failed |= json_object_set_new(root, pattern_key, patterns) < 0;
    module_values_free(&v);
    return failed ? err_nomem(err, (size_t)a->n * sizeof(v)) : 0;
}

/* Caller frees *ret. The keys are those that PEFT 0.10 knows. */
static int encode_config(const struct adapter *a, const char *base_model, char **ret,
                         struct err *err)
{
    json_t *root = json_pack(
        "{s:n, s:s, s:s, s:b, s:b, s:b, s:n, s:n, s:f, s:n, s:s, s:n, s:o, s:s, s:b, s:b}",
        "auto_mapping", "base_model_name_or_path", base_model, "bias", "none", "fan_in_fan_out", 0,
        "inference_mode", 1, "init_lora_weights", 1, "layers_pattern", "layers_to_transform",
        "lora_dropout", 0.0, "modules_to_save", "peft_type", "LORA", "revision", "target_modules",
        target_modules(a), "task_type", "CAUSAL_LM", "use_dora", 0, "use_rslora", (int)a->rslora);
    int rc = root ? put_values(root, a, true, "r", "rank_pattern", err)
                  : err_set(err, ERR_INVALID,
                            "the adapter's configuration cannot be written: the model's path is "
                            "not UTF-8, or memory is out");

    if (rc == 0)
        rc = put_values(root, a, false, "lora_alpha", "alpha_pattern", err);
    if (rc == 0)
        *ret = json_dumps(root, JSON_SORT_KEYS | JSON_INDENT(2));
    json_decref(root);
    return rc < 0 || *ret ? rc : err_nomem(err, (size_t)a->n * MODULE_NAME_MAX);
}

static int write_in(const char *folder, const char *name, const char *bytes, size_t len,
                    struct err *err)
{
    char *path = file_join(folder, name);
    int rc;

    if (!path)
        return err_nomem(err, strlen(folder));
    rc = file_write_durably(path, bytes, len, err);
    free(path);
    return rc;
}

int adapter_write(const char *folder, const struct adapter *a, const char *base_model,
                  struct err *err)
{
    struct buf tensors = {0};
    char *config = NULL;
    int rc = encode_config(a, base_model, &config, err);

    if (rc < 0)
        return err_prefix(err, "%s", folder);
    rc = encode_tensors(a, &tensors, err);
    if (rc == 0)
        rc = file_make_folders(folder, err);
    if (rc == 0)
        rc = write_in(folder, "adapter_model.safetensors", tensors.data, tensors.len, err);
    if (rc == 0)
        rc = write_in(folder, "adapter_config.json", config, strlen(config), err);
    buf_free(&tensors);
    free(config);
    return rc;
}
