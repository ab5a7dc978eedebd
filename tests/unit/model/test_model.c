/* tests/unit/model/test_model.c - models: both kinds of file give the same weights; what cannot be
 * used is refused in words, all at once. */
#include "tests/unit/support.h"
#include "core/buf.h"
#include "core/model/model.h"
#include "core/tensor/tensorfile.h"
#include "core/text/tokenizer.h"
#include <jansson.h>
#include <math.h>

static struct model *open_good(const char *path)
{
    struct problems problems = {0};
    struct model *m = NULL;
    struct err err;

    if (model_open(path, &m, &problems, &err) < 0)
        fail_msg("%s", problems_text(&problems));
    assert_int_equal(problems.n, 0);
    return m;
}

/* The text of all problems of a model that must be refused; caller frees. */
static char *open_bad(const char *path)
{
    struct problems problems = {0};
    struct model *m = NULL;
    struct err err;
    char *text;

    assert_int_equal(model_open(path, &m, &problems, &err), ERR_INVALID);
    assert_null(m);
    assert_true(problems.n > 0);
    text = problems_text(&problems);
    problems_free(&problems);
    return text;
}

static float *numbers(int64_t n)
{
    float *x = malloc((size_t)n * sizeof(*x));

    assert_non_null(x);
    memset(x, 0xee, (size_t)n * sizeof(*x));
    return x;
}

static void same_weight(struct weight *a, struct weight *b, const char *name)
{
    const struct weight_rows x = {a, 0, a->rows}, y = {b, 0, b->rows};
    int64_t n = (int64_t)a->rows * a->columns;
    float *of_a = numbers(n), *of_b = numbers(n);

    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->columns, b->columns);
    weight_read_rows(&x, of_a);
    weight_read_rows(&y, of_b);
    if (memcmp(of_a, of_b, (size_t)n * sizeof(*of_a)) != 0)
        fail_msg("%s differs", name);
    free(of_a);
    free(of_b);
    weight_close(a);
    weight_close(b);
}

static void same_module(const struct model *a, const struct model *b, int layer,
                        enum module_kind kind)
{
    struct weight x, y;
    struct err err;

    assert_ok(model_read_modules(a, layer, &kind, 1, &x, &err), err);
    assert_ok(model_read_modules(b, layer, &kind, 1, &y, &err), err);
    same_weight(&x, &y, module_kind_name(kind));
}

static void same_norms(const struct model *a, const struct model *b, int layer)
{
    const struct model_config *c = model_config(a);
    float *x = numbers(c->hidden), *y = numbers(c->hidden);
    struct err err;

    for (int kind = NORM_PRE_ATTENTION; kind <= NORM_PRE_MLP; kind += 2) {
        assert_int_equal(model_norm_size(c, kind), c->hidden);
        assert_ok(model_read_norm(a, layer, kind, x, &err), err);
        assert_ok(model_read_norm(b, layer, kind, y, &err), err);
        assert_memory_equal(x, y, (size_t)c->hidden * sizeof(*x));
    }
    free(x);
    free(y);
}

static void same_ends(const struct model *a, const struct model *b)
{
    const struct model_config *c = model_config(a);
    float *x = numbers(c->hidden), *y = numbers(c->hidden);
    struct weight v, w;
    struct err err;

    assert_ok(model_read_embedding(a, &v, &err), err);
    assert_ok(model_read_embedding(b, &w, &err), err);
    same_weight(&v, &w, "embedding");
    assert_ok(model_read_embedding(a, &v, &err), err);
    assert_ok(model_read_head(b, &w, &err), err);
    same_weight(&v, &w, "head");
    assert_ok(model_read_final_norm(a, x, &err), err);
    assert_ok(model_read_final_norm(b, y, &err), err);
    assert_memory_equal(x, y, (size_t)c->hidden * sizeof(*x));
    free(x);
    free(y);
}

static void gguf_and_folder_give_the_same_weights_bit_for_bit(void **state)
{
    struct model *a = open_good(GOLDEN("tiny/model")), *b = open_good(GOLDEN("tiny/model.gguf"));
    const struct model_config *c = model_config(a);

    (void)state;
    for (int layer = 0; layer < c->n_layers; layer++) {
        for (int kind = 0; kind < MODULE_KINDS; kind++)
            if (model_has_module(c, kind))
                same_module(a, b, layer, kind);
        same_norms(a, b, layer);
    }
    same_ends(a, b);
    model_close(a);
    model_close(b);
}

