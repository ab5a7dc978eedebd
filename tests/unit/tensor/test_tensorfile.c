/* tests/unit/tensor/test_tensorfile.c - tensor files: what is read is what the reference wrote;
 * what is damaged is refused. */
#include "tests/unit/image.h"
#include <sys/resource.h>

static struct tensorfile *open_golden(const char *path)
{
    struct tensorfile *f = NULL;
    struct err err;

    assert_ok(tensorfile_open(path, &f, &err), err);
    return f;
}

static float *read_all(const struct tensor *t)
{
    float *values = malloc((size_t)tensor_elements(t) * sizeof(float) + 1);
    int64_t rows = t->n_dims < 2 ? 1 : t->shape[0];
    struct err err;

    assert_ok(tensor_read_f32(t, 0, rows, values, &err), err);
    return values;
}

/* Returns how many tensors of the GGUF were compared with their values. */
static int compare_types(const char *gguf_path, const char *values_path)
{
    struct tensorfile *gguf = open_golden(gguf_path), *values = open_golden(values_path);
    int compared = 0;

    for (int i = 0; i < tensorfile_count(gguf); i++) {
        const struct tensor *t = tensorfile_at(gguf, i);
        const struct tensor *wanted = tensorfile_find(values, t->name);
        float *got, *expected;
        if (t->type == TENSOR_UNSUPPORTED || !wanted)
            continue;
        got = read_all(t);
        expected = read_all(wanted);
        if (memcmp(got, expected, (size_t)tensor_elements(t) * sizeof(float)) != 0)
            fail_msg("%s differs", t->name);
        compared++;
        free(got);
        free(expected);
    }
    tensorfile_close(gguf);
    tensorfile_close(values);
    return compared;
}

static void every_gguf_type_equals_the_reference_bit_for_bit(void **state)
{
    (void)state;
    assert_int_equal(compare_types(GOLDEN("gguf_types.gguf"), GOLDEN("gguf_types.safetensors")),
                     14);
    assert_int_equal(
        compare_types(GOLDEN("gguf_types_4bit.gguf"), GOLDEN("gguf_types_4bit.safetensors")), 3);
    assert_int_equal(
        compare_types(GOLDEN("gguf_types_grids.gguf"), GOLDEN("gguf_types_grids.safetensors")), 10);
}

static void any_run_of_rows_equals_that_part_of_the_whole(void **state)
{
    struct tensorfile *gguf = open_golden(GOLDEN("gguf_types.gguf"));
    float part[2 * 512];
    struct err err;

    (void)state;
    for (int i = 0; i < tensorfile_count(gguf); i++) {
        const struct tensor *t = tensorfile_at(gguf, i);
        float *whole;
        if (t->type == TENSOR_UNSUPPORTED)
            continue;
        assert_int_equal(tensor_row_elements(t), 512);
        whole = read_all(t);
        assert_ok(tensor_read_f32(t, 3, 2, part, &err), err);
        assert_memory_equal(part, whole + 3 * 512, sizeof(part));
        free(whole);
    }
    tensorfile_close(gguf);
}

static void unreadable_type_is_listed_and_refused_by_name_when_read(void **state)
{
    struct tensorfile *gguf = open_golden(GOLDEN("gguf_types_grids.gguf"));
    const struct tensor *t = tensorfile_find(gguf, "t.Q8_K");
    float out[512];
    struct err err;

    (void)state;
    assert_non_null(t);
    assert_int_equal(t->type, TENSOR_UNSUPPORTED);
    assert_string_equal(t->type_name, "Q8_K");
    assert_int_equal(tensor_read_f32(t, 0, 1, out, &err), ERR_UNSUPPORTED);
    assert_contains(err.text, "Q8_K");
    tensorfile_close(gguf);
}

static void rows_that_do_not_exist_are_refused(void **state)
{
    struct tensorfile *gguf = open_golden(GOLDEN("gguf_types.gguf"));
    const struct tensor *t = tensorfile_find(gguf, "t.F32");
    float out[512];
    struct err err;

    (void)state;
    assert_int_equal(tensor_read_f32(t, 6, 1, out, &err), ERR_INVALID);
    assert_int_equal(tensor_read_f32(t, -1, 1, out, &err), ERR_INVALID);
    assert_int_equal(tensor_read_f32(t, 0, INT64_MAX, out, &err), ERR_INVALID);
    assert_contains(err.text, "has 6 rows");
    assert_int_equal(tensor_read_f32(t, 1, INT64_MAX, out, &err), ERR_INVALID);
    tensorfile_close(gguf);
}

