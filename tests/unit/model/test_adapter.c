/* tests/unit/model/test_adapter.c - PEFT adapters: read, written, read back; what would mean
 * something else is refused by name. */
#include "tests/unit/support.h"
#include "core/model/adapter.h"
#include "core/buf.h"
#include "core/tensor/tensorfile.h"
#include <jansson.h>
#include <math.h>

#define INIT GOLDEN("tiny/init")

static const struct model_config *tiny_config(void)
{
    static const struct model_config c = {
        .n_layers = 4,
        .hidden = 64,
        .n_heads = 4,
        .n_kv_heads = 2,
        .head_dim = 16,
        .intermediate = 160,
        .vocab = 256,
    };

    return &c;
}

static struct adapter *read_good(const char *folder)
{
    struct adapter *a = NULL;
    struct err err;

    assert_ok(adapter_read(folder, tiny_config(), &a, &err), err);
    return a;
}

static void refused(const char *folder, int code, const char *words)
{
    struct adapter *a = NULL;
    struct err err;

    assert_int_equal(adapter_read(folder, tiny_config(), &a, &err), code);
    assert_null(a);
    assert_contains(err.text, words);
}

static void golden_adapter_is_read_in_order_of_layer_and_kind(void **state)
{
    static const enum module_kind kinds[] = {MODULE_Q, MODULE_K, MODULE_V, MODULE_UP, MODULE_DOWN};
    struct adapter *a = read_good(INIT);
    struct tensorfile *f;
    struct err err;

    (void)state;
    assert_int_equal(a->maps[0].rank, 8);
    assert_true(a->maps[0].alpha == 16 && !a->rslora);
    assert_int_equal(a->n, 20);
    assert_ok(tensorfile_open(INIT "/adapter_model.safetensors", &f, &err), err);
    for (int i = 0; i < a->n; i++) {
        const struct adapter_map *map = &a->maps[i];
        char name[128];
        assert_int_equal(map->layer, i / 5);
        assert_int_equal(map->kind, kinds[i % 5]);
        snprintf(name, sizeof(name), "base_model.model.model.layers.%d.%s.lora_B.weight",
                 map->layer, module_kind_path(map->kind));
        assert_memory_equal(map->B, tensorfile_find(f, name)->data,
                            (size_t)(map->rows * map->rank) * sizeof(float));
    }
    tensorfile_close(f);
    adapter_free(a);
}

static void same_adapters(const struct adapter *a, const struct adapter *b)
{
    assert_int_equal(a->n, b->n);
    assert_true(a->rslora == b->rslora);
    for (int i = 0; i < a->n; i++) {
        const struct adapter_map *x = &a->maps[i], *y = &b->maps[i];
        assert_true(x->layer == y->layer && x->kind == y->kind);
        assert_true(x->rank == y->rank && x->alpha == y->alpha);
        assert_memory_equal(x->A, y->A, (size_t)(x->rank * x->columns) * sizeof(float));
        assert_memory_equal(x->B, y->B, (size_t)(x->rank * x->rows) * sizeof(float));
    }
}

static void written_adapter_reads_back_equal_and_writes_equal_bytes(void **state)
{
    char *one = new_folder(), *two = new_folder(), *deep = file_join(one, "deeper/adapter");
    struct adapter *a = read_good(INIT), *b;
    const char *const files[] = {"adapter_config.json", "adapter_model.safetensors"};
    struct err err;

    (void)state;
    a->rslora = true;
    for (int i = 0; i < a->n; i++)
        a->maps[i].alpha = 12.5;
    a->maps[7].alpha = 3;
    for (int i = 2; i < a->n; i += 5) /* all v_proj, whose first rows are a smaller A and B */
        a->maps[i].rank = 2;
    assert_ok(adapter_write(deep, a, "some/model", &err), err);
    b = read_good(deep);
    same_adapters(a, b);
    assert_ok(adapter_write(two, b, "some/model", &err), err);
    for (int i = 0; i < 2; i++) {
        char *from = file_join(deep, files[i]), *to = file_join(two, files[i]), *x, *y;
        size_t n, m;
        assert_ok(file_read(from, 1 << 30, &x, &n, &err), err);
        assert_ok(file_read(to, 1 << 30, &y, &m, &err), err);
        assert_int_equal(n, m);
        assert_memory_equal(x, y, n);
        free(from);
        free(to);
        free(x);
        free(y);
    }
    adapter_free(a);
    adapter_free(b);
    free(deep);
    remove_folder(one);
    remove_folder(two);
}