/* gguf-py wrote both: one file, and three parts, the first of which holds the keys. */
static void a_gguf_in_parts_is_joined_whichever_part_is_named(void **state)
{
    static const char *const parts[] = {GOLDEN("split/model-00001-of-00003.gguf"),
                                        GOLDEN("split/model-00003-of-00003.gguf")};
    struct model *whole = open_good(GOLDEN("split/whole.gguf"));

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct model *m = open_good(parts[i]);
        assert_memory_equal(model_config(m), model_config(whole), sizeof(struct model_config));
        for (int layer = 0; layer < 2; layer++) {
            same_module(whole, m, layer, MODULE_Q);
            same_module(whole, m, layer, MODULE_DOWN);
            same_norms(whole, m, layer);
        }
        same_ends(whole, m);
        model_close(m);
    }
    model_close(whole);
}

static void parts_that_are_missing_or_misnamed_are_named(void **state)
{
    char *folder = new_folder(), *path = file_join(folder, "model-00001-of-00003.gguf"), *text;

    (void)state;
    copy_file(GOLDEN("split/model-00001-of-00003.gguf"), folder, "model-00001-of-00003.gguf");
    copy_file(GOLDEN("split/model-00003-of-00003.gguf"), folder, "model-00003-of-00003.gguf");
    text = open_bad(path);
    assert_contains(text, "model-00002-of-00003.gguf: cannot be opened");
    free(text);
    copy_file(GOLDEN("split/model-00001-of-00003.gguf"), folder, "model-00002-of-00003.gguf");
    text = open_bad(path);
    assert_contains(text, "model-00002-of-00003.gguf: is part 1 of 3 by its keys");
    free(text);
    free(path);
    copy_file(GOLDEN("split/model-00002-of-00003.gguf"), folder, "other.gguf");
    path = file_join(folder, "other.gguf");
    text = open_bad(path);
    assert_contains(text, "other.gguf: is part 2 of 3 by its keys");
    free(text);
    free(path);
    remove_folder(folder);
}

static void description_is_read_from_both_kinds(void **state)
{
    static const char *const paths[] = {GOLDEN("tiny/model"), GOLDEN("tiny/model.gguf")};

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct model *m = open_good(paths[i]);
        const struct model_config *c = model_config(m);
        assert_string_equal(c->architecture, "LlamaForCausalLM");
        assert_int_equal(c->n_layers, 4);
        assert_int_equal(c->hidden, 64);
        assert_int_equal(c->n_heads, 4);
        assert_int_equal(c->n_kv_heads, 2);
        assert_int_equal(c->head_dim, 16);
        assert_int_equal(c->intermediate, 160);
        assert_int_equal(c->vocab, 256);
        assert_int_equal(c->max_positions, 128);
        assert_true((float)c->rms_eps == 1e-5f);
        assert_int_equal(c->rope_pairs, 8);
        for (int pair = 0; pair < 8; pair++)
            assert_true(c->rope[ROPE_MAIN].freq[pair] == pow(10000, -pair / 8.0));
        assert_true(c->tied);
        assert_int_equal(c->eos_id, i == 0 ? 2 : -1);
        assert_string_equal(model_path(m), paths[i]);
        model_close(m);
    }
}

static void model_without_tokenizer_says_so_quietly(void **state)
{
    struct model *m = open_good(GOLDEN("tiny/model"));
    struct tokenizer *t = (struct tokenizer *)m;
    struct err err;

    (void)state;
    assert_ok(model_open_tokenizer(m, &t, &err), err);
    assert_null(t);
    model_close(m);
}

/* A copy of the tiny folder with config.json changed: `changes` is a JSON object merged over it,
 * null deletes. */