static void names_that_are_not_there_are_not_found(void **state)
{
    struct tensorfile *f = open_golden(GOLDEN("tiny/model/model.safetensors"));

    (void)state;
    assert_null(tensorfile_find(f, ""));
    assert_null(tensorfile_find(f, "zzz"));
    assert_null(tensorfile_find(f, "model.embed_tokens.weigh"));
    for (int i = 0; i < tensorfile_count(f); i++)
        assert_ptr_equal(tensorfile_find(f, tensorfile_at(f, i)->name), tensorfile_at(f, i));
    assert_false(tensorfile_is_gguf(f));
    tensorfile_close(f);
}

static void gguf_keys_are_read_with_their_types(void **state)
{
    struct tensorfile *f = open_golden(GOLDEN("tiny/model.gguf"));
    double number = -1;
    bool truth;

    (void)state;
    assert_true(tensorfile_is_gguf(f));
    assert_string_equal(tensorfile_kv_string(f, "general.architecture"), "llama");
    assert_true(tensorfile_kv_number(f, "llama.block_count", &number));
    assert_true(number == 4);
    assert_true(tensorfile_kv_number(f, "llama.attention.layer_norm_rms_epsilon", &number));
    assert_true((float)number == 1e-5f);
    assert_false(tensorfile_kv_number(f, "general.architecture", &number));
    assert_false(tensorfile_kv_bool(f, "llama.block_count", &truth));
    assert_null(tensorfile_kv_string(f, "llama.block_count"));
    assert_null(tensorfile_kv_array(f, "absent"));
    assert_null(tensorfile_metadata(f, "general.architecture"));
    tensorfile_close(f);
}

/* A GGUF image built by hand. */
static void put_string(struct buf *b, const char *text, size_t len)
{
    put(b, len, 8);
    buf_append(b, text, len);
}

static void put_array_of_strings(struct buf *b, const char *key)
{
    put_string(b, key, strlen(key));
    put(b, 9, 4);
    put(b, 8, 4);
    put(b, 2, 8);
    put_string(b, "a\0b", 3);
    put_string(b, "", 0);
}

static void arrays_of_every_kind_are_read(void **state)
{
    struct buf b = {0};
    struct tensorfile *f;
    struct err err;
    const struct gguf_array *a;
    const uint8_t *at = NULL;
    const char *text;
    bool truth = false;
    size_t len;

    (void)state;
    buf_puts(&b, "GGUF");
    put(&b, 2, 4);
    put(&b, 0, 8);
    put(&b, 3, 8);
    put_array_of_strings(&b, "strings");
    put_string(&b, "numbers", 7);
    put(&b, 9, 4);
    put(&b, 5, 4);
    put(&b, 2, 8);
    put(&b, (uint32_t)-7, 4);
    put(&b, 9, 4);
    put_string(&b, "truth", 5);
    put(&b, 7, 4);
    put(&b, 1, 1);
    assert_ok(tensorfile_from_memory(b.data, b.len, "made", &f, &err), err);
    a = tensorfile_kv_array(f, "strings");
    assert_true(a && a->strings && a->n == 2);
    assert_true(gguf_next_text(a, &at, &text, &len));
    assert_int_equal(len, 3);
    assert_memory_equal(text, "a\0b", 3);
    assert_true(gguf_next_text(a, &at, &text, &len));
    assert_int_equal(len, 0);
    assert_false(gguf_next_text(a, &at, &text, &len));
    a = tensorfile_kv_array(f, "numbers");
    assert_true(a && !a->strings && a->n == 2);
    assert_true(gguf_number(a, 0) == -7 && gguf_number(a, 1) == 9);
    assert_true(tensorfile_kv_bool(f, "truth", &truth) && truth);
    tensorfile_close(f);
    buf_free(&b);
}