static json_t *written_config(const struct adapter *a)
{
    char *folder = new_folder(), *path = file_join(folder, "adapter_config.json");
    struct err err;
    json_t *root;

    assert_ok(adapter_write(folder, a, "base", &err), err);
    root = json_load_file(path, 0, NULL);
    assert_non_null(root);
    free(path);
    remove_folder(folder);
    return root;
}

static void written_config_has_what_peft_asks_for(void **state)
{
    struct adapter *a = read_good(INIT);
    json_t *root = written_config(a);
    const char *base, *bias, *type, *task;
    int rank, alpha, inference;
    json_t *targets;

    (void)state;
    assert_int_equal(json_unpack(root, "{s:s, s:s, s:s, s:s, s:i, s:i, s:b, s:o}",
                                 "base_model_name_or_path", &base, "bias", &bias, "peft_type",
                                 &type, "task_type", &task, "r", &rank, "lora_alpha", &alpha,
                                 "inference_mode", &inference, "target_modules", &targets),
                     0);
    assert_string_equal(base, "base");
    assert_string_equal(bias, "none");
    assert_string_equal(type, "LORA");
    assert_string_equal(task, "CAUSAL_LM");
    assert_true(rank == 8 && alpha == 16 && inference == 1);
    assert_int_equal(json_array_size(targets), 5);
    assert_string_equal(json_string_value(json_array_get(targets, 3)), "up_proj");
    json_decref(root);
    adapter_free(a);
}

static void targets_are_full_names_where_layers_differ(void **state)
{
    struct adapter *a = read_good(INIT);
    json_t *root, *targets;

    (void)state;
    a->n = 7; /* all of layer 0, two maps of layer 1 */
    root = written_config(a);
    targets = json_object_get(root, "target_modules");
    assert_int_equal(json_array_size(targets), 7);
    assert_string_equal(json_string_value(json_array_get(targets, 6)),
                        "model.layers.1.self_attn.k_proj");
    json_decref(root);
    a->n = 20;
    adapter_free(a);
}

/* A copy of the golden adapter whose configuration has `key` set to the JSON `value`. */
static char *folder_with(const char *key, const char *value)
{
    json_t *root = json_load_file(INIT "/adapter_config.json", 0, NULL);
    char *folder = new_folder(), *text;

    assert_non_null(root);
    if (key)
        json_object_set_new(root, key, json_loads(value, JSON_DECODE_ANY, NULL));
    text = json_dumps(root, 0);
    write_text(folder, "adapter_config.json", text);
    copy_file(INIT "/adapter_model.safetensors", folder, "adapter_model.safetensors");
    free(text);
    json_decref(root);
    return folder;
}

static void config_refused(const char *key, const char *value, int code, const char *words)
{
    char *folder = folder_with(key, value);

    refused(folder, code, words);
    remove_folder(folder);
}

static void settings_that_change_the_meaning_are_refused_by_name(void **state)
{
    (void)state;
    config_refused("peft_type", "\"IA3\"", ERR_UNSUPPORTED, "peft_type is IA3");
    config_refused("peft_type", "null", ERR_UNSUPPORTED, "peft_type is not given");
    config_refused("bias", "\"all\"", ERR_UNSUPPORTED, "bias");
    config_refused("rank_pattern", "{\"q_proj\": 4}", ERR_INVALID, "rank 4 make it 4 x");
    config_refused("rank_pattern", "{\"q_proj\": 0}", ERR_INVALID,
                   "rank_pattern of adapter_config.json: \"q_proj\" has no rank of 1 or more");
    config_refused("rank_pattern", "[4]", ERR_INVALID, "rank_pattern of adapter_config.json: it");
    config_refused("rank_pattern", "{\"q_proj|(?R)\": 8}", ERR_UNSUPPORTED, "has \"(?R\"");
    config_refused("alpha_pattern", "{\"q_proj\": \"4\"}", ERR_INVALID, "has no alpha");
    config_refused("alpha_pattern", "{\"(q_proj\": 4}", ERR_INVALID,
                   "\"(q_proj\" is not a regular expression");
    config_refused("modules_to_save", "[\"lm_head\"]", ERR_UNSUPPORTED, "modules_to_save");
    config_refused("use_dora", "true", ERR_UNSUPPORTED, "use_dora");
    config_refused("fan_in_fan_out", "true", ERR_UNSUPPORTED, "fan_in_fan_out");
    config_refused("init_lora_weights", "\"pissa_niter_16\"", ERR_UNSUPPORTED, "init_lora_weights");
    config_refused("r", "0", ERR_INVALID, "no rank r");
    config_refused("r", "\"8\"", ERR_INVALID, "no rank r");
    config_refused("lora_alpha", "null", ERR_INVALID, "no lora_alpha");
    config_refused("lora_alpha", "1e300", ERR_INVALID, "no lora_alpha");
    config_refused("use_rslora", "\"true\"", ERR_INVALID, "use_rslora");
    config_refused("lora_dropout", "1", ERR_INVALID, "lora_dropout");
    config_refused("layers_to_transform", "[0]", ERR_INVALID, "layers_to_transform");
    config_refused("layers_to_transform", "\"all\"", ERR_INVALID, "layers_to_transform");
    config_refused("r", "4", ERR_INVALID, "the model and rank 4 make it 4 x");
}