static char *folder_with(const char *changes)
{
    char *folder = new_folder(), *text;
    json_t *config = json_load_file(GOLDEN("tiny/model/config.json"), 0, NULL);
    json_t *change = json_loads(changes, 0, NULL), *value;
    const char *key;

    assert_non_null(config);
    assert_non_null(change);
    json_object_foreach(change, key, value)
    {
        if (json_is_string(value) && strcmp(json_string_value(value), "DELETE") == 0)
            json_object_del(config, key);
        else
            json_object_set(config, key, value);
    }
    text = json_dumps(config, JSON_INDENT(2));
    write_text(folder, "config.json", text);
    copy_file(GOLDEN("tiny/model/model.safetensors"), folder, "model.safetensors");
    free(text);
    json_decref(config);
    json_decref(change);
    return folder;
}

static void refused_with(const char *changes, const char *words)
{
    char *folder = folder_with(changes), *text = open_bad(folder);

    assert_contains(text, words);
    assert_contains(text, "config.json");
    free(text);
    remove_folder(folder);
}

static void refused_at(const char *changes, const char *words)
{
    char *folder = folder_with(changes), *text = open_bad(folder);

    assert_contains(text, words);
    free(text);
    remove_folder(folder);
}

static void settings_that_change_the_computation_are_refused_by_name(void **state)
{
    (void)state;
    refused_with("{\"model_type\": \"cohere\"}", "model_type cohere is not supported");
    refused_with("{\"model_type\": \"mixtral\"}", "mixture of experts");
    refused_with("{\"model_type\": 7}", "model_type must be a string");
    refused_with("{\"model_type\": \"DELETE\", \"architectures\": \"DELETE\"}", "are missing");
    refused_with("{\"model_type\": \"DELETE\", \"architectures\": [\"OtherForCausalLM\"]}",
                 "OtherForCausalLM is not supported");
    refused_with("{\"hidden_act\": \"relu\"}", "hidden_act 'relu'");
    refused_with("{\"hidden_act\": null}", "hidden_act");
    refused_with("{\"hidden_act\": 3}", "hidden_act");
    refused_with("{\"is_causal\": false}", "is_causal");
    refused_with("{\"quantization_config\": {\"quant_method\": \"gptq\"}}", "quantised (gptq)");
    refused_with("{\"rope_parameters\": {\"rope_type\": \"spiral\"}}", "'spiral'");
    refused_with("{\"rope_scaling\": {\"type\": \"linear\"}}", "factor is missing");
    refused_with("{\"rope_scaling\": {\"factor\": 2}}", "no rope_type");
    refused_with("{\"rope_scaling\": 2}", "rope_scaling must be an object");
    refused_with("{\"rope_parameters\": {\"rope_type\": \"llama3\", \"factor\": 8}}",
                 "low_freq_factor is missing");
    refused_with(
        "{\"rope_theta\": 0.5, \"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4}}",
        "theta above 1");
    refused_with("{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, \"truncate\": 1}}",
                 "truncate");
    refused_with("{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": 4, "
                 "\"original_max_position_embeddings\": 1e12}}",
                 "must be at most 2147483647, not 1e+12");
    refused_with("{\"partial_rotary_factor\": 0.5}", "partial_rotary_factor");
}

/* What a model_type makes of the same tensors, where the tensors do not fit it. */
static void what_a_family_needs_must_be_there(void **state)
{
    (void)state;
    refused_at("{\"attention_bias\": true}", "self_attn.q_proj.bias is missing");
    refused_at("{\"mlp_bias\": true}", "mlp.down_proj.bias is missing");
    refused_at("{\"model_type\": \"qwen2\"}", "self_attn.k_proj.bias is missing");
    refused_at("{\"model_type\": \"qwen3\"}", "self_attn.q_norm.weight is missing");
    refused_at("{\"model_type\": \"gemma2\"}", "pre_feedforward_layernorm.weight is missing");
    refused_at("{\"model_type\": \"olmo2\"}", "input_layernorm.weight has no place");
    refused_at("{\"model_type\": \"phi3\"}", "self_attn.qkv_proj.weight is missing");
    refused_at("{\"num_hidden_layers\": 3}", "model.layers.3.mlp.down_proj.weight has no place");
    refused_at("{\"tie_word_embeddings\": false}", "lm_head.weight is missing");
}