static void start_gguf(struct buf *b, uint32_t version, uint64_t n_tensors, uint64_t n_kvs)
{
    b->len = 0;
    buf_puts(b, "GGUF");
    put(b, version, 4);
    put(b, n_tensors, 8);
    put(b, n_kvs, 8);
}

static void put_info(struct buf *b, const char *name, uint64_t columns, uint64_t rows,
                     uint32_t type, uint64_t offset)
{
    put_string(b, name, strlen(name));
    put(b, 2, 4);
    put(b, columns, 8);
    put(b, rows, 8);
    put(b, type, 4);
    put(b, offset, 8);
}

static void put_data(struct buf *b, size_t bytes)
{
    while (b->len % 32)
        put(b, 0, 1);
    memset(buf_grow(b, bytes), 0, bytes);
}

static void wrong_gguf_is_refused_in_words(void **state)
{
    struct buf b = {0};

    (void)state;
    start_gguf(&b, 1, 0, 0);
    refused(&b, ERR_UNSUPPORTED, "GGUF version 1");
    start_gguf(&b, 0x03000000, 0, 0);
    refused(&b, ERR_UNSUPPORTED, "big-endian");
    start_gguf(&b, 3, UINT64_MAX, 0);
    refused(&b, ERR_INVALID, "cut off");
    start_gguf(&b, 3, 1, 0);
    put_info(&b, "w", 16, 2, 0, 0);
    put_data(&b, 100);
    refused(&b, ERR_INVALID, "tensor 'w' needs 128 bytes");
    start_gguf(&b, 3, 1, 0);
    put_info(&b, "w", 16, 2, 8, 0);
    put_data(&b, 1000);
    refused(&b, ERR_INVALID, "not a multiple of the 32");
    start_gguf(&b, 3, 1, 0);
    put_info(&b, "w", 1ull << 40, 1ull << 40, 0, 0);
    put_data(&b, 100);
    refused(&b, ERR_INVALID, "larger than any file");
    start_gguf(&b, 3, 1, 0);
    put_info(&b, "w", 4, 2, 0, 8);
    put_data(&b, 100);
    refused(&b, ERR_INVALID, "not a multiple of 32");
    start_gguf(&b, 3, 2, 0);
    put_info(&b, "w", 16, 2, 0, 0);
    put_info(&b, "v", 16, 2, 0, 64);
    put_data(&b, 1000);
    refused(&b, ERR_INVALID, "overlap");
    start_gguf(&b, 3, 2, 0);
    put_info(&b, "w", 16, 2, 0, 0);
    put_info(&b, "w", 16, 2, 0, 128);
    put_data(&b, 1000);
    refused(&b, ERR_INVALID, "two tensors have the name 'w'");
    start_gguf(&b, 3, 0, 2);
    put_array_of_strings(&b, "k");
    put_array_of_strings(&b, "k");
    refused(&b, ERR_INVALID, "the key 'k' appears twice");
    buf_free(&b);
}

/* A header of a few bytes over a hole: 8 GiB that are not there. type: of a key's value, -1 for no
 * key; of: of a list's values. */
static void write_sparse(const char *path, uint64_t tensors, uint64_t kvs, int type, int of,
                         uint64_t len)
{
    struct buf b = {0};

    start_gguf(&b, 3, tensors, kvs);
    if (type >= 0) {
        put_string(&b, "key", 3);
        put(&b, (uint64_t)type, 4);
        if (type == 9)
            put(&b, (uint64_t)of, 4);
        put(&b, len, 8);
    }
    write_file(NULL, path, b.data, b.len);
    assert_int_equal(truncate(path, 8ll << 30), 0);
    buf_free(&b);
}

/* words NULL: the file has a list of zeros under the key, up to `last`. */
static void opened_or_refused(const char *path, int64_t last, const char *words)
{
    struct tensorfile *f = NULL;
    struct err err;
    int rc = tensorfile_open(path, &f, &err);

    if (words) {
        assert_int_equal(rc, ERR_INVALID);
        assert_contains(err.text, words);
        return;
    }
    assert_ok(rc, err);
    assert_true(gguf_number(tensorfile_kv_array(f, "key"), last) == 0);
    tensorfile_close(f);
}