/* As PEFT: the first pattern that matches, of whole names or of what follows a dot. */
static void patterns_of_alpha_are_applied(void **state)
{
    char *folder = folder_with("alpha_pattern", "{\"layers.1.self_attn.q_proj\": 2, "
                                                "\".*q_proj\": 4, \"proj\": 5, \"down_.*\": 6}");
    struct adapter *a = read_good(folder);

    (void)state;
    for (int i = 0; i < a->n; i++) {
        double wanted = a->maps[i].kind == MODULE_Q      ? (a->maps[i].layer == 1 ? 2 : 4)
                        : a->maps[i].kind == MODULE_DOWN ? 6
                                                         : 16;
        assert_true(a->maps[i].alpha == wanted && a->maps[i].rank == 8);
    }
    adapter_free(a);
    remove_folder(folder);
}

static void empty_settings_are_no_settings(void **state)
{
    static const char *const keys[] = {"rank_pattern", "alpha_pattern", "modules_to_save"};
    static const char *const values[] = {"{}", "[]", "null"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        char *folder = folder_with(keys[i], values[i]);
        adapter_free(read_good(folder));
        remove_folder(folder);
    }
}

static void files_that_are_not_there_or_not_json_are_told(void **state)
{
    char *folder = folder_with(NULL, NULL), *path = file_join(folder, "adapter_model.safetensors");

    (void)state;
    assert_int_equal(unlink(path), 0);
    refused(folder, ERR_IO, "adapter_model.safetensors: cannot be opened");
    write_text(folder, "adapter_config.json", "{\n\n");
    refused(folder, ERR_INVALID, "adapter_config.json:3: is not JSON");
    refused("/nowhere/at all", ERR_IO, "No such file");
    free(path);
    remove_folder(folder);
}

/* An adapter of the given tensors, all (8, 64) or (rows, 8) of fill. */
struct made {
    const char *name;
    int rows, columns;
};

static char *folder_of(const struct made *made, int n, float fill)
{
    float *values = malloc(64 * 64 * sizeof(*values));
    char *folder = folder_with(NULL, NULL);
    struct tensor_out out[8];
    struct buf b = {0};
    struct err err;

    for (int i = 0; i < 64 * 64; i++)
        values[i] = fill;
    for (int i = 0; i < n; i++)
        out[i] = (struct tensor_out){
            made[i].name, TENSOR_F32, 2, {made[i].rows, made[i].columns}, values};
    assert_ok(safetensors_encode(out, n, NULL, 0, &b, &err), err);
    write_file(folder, "adapter_model.safetensors", b.data, b.len);
    buf_free(&b);
    free(values);
    return folder;
}

static void made_refused(const struct made *made, int n, float fill, int code, const char *words)
{
    char *folder = folder_of(made, n, fill);

    refused(folder, code, words);
    remove_folder(folder);
}