static void impossible_sizes_are_refused(void **state)
{
    (void)state;
    refused_with("{\"num_hidden_layers\": 0}", "num_hidden_layers must be an integer");
    refused_with("{\"num_hidden_layers\": 1e9}", "num_hidden_layers must be an integer");
    refused_with("{\"hidden_size\": \"64\"}", "hidden_size must be an integer");
    refused_with("{\"num_key_value_heads\": 3}", "cannot share 3 key-value heads");
    refused_with("{\"head_dim\": 15}", "odd");
    refused_with("{\"head_dim\": null, \"num_attention_heads\": 6}",
                 "not a multiple of the 6 heads");
    refused_with("{\"rms_norm_eps\": -1}", "rms_norm_eps must be a number above 0");
    refused_with("{\"eos_token_id\": 256}", "outside the vocabulary");
    refused_with("{\"eos_token_id\": [-2]}", "eos_token_id is not a token id");
}

static void all_that_is_wrong_is_said_at_once(void **state)
{
    char *folder = folder_with("{\"hidden_size\": \"DELETE\", \"vocab_size\": \"DELETE\","
                               "\"is_causal\": false, \"intermediate_size\": \"DELETE\"}");
    char *text;

    (void)state;
    write_text(folder, "model.safetensors", "no tensors here");
    text = open_bad(folder);
    assert_contains(text, "hidden_size is missing");
    assert_contains(text, "vocab_size is missing");
    assert_contains(text, "intermediate_size is missing");
    assert_contains(text, "is_causal");
    assert_contains(text, "neither a safetensors nor a GGUF");
    free(text);
    remove_folder(folder);
}

/* The frequencies of a pair that each description gives. */
static void check_rope(const char *changes, int pair, double freq, double scale)
{
    char *folder = folder_with(changes);
    struct model *m = open_good(folder);
    const struct rope_angles *a = &model_config(m)->rope[ROPE_MAIN];

    if (fabs(a->freq[pair] / freq - 1) > 1e-12 || fabs(a->scale / scale - 1) > 1e-12)
        fail_msg("%s: pair %d: %.17g, scale %.17g", changes, pair, a->freq[pair], a->scale);
    model_close(m);
    remove_folder(folder);
}

static void older_and_newer_rope_keys_are_read(void **state)
{
    (void)state;
    check_rope("{\"rope_parameters\": \"DELETE\"}", 7, pow(10000, -7 / 8.0), 1);
    check_rope("{\"rope_parameters\": \"DELETE\", \"rope_scaling\": null, \"rope_theta\": 500.0}",
               4, pow(500, -0.5), 1);
    check_rope("{\"rope_parameters\": {\"rope_theta\": 7.5, \"rope_type\": \"default\"}}", 4,
               pow(7.5, -0.5), 1);
    /* rope_scaling wins over rope_parameters, and a theta inside of it over the one beside it. */
    check_rope("{\"rope_theta\": 500.0, \"rope_scaling\": {\"type\": \"linear\", \"factor\": 4, "
               "\"rope_theta\": 900.0}, \"rope_parameters\": {\"rope_theta\": 3, \"rope_type\": "
               "\"default\"}}",
               4, pow(900, -0.5) / 4, 1);
    check_rope("{\"rope_scaling\": {\"type\": \"dynamic\", \"factor\": 4}}", 4, pow(10000, -0.5),
               1);
}

/* Numbers of transformers 5.24's own functions in double. */
static void rope_is_scaled_as_transformers_does(void **state)
{
    static const char *const llama3 =
        "{\"rope_parameters\": {\"rope_theta\": 10000.0, \"rope_type\": \"llama3\", \"factor\": 8, "
        "\"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, "
        "\"original_max_position_embeddings\": 64}}";
    static const char *const yarn =
        "{\"rope_parameters\": {\"rope_theta\": 10000.0, \"rope_type\": \"yarn\", \"factor\": 4, "
        "\"original_max_position_embeddings\": 32}}";

    (void)state;
    check_rope(llama3, 0, 1, 1);
    check_rope(llama3, 1, 0.24438459943539834, 1);
    check_rope(llama3, 7, pow(10000, -7 / 8.0) / 8, 1);
    check_rope(yarn, 0, 1, 0.1 * log(4) + 1);
    check_rope(yarn, 1, 0.19764235376052372, 0.1 * log(4) + 1);
    check_rope(yarn, 7, pow(10000, -7 / 8.0) / 4, 0.1 * log(4) + 1);
}