static void sparse_gguf_takes_little_memory(void **state)
{
    static const struct {
        uint64_t tensors, kvs;
        int type, of;
        uint64_t len;
        const char *words; /* NULL: it can be read */
    } cases[] = {
        {0, 1, 9, 0, 1ull << 32, NULL},  /* a list of numbers */
        {0, 1, 9, 12, 1ull << 29, NULL}, /* of eight bytes each */
        {0, 1, 9, 8, 1ull << 30, "an array in its header has 1073741824 strings"},
        {0, 1, 8, 0, 1ull << 32, "holds a NUL byte"},
        {0, 1ull << 30, -1, 0, 0, "cut off or damaged"},
        {1ull << 27, 0, -1, 0, 0, "cut off or damaged"},
        {1 << 20, 0, -1, 0, 0, "a name in the header has 0 bytes"},
        {0, 1 << 16, -1, 0, 0, "a name in the header has 0 bytes"},
    };
    char *folder = new_folder(), *path = file_join(folder, "sparse.gguf");
    struct rusage before, after;

    (void)state;
    getrusage(RUSAGE_SELF, &before);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_sparse(path, cases[i].tensors, cases[i].kvs, cases[i].type, cases[i].of,
                     cases[i].len);
        opened_or_refused(path, (int64_t)cases[i].len - 1, cases[i].words);
    }
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 64 << 10);
    free(path);
    remove_folder(folder);
}

/* Lengths of texts are read again when they are used, and may have become others. */
static void texts_that_grew_since_are_not_followed(void **state)
{
    const struct gguf_array *a;
    const uint8_t *at = NULL;
    const char *text;
    struct tensorfile *f;
    struct buf b = {0};
    struct err err;
    size_t len;

    (void)state;
    start_gguf(&b, 3, 0, 1);
    put_array_of_strings(&b, "strings");
    assert_ok(tensorfile_from_memory(b.data, b.len, "made", &f, &err), err);
    a = tensorfile_kv_array(f, "strings");
    assert_true(gguf_next_text(a, &at, &text, &len));
    b.data[b.len - 8] = 1;
    assert_false(gguf_next_text(a, &at, &text, &len));
    memset(b.data + b.len - 8, 0xff, 8);
    assert_false(gguf_next_text(a, &at, &text, &len));
    tensorfile_close(f);
    buf_free(&b);
}

static void type_number_from_the_future_is_unsupported_not_fatal(void **state)
{
    struct buf b = {0};
    struct tensorfile *f;
    struct err err;

    (void)state;
    start_gguf(&b, 3, 1, 0);
    put_info(&b, "w", 16, 2, 4711, 0);
    put_data(&b, 100);
    assert_ok(tensorfile_from_memory(b.data, b.len, "made", &f, &err), err);
    assert_int_equal(tensorfile_at(f, 0)->type, TENSOR_UNSUPPORTED);
    assert_string_equal(tensorfile_at(f, 0)->type_name, "number 4711");
    tensorfile_close(f);
    buf_free(&b);
}