static void tensors_that_match_nothing_are_refused_by_name(void **state)
{
    const struct made head[] = {{"base_model.model.lm_head.lora_A.weight", 8, 64}};
    const struct made unknown[] = {
        {"base_model.model.model.layers.0.mlp.other.lora_A.weight", 8, 64}};
    const struct made magnitude[] = {
        {"base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector", 8, 64}};
    const struct made far[] = {
        {"base_model.model.model.layers.4.self_attn.q_proj.lora_A.weight", 8, 64}};
    const struct made lonely[] = {
        {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", 8, 64}};
    const struct made lonely_b[] = {
        {"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", 64, 8}};
    const struct made twice[] = {
        {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", 8, 64},
        {"model.layers.0.self_attn.q_proj.lora_A.weight", 8, 64}};
    const struct made wrong[] = {
        {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", 8, 63}};

    (void)state;
    made_refused(head, 1, 1, ERR_UNSUPPORTED, "lm_head.lora_A.weight is not lora_A or lora_B");
    made_refused(unknown, 1, 1, ERR_UNSUPPORTED, "mlp.other");
    made_refused(magnitude, 1, 1, ERR_UNSUPPORTED, "lora_magnitude_vector");
    made_refused(far, 1, 1, ERR_INVALID, "a layer that the model lacks: it has 4");
    made_refused(lonely, 1, 1, ERR_INVALID, "has no lora_B beside it");
    made_refused(lonely_b, 1, 1, ERR_INVALID, "has no lora_A beside it");
    made_refused(twice, 2, 1, ERR_INVALID, "are the same one");
    made_refused(wrong, 1, 1, ERR_INVALID, "is 8 x 63; the model and rank 8 make it 8 x 64");
    made_refused(NULL, 0, 1, ERR_INVALID, "has no tensors");
}

static void values_that_are_not_finite_are_refused(void **state)
{
    const struct made pair[] = {
        {"base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", 8, 64},
        {"base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", 64, 8}};

    (void)state;
    made_refused(pair, 2, NAN, ERR_INVALID, "not finite");
    made_refused(pair, 2, INFINITY, ERR_INVALID, "not finite");
}

static void every_form_of_name_that_peft_writes_is_read(void **state)
{
    static const struct {
        const char *prefix, *suffix;
    } forms[] = {
        {"base_model.model.model", "weight"},
        {"base_model.model.model", "default.weight"},
        {"base_model.model", "weight"},
        {"model", "weight"},
    };

    (void)state;
    for (int i = 0; i < 4; i++) {
        char names[2][160], *folder;
        struct adapter *a;
        for (int k = 0; k < 2; k++)
            snprintf(names[k], sizeof(names[k]), "%s.layers.3.self_attn.v_proj.lora_%c.%s",
                     forms[i].prefix, "AB"[k], forms[i].suffix);
        folder = folder_of((struct made[]){{names[0], 8, 64}, {names[1], 32, 8}}, 2, 1);
        a = read_good(folder);
        assert_int_equal(a->n, 1);
        assert_true(a->maps[0].layer == 3 && a->maps[0].kind == MODULE_V);
        adapter_free(a);
        remove_folder(folder);
    }
}

static void damaged_adapters_never_crash(void **state)
{
    char *folder = new_folder(), *bytes, *config;
    uint64_t random = 11;
    size_t len, config_len;
    struct err err;

    (void)state;
    assert_ok(file_read(INIT "/adapter_model.safetensors", 1 << 30, &bytes, &len, &err), err);
    assert_ok(file_read(INIT "/adapter_config.json", 1 << 30, &config, &config_len, &err), err);
    for (int i = 0; i < 300; i++) {
        char *one = damaged_copy(bytes, len, 3000, &random);
        char *two = i % 2 ? damaged_copy(config, config_len, config_len, &random) : NULL;
        struct adapter *a = NULL;
        write_file(folder, "adapter_model.safetensors", i % 3 ? bytes : one, len);
        write_file(folder, "adapter_config.json", two ? two : config, config_len);
        adapter_read(folder, tiny_config(), &a, &err);
        adapter_free(a);
        free(one);
        free(two);
    }
    free(bytes);
    free(config);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(golden_adapter_is_read_in_order_of_layer_and_kind),
        cmocka_unit_test(written_adapter_reads_back_equal_and_writes_equal_bytes),
        cmocka_unit_test(written_config_has_what_peft_asks_for),
        cmocka_unit_test(targets_are_full_names_where_layers_differ),
        cmocka_unit_test(settings_that_change_the_meaning_are_refused_by_name),
        cmocka_unit_test(patterns_of_alpha_are_applied),
        cmocka_unit_test(empty_settings_are_no_settings),
        cmocka_unit_test(files_that_are_not_there_or_not_json_are_told),
        cmocka_unit_test(tensors_that_match_nothing_are_refused_by_name),
        cmocka_unit_test(values_that_are_not_finite_are_refused),
        cmocka_unit_test(every_form_of_name_that_peft_writes_is_read),
        cmocka_unit_test(damaged_adapters_never_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