static void mistral_without_window_and_list_of_ends_are_accepted(void **state)
{
    char *folder = folder_with("{\"model_type\": \"mistral\", \"sliding_window\": "
                               "null, \"eos_token_id\": [7, 8], \"bos_token_id\": null}");
    struct model *m = open_good(folder);

    (void)state;
    assert_int_equal(model_config(m)->eos_id, 7);
    assert_int_equal(model_config(m)->bos_id, -1);
    assert_int_equal(model_config(m)->window, 0);
    assert_int_equal(model_config(m)->layers[3], LAYER_ROPE);
    model_close(m);
    remove_folder(folder);
}

static void missing_tensors_are_named_and_the_rest_counted(void **state)
{
    char *folder = folder_with("{\"num_hidden_layers\": 6}"), *text = open_bad(folder);

    (void)state;
    assert_contains(text, "tensor model.layers.4.self_attn.q_proj.weight is missing");
    assert_contains(text, "and 8 more missing tensors");
    free(text);
    remove_folder(folder);
}

static void wrong_shapes_say_expected_and_found(void **state)
{
    char *folder = folder_with("{\"intermediate_size\": 96}"), *text = open_bad(folder);

    (void)state;
    assert_contains(text,
                    "model.safetensors: tensor model.layers.0.mlp.up_proj.weight is 160 x 64; "
                    "the description makes it 96 x 64");
    assert_contains(text, "and 2 more tensors of wrong shape");
    free(text);
    remove_folder(folder);
}

static void cut_off_and_absent_files_are_told(void **state)
{
    char *folder = folder_with("{}"), *path = file_join(folder, "model.safetensors"), *text;

    (void)state;
    assert_int_equal(truncate(path, 700000), 0);
    text = open_bad(folder);
    assert_contains(text, "model.safetensors: the file is cut off");
    free(text);
    assert_int_equal(unlink(path), 0);
    text = open_bad(folder);
    assert_contains(text, "no *.safetensors");
    free(text);
    write_text(folder, "pytorch_model.bin", "");
    text = open_bad(folder);
    assert_contains(text, "convert it to safetensors");
    free(text);
    write_text(folder, "config.json", "{\n\"a\": 1,\n");
    text = open_bad(folder);
    assert_contains(text, "config.json:3: is not a JSON object");
    free(text);
    text = open_bad("/nowhere/at all");
    assert_contains(text, "No such file");
    free(text);
    text = open_bad(GOLDEN("tiny/model/model.safetensors"));
    assert_contains(text, "name the folder");
    free(text);
    free(path);
    remove_folder(folder);
}

/* Splits the tiny model in two files, every other tensor in each. */
static void write_shards(const char *folder, const char *first, const char *second)
{
    struct tensorfile *f;
    struct err err;

    assert_ok(tensorfile_open(GOLDEN("tiny/model/model.safetensors"), &f, &err), err);
    for (int part = 0; part < 2; part++) {
        struct tensor_out out[64];
        struct buf b = {0};
        int n = 0;
        for (int i = part; i < tensorfile_count(f); i += 2) {
            const struct tensor *t = tensorfile_at(f, i);
            out[n] = (struct tensor_out){t->name, t->type, t->n_dims, {0}, t->data};
            memcpy(out[n++].shape, t->shape, sizeof(t->shape));
        }
        assert_ok(safetensors_encode(out, n, NULL, 0, &b, &err), err);
        write_file(folder, part ? second : first, b.data, b.len);
        buf_free(&b);
    }
    tensorfile_close(f);
}