static void wrong_safetensors_is_refused_in_words(void **state)
{
    struct buf b = {0};

    (void)state;
    header_only(&b, "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4);
    refused(&b, ERR_INVALID, "cut off");
    header_only(&b, "{\"w\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8);
    refused(&b, ERR_INVALID, "not what its shape and type F32 need");
    header_only(&b, "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 9);
    refused(&b, ERR_INVALID, "damaged");
    header_only(&b, "{\"w\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8);
    refused(&b, ERR_INVALID, "dimension");
    header_only(&b, "{\"w\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8);
    refused(&b, ERR_INVALID, "no shape");
    header_only(&b, "{\"w\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8);
    refused(&b, ERR_INVALID, "no dtype");
    header_only(&b, "{\"w\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8);
    refused(&b, ERR_INVALID, "no data_offsets");
    header_only(&b, "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8);
    refused(&b, ERR_INVALID, "no data_offsets");
    header_only(&b, "{\"w\":7}", 8);
    refused(&b, ERR_INVALID, "no dtype");
    header_only(&b,
                "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                "\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}",
                16);
    refused(&b, ERR_INVALID, "duplicate");
    header_only(&b,
                "{\"w\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
                "\"v\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
                16);
    refused(&b, ERR_INVALID, "overlap");
    header_only(&b, "{\"w\":", 0);
    refused(&b, ERR_INVALID, "not JSON");
    header_only(&b, "{\"__metadata__\":{\"a\":1}}", 0);
    refused(&b, ERR_INVALID, "'a' is not a string");
    b.len = 0;
    buf_puts(&b, "PK\3\4 and so on");
    refused(&b, ERR_UNSUPPORTED, "pickle");
    b.len = 0;
    buf_puts(&b, "version https://git-lfs.github.com/spec/v1\n");
    refused(&b, ERR_INVALID, "Git LFS pointer");
    b.len = 0;
    buf_puts(&b, "hello, this is only a text");
    refused(&b, ERR_INVALID, "neither a safetensors nor a GGUF");
    buf_free(&b);
}

static void files_that_cannot_be_opened_say_why(void **state)
{
    char *folder = new_folder(), *path = file_join(folder, "empty");
    struct tensorfile *f = NULL;
    struct err err;

    (void)state;
    assert_int_equal(tensorfile_open("/nowhere/at all", &f, &err), ERR_IO);
    assert_contains(err.text, "No such file");
    assert_int_equal(tensorfile_open(folder, &f, &err), ERR_INVALID);
    assert_contains(err.text, "not a regular file");
    write_text(folder, "empty", "");
    assert_int_equal(tensorfile_open(path, &f, &err), ERR_INVALID);
    assert_contains(err.text, "empty");
    free(path);
    remove_folder(folder);
}

static void what_is_encoded_is_read_back(void **state)
{
    static const float a[6] = {1, 2, 3, 4, 5, -0.0f};
    static const double b[2] = {0.1, -7};
    static const int64_t c[1] = {1ll << 40};
    const struct tensor_out tensors[] = {
        {"z \"quoted\" \xc3\xbc", TENSOR_F32, 2, {2, 3}, a},
        {"b", TENSOR_F64, 1, {2}, b},
        {"c", TENSOR_I64, 0, {0}, c},
        {"empty", TENSOR_I32, 2, {0, 5}, NULL},
    };
    const struct tensor_out turned[] = {tensors[3], tensors[2], tensors[1], tensors[0]};
    const char *const metadata[] = {"format", "pt", "a", "b"};
    const char *const metadata_turned[] = {"a", "b", "format", "pt"};
    struct buf one = {0}, two = {0};
    struct tensorfile *f;
    struct err err;
    float values[6];

    (void)state;
    assert_ok(safetensors_encode(tensors, 4, metadata, 2, &one, &err), err);
    assert_ok(safetensors_encode(turned, 4, metadata_turned, 2, &two, &err), err);
    assert_int_equal(one.len, two.len);
    assert_memory_equal(one.data, two.data, one.len);
    assert_ok(tensorfile_from_memory(one.data, one.len, "made", &f, &err), err);
    assert_int_equal(tensorfile_count(f), 4);
    assert_string_equal(tensorfile_metadata(f, "format"), "pt");
    assert_null(tensorfile_metadata(f, "absent"));
    assert_ok(tensor_read_f32(tensorfile_find(f, tensors[0].name), 0, 2, values, &err), err);
    assert_memory_equal(values, a, sizeof(a));
    assert_memory_equal(tensorfile_find(f, "b")->data, b, sizeof(b));
    assert_memory_equal(tensorfile_find(f, "c")->data, c, sizeof(c));
    assert_int_equal(tensorfile_find(f, "empty")->bytes, 0);
    assert_int_equal(tensor_read_f32(tensorfile_find(f, "c"), 0, 1, values, &err), ERR_INVALID);
    assert_contains(err.text, "integers");
    tensorfile_close(f);
    buf_free(&one);
    buf_free(&two);
}

static void names_that_cannot_be_written_are_refused(void **state)
{
    static const float a[1] = {1};
    const struct tensor_out twice[] = {{"w", TENSOR_F32, 1, {1}, a}, {"w", TENSOR_F32, 1, {1}, a}};
    const struct tensor_out bytes[] = {{"\xff", TENSOR_F32, 1, {1}, a}};
    struct buf b = {0};
    struct err err;

    (void)state;
    assert_int_equal(safetensors_encode(twice, 2, NULL, 0, &b, &err), ERR_INVALID);
    assert_contains(err.text, "two tensors have the name 'w'");
    assert_int_equal(safetensors_encode(bytes, 1, NULL, 0, &b, &err), ERR_INVALID);
    assert_contains(err.text, "UTF-8");
    buf_free(&b);
}

/* Opens and, if that works, reads the first rows of everything. */
static void try_to_read(const char *bytes, size_t len)
{
    struct tensorfile *f;
    struct err err;

    if (len == 0 || tensorfile_from_memory(bytes, len, "damaged", &f, &err) < 0)
        return;
    for (int i = 0; i < tensorfile_count(f); i++) {
        const struct tensor *t = tensorfile_at(f, i);
        int64_t width = tensor_row_elements(t);
        float *row = width <= 1 << 20 ? malloc((size_t)width * sizeof(float) + 1) : NULL;
        if (row && tensor_elements(t) > 0)
            tensor_read_f32(t, t->n_dims < 2 ? 0 : t->shape[0] - 1, 1, row, &err);
        free(row);
    }
    tensorfile_close(f);
}

static const char *const golden_files[] = {
    GOLDEN("gguf_types.gguf"),
    GOLDEN("gguf_types.safetensors"),
    GOLDEN("tiny/model.gguf"),
    GOLDEN("tiny/model/model.safetensors"),
    GOLDEN("tiny/init/adapter_model.safetensors"),
};
enum { GOLDEN_FILES = sizeof(golden_files) / sizeof(golden_files[0]) };

static void no_damage_makes_a_reader_crash(void **state)
{
    uint64_t random = 20240901;
    struct err err;
    char *bytes;
    size_t len;

    (void)state;
    for (int i = 0; i < GOLDEN_FILES; i++) {
        assert_ok(file_read(golden_files[i], 1 << 30, &bytes, &len, &err), err);
        for (int k = 0; k < DAMAGES / GOLDEN_FILES; k++) {
            char *copy = damaged_copy(bytes, len, k % 2 ? 512 : 4096, &random);
            try_to_read(copy, len);
            free(copy);
        }
        free(bytes);
    }
}

static void every_cut_is_refused(void **state)
{
    struct tensorfile *f;
    struct err err;
    char *bytes;
    size_t len;

    (void)state;
    for (int i = 0; i < GOLDEN_FILES; i++) {
        assert_ok(file_read(golden_files[i], 1 << 30, &bytes, &len, &err), err);
        /* the golden GGUFs are padded at their ends by less than 32 bytes */
        for (size_t cut = 1; cut < len - 32; cut += cut < 3000 ? 1 : len / 97) {
            char *copy = malloc(cut);
            memcpy(copy, bytes, cut);
            f = NULL;
            assert_true(tensorfile_from_memory(copy, cut, "cut", &f, &err) < 0);
            assert_null(f);
            free(copy);
        }
        free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_gguf_type_equals_the_reference_bit_for_bit),
        cmocka_unit_test(any_run_of_rows_equals_that_part_of_the_whole),
        cmocka_unit_test(unreadable_type_is_listed_and_refused_by_name_when_read),
        cmocka_unit_test(rows_that_do_not_exist_are_refused),
        cmocka_unit_test(names_that_are_not_there_are_not_found),
        cmocka_unit_test(gguf_keys_are_read_with_their_types),
        cmocka_unit_test(arrays_of_every_kind_are_read),
        cmocka_unit_test(wrong_gguf_is_refused_in_words),
        cmocka_unit_test(sparse_gguf_takes_little_memory),
        cmocka_unit_test(texts_that_grew_since_are_not_followed),
        cmocka_unit_test(type_number_from_the_future_is_unsupported_not_fatal),
        cmocka_unit_test(wrong_safetensors_is_refused_in_words),
        cmocka_unit_test(files_that_cannot_be_opened_say_why),
        cmocka_unit_test(what_is_encoded_is_read_back),
        cmocka_unit_test(names_that_cannot_be_written_are_refused),
        cmocka_unit_test(no_damage_makes_a_reader_crash),
        cmocka_unit_test(every_cut_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