static void shards_are_found_with_and_without_an_index(void **state)
{
    char *folder = folder_with("{}"), *path = file_join(folder, "model.safetensors"), *text;
    char *index = NULL;
    struct model *m;

    (void)state;
    assert_int_equal(unlink(path), 0);
    write_shards(folder, "part-1.safetensors", "part-2.safetensors");
    m = open_good(folder);
    model_close(m);
    write_text(folder, "model.safetensors.index.json",
               "{\"weight_map\": {\"a\": \"part-1.safetensors\", \"b\": \"part-2.safetensors\"}}");
    m = open_good(folder);
    model_close(m);
    write_text(folder, "model.safetensors.index.json",
               "{\"weight_map\": {\"a\": \"part-1.safetensors\", \"b\": \"part-3.safetensors\"}}");
    text = open_bad(folder);
    assert_contains(text, "part-3.safetensors: cannot be opened");
    free(text);
    write_text(folder, "model.safetensors.index.json", "{\"weight_map\": {\"a\": \"../x\"}}");
    text = open_bad(folder);
    assert_contains(text, "in which file");
    free(text);
    assert_true(asprintf(&index, "{\"weight_map\": {\"a\": \"%0300d\"}}", 0) > 0);
    write_text(folder, "model.safetensors.index.json", index);
    free(index);
    text = open_bad(folder);
    assert_contains(text, "in which file");
    free(text);
    write_text(folder, "model.safetensors.index.json", "{}");
    text = open_bad(folder);
    assert_contains(text, "has no weight_map");
    free(text);
    free(path);
    remove_folder(folder);
}

static void add_tensor(const char *folder, const char *name, const char *file)
{
    static const float values[64];
    const struct tensor_out t = {name, TENSOR_F32, 1, {64}, values};
    struct buf b = {0};
    struct err err;

    assert_ok(safetensors_encode(&t, 1, NULL, 0, &b, &err), err);
    write_file(folder, file, b.data, b.len);
    buf_free(&b);
}

/* Adds lm_head.weight to the tiny folder, in a file of its own: the embedding, or something else.
 */
static struct model *open_with_head(bool same, char **ret_folder)
{
    char *folder = folder_with("{}"), *path = file_join(folder, "model.safetensors");
    struct model *tiny = open_good(GOLDEN("tiny/model"));
    const struct model_config *c = model_config(tiny);
    struct buf b = {0};
    struct err err;
    struct model *m;
    struct tensorfile *f;
    const struct tensor *t;
    struct tensor_out head;
    float *values = numbers((int64_t)c->vocab * c->hidden);
    struct weight embedding;

    assert_ok(model_read_embedding(tiny, &embedding, &err), err);
    weight_read_rows(&(struct weight_rows){&embedding, 0, c->vocab}, values);
    weight_close(&embedding);
    values[5] += same ? 0 : 1;
    head = (struct tensor_out){"lm_head.weight", TENSOR_F32, 2, {c->vocab, c->hidden}, values};
    assert_ok(tensorfile_open(path, &f, &err), err);
    t = tensorfile_find(f, "model.embed_tokens.weight");
    assert_int_equal(t->type, TENSOR_F32);
    tensorfile_close(f);
    assert_int_equal(unlink(path), 0);
    write_shards(folder, "part-1.safetensors", "part-2.safetensors");
    assert_ok(safetensors_encode(&head, 1, NULL, 0, &b, &err), err);
    write_file(folder, "part-3.safetensors", b.data, b.len);
    m = open_good(folder);
    buf_free(&b);
    free(values);
    free(path);
    model_close(tiny);
    *ret_folder = folder;
    return m;
}

/* tie_word_embeddings is true in the tiny folder; transformers 5 uses a head that is there. */
static void a_head_of_its_own_wins_over_tie_word_embeddings(void **state)
{
    char *folder;
    struct model *m = open_with_head(true, &folder);

    (void)state;
    assert_true(model_config(m)->tied);
    model_close(m);
    remove_folder(folder);
    m = open_with_head(false, &folder);
    assert_false(model_config(m)->tied);
    model_close(m);
    remove_folder(folder);
}

static void tensors_without_a_place_are_refused_by_name(void **state)
{
    char *folder = folder_with("{}"), *path = file_join(folder, "model.safetensors"), *text;

    (void)state;
    assert_int_equal(unlink(path), 0);
    write_shards(folder, "part-1.safetensors", "part-2.safetensors");
    add_tensor(folder, "model.layers.0.self_attn.q_proj.bias", "part-3.safetensors");
    text = open_bad(folder);
    assert_contains(
        text, "part-3.safetensors: tensor model.layers.0.self_attn.q_proj.bias has no place in a "
              "LlamaForCausalLM");
    free(text);
    free(path);
    remove_folder(folder);
}

/* The tiny GGUF with its first `from` overwritten by `to` must be refused with these words. */
static void gguf_refused_with(const char *from, const char *to, size_t len, const char *words)
{
    char *bytes, *at, *text, *folder = new_folder(), *path = file_join(folder, "model.gguf");
    struct err err;
    size_t size;

    assert_ok(file_read(GOLDEN("tiny/model.gguf"), 1 << 30, &bytes, &size, &err), err);
    at = memmem(bytes, size, from, len);
    assert_non_null(at);
    memcpy(at, to, len);
    write_file(folder, "model.gguf", bytes, size);
    text = open_bad(path);
    if (text)
        assert_contains(text, words);
    free(text);
    free(bytes);
    free(path);
    remove_folder(folder);
}

#define GGUF_REFUSED_WITH(from, to, words)                                                         \
    do {                                                                                           \
        _Static_assert(sizeof(from) == sizeof(to), "same length");                                 \
        gguf_refused_with(from, to, sizeof(from) - 1, words);                                      \
    } while (0)

static void wrong_gguf_is_refused_in_words(void **state)
{
    (void)state;
    GGUF_REFUSED_WITH("\5\0\0\0\0\0\0\0llama", "\5\0\0\0\0\0\0\0qwenx",
                      "the architecture qwenx is not supported");
    GGUF_REFUSED_WITH("llama.block_count", "llama.block_counx", "llama.block_count is missing");
    GGUF_REFUSED_WITH("blk.2.ffn_up.weight", "blk.2.ffn_ux.weight",
                      "tensor blk.2.ffn_up.weight is missing");
    GGUF_REFUSED_WITH("rope.dimension_count\4\0\0\0\x10", "rope.dimension_count\4\0\0\0\x08",
                      "rope.dimension_count 8 is not supported with heads of 16");
    GGUF_REFUSED_WITH("llama.rope.freq_base\6", "llama.rope.freq_base\x8", "cut off or damaged");
}

/* The tiny GGUF with one tensor more, rope_freqs.weight of 8 times `value`. Caller removes
 * *ret_folder. */
static char *gguf_with_rope_factors(float value, char **ret_folder)
{
    static const char first[] = "\x11\0\0\0\0\0\0\0token_embd.weight";
    char *bytes, *infos, *last;
    struct buf b = {0};
    struct err err;
    size_t len, infos_end;

    assert_ok(file_read(GOLDEN("tiny/model.gguf"), 1 << 30, &bytes, &len, &err), err);
    infos = memmem(bytes, len, first, sizeof(first) - 1);
    last = memmem(bytes, len, "output_norm.weight", 18);
    assert_true(infos && last && last > infos);
    infos_end = (size_t)(last + 18 + 4 + 8 + 4 + 8 - bytes); /* a vector's info is the last */
    buf_append(&b, bytes, infos_end);
    b.data[8]++;
    buf_put(&b, 17, 8);
    buf_puts(&b, "rope_freqs.weight");
    buf_put(&b, 1, 4);
    buf_put(&b, 8, 8);
    buf_put(&b, 0, 4);
    buf_put(&b, len - (infos_end + 31) / 32 * 32, 8);
    buf_pad(&b);
    infos_end = (infos_end + 31) / 32 * 32;
    buf_append(&b, bytes + infos_end, len - infos_end);
    for (int i = 0; i < 8; i++)
        buf_append(&b, &value, sizeof(value));
    *ret_folder = new_folder();
    write_file(*ret_folder, "model.gguf", b.data, b.len);
    buf_free(&b);
    free(bytes);
    return file_join(*ret_folder, "model.gguf");
}

static void check_gguf_rope(float factor)
{
    char *folder, *path = gguf_with_rope_factors(factor, &folder);
    struct model *m = open_good(path);

    for (int pair = 0; pair < 8; pair++)
        assert_true(model_config(m)->rope[ROPE_MAIN].freq[pair] ==
                    pow(10000, -pair / 8.0) / (double)factor);
    model_close(m);
    free(path);
    remove_folder(folder);
}

static void rope_factors_of_a_gguf_divide_the_frequencies(void **state)
{
    char *folder, *path = gguf_with_rope_factors(-1.0f, &folder), *text = open_bad(path);

    (void)state;
    assert_contains(text, "rope_freqs.weight must hold numbers above 0");
    free(text);
    free(path);
    remove_folder(folder);
    check_gguf_rope(1.0f);
    check_gguf_rope(8.0f);
}

/* One weight of the file becomes a NaN: it is found when the weight is read. */
static void weights_that_are_not_finite_are_named(void **state)
{
    char *folder = folder_with("{}"), *path = file_join(folder, "model.safetensors"), *bytes;
    struct model *m;
    struct err err;
    size_t len;
    struct weight w;

    (void)state;
    assert_ok(file_read(path, 1 << 30, &bytes, &len, &err), err);
    memset(bytes + len - 6 * 1024, 0xff, 8);
    write_file(folder, "model.safetensors", bytes, len);
    m = open_good(folder);
    err.code = 0;
    for (int layer = 0; layer < 4 && err.code == 0; layer++)
        for (int kind = 0; kind < MODULE_KINDS && err.code == 0; kind++)
            if (model_has_module(model_config(m), kind) &&
                model_read_modules(m, layer, (enum module_kind[]){kind}, 1, &w, &err) == 0) {
                weight_close(&w);
                err.code = 0;
            }
    assert_contains(err.text, "model.safetensors: tensor model.layers.");
    assert_contains(err.text, "is not finite");
    free(bytes);
    free(path);
    model_close(m);
    remove_folder(folder);
}

static void damaged_models_never_crash(void **state)
{
    uint64_t random = 7;
    char *bytes, *config, *folder = new_folder();
    struct err err;
    size_t len, config_len;

    (void)state;
    assert_ok(file_read(GOLDEN("tiny/model.gguf"), 1 << 30, &bytes, &len, &err), err);
    assert_ok(file_read(GOLDEN("tiny/model/config.json"), 1 << 30, &config, &config_len, &err),
              err);
    copy_file(GOLDEN("tiny/model/model.safetensors"), folder, "model.safetensors");
    for (int i = 0; i < 300; i++) {
        char *damaged =
            damaged_copy(i % 2 ? bytes : config, i % 2 ? len : config_len, 3000, &random);
        char *path = file_join(folder, i % 2 ? "damaged.gguf" : "");
        struct problems problems = {0};
        struct model *m = NULL;
        write_file(folder, i % 2 ? "damaged.gguf" : "config.json", damaged,
                   i % 2 ? len : config_len);
        if (model_open(path, &m, &problems, &err) < 0)
            assert_true(problems.n > 0);
        model_close(m);
        problems_free(&problems);
        free(damaged);
        free(path);
    }
    free(bytes);
    free(config);
    remove_folder(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gguf_and_folder_give_the_same_weights_bit_for_bit),
        cmocka_unit_test(a_gguf_in_parts_is_joined_whichever_part_is_named),
        cmocka_unit_test(parts_that_are_missing_or_misnamed_are_named),
        cmocka_unit_test(description_is_read_from_both_kinds),
        cmocka_unit_test(model_without_tokenizer_says_so_quietly),
        cmocka_unit_test(settings_that_change_the_computation_are_refused_by_name),
        cmocka_unit_test(what_a_family_needs_must_be_there),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(all_that_is_wrong_is_said_at_once),
        cmocka_unit_test(older_and_newer_rope_keys_are_read),
        cmocka_unit_test(rope_is_scaled_as_transformers_does),
        cmocka_unit_test(mistral_without_window_and_list_of_ends_are_accepted),
        cmocka_unit_test(missing_tensors_are_named_and_the_rest_counted),
        cmocka_unit_test(wrong_shapes_say_expected_and_found),
        cmocka_unit_test(cut_off_and_absent_files_are_told),
        cmocka_unit_test(shards_are_found_with_and_without_an_index),
        cmocka_unit_test(a_head_of_its_own_wins_over_tie_word_embeddings),
        cmocka_unit_test(tensors_without_a_place_are_refused_by_name),
        cmocka_unit_test(wrong_gguf_is_refused_in_words),
        cmocka_unit_test(rope_factors_of_a_gguf_divide_the_frequencies),
        cmocka_unit_test(weights_that_are_not_finite_are_named),
        cmocka_unit_test(damaged_models_never_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
