/* tests/unit/tensor/test_quant.c - numbers as a tensor file holds them: the bytes of
 * quantised.gguf, which gguf.quantize() of gguf-py 0.19 made of its tensor "values". */
#include "tests/unit/support.h"
#include "core/tensor/dequant.h"
#include "core/tensor/gguf_write.h"
#include "core/tensor/quant.h"
#include "core/tensor/tensorfile.h"
#include "core/tensor/weight.h"
#include <float.h>
#include <math.h>

static struct tensorfile *open_file(const char *path)
{
    struct tensorfile *f = NULL;
    struct err err;

    assert_ok(tensorfile_open(path, &f, &err), err);
    return f;
}

static void bytes_are_those_of_the_reference(void **state)
{
    struct tensorfile *f = open_file(GOLDEN("quantised.gguf"));
    const struct tensor *values = tensorfile_find(f, "values");
    int64_t n = tensor_elements(values);
    float *x = malloc((size_t)n * sizeof(*x));
    int compared = 0;

    (void)state;
    memcpy(x, values->data, (size_t)n * sizeof(*x));
    for (int i = 0; i < tensorfile_count(f); i++) {
        const struct tensor *t = tensorfile_at(f, i);
        uint8_t *made = malloc(t->bytes);
        assert_true(quant_can(t->type));
        assert_true(quant(t->type, x, n, made) == n);
        for (size_t at = 0; at < t->bytes; at++)
            if (made[at] != ((const uint8_t *)t->data)[at])
                fail_msg("%s: byte %zu of block %zu differs", t->name,
                         at % (size_t)tensor_layout(t->type)->block_bytes,
                         at / (size_t)tensor_layout(t->type)->block_bytes);
        compared++;
        free(made);
    }
    assert_int_equal(compared, 8);
    free(x);
    tensorfile_close(f);
}

/* Every f16 and bf16 is what it was after it has been read and written. */
static void sixteen_bits_survive(void **state)
{
    static const enum tensor_type types[] = {TENSOR_F16, TENSOR_BF16};

    (void)state;
    for (int i = 0; i < 2; i++)
        for (uint32_t bits = 0; bits < 1 << 16; bits++) {
            uint16_t in = (uint16_t)bits, out = 0;
            float x;
            dequant(types[i], &in, 1, &x);
            if (!isfinite(x))
                continue;
            assert_true(quant(types[i], &x, 1, &out) == 1);
            assert_int_equal(out, in);
        }
}

static void what_does_not_fit_is_found(void **state)
{
    float x[64] = {0};
    uint8_t out[256];

    (void)state;
    x[33] = 65520; /* rounds to infinity */
    assert_true(quant(TENSOR_F16, x, 64, out) == 33);
    x[33] = 65519.99F;
    assert_true(quant(TENSOR_F16, x, 64, out) == 64);
    x[33] = -FLT_MAX;
    assert_true(quant(TENSOR_BF16, x, 64, out) == 33);
    assert_true(quant(TENSOR_F32, x, 64, out) == 64);
    assert_true(quant(TENSOR_Q8_0, x, 64, out) == 32);
    assert_true(quant(TENSOR_Q4_0, x, 64, out) == 32);
    x[33] = -70000; /* its scale fits, its minimum does not */
    assert_true(quant(TENSOR_Q4_1, x, 64, out) == 32);
    assert_true(quant(TENSOR_Q4_0, x, 64, out) == 64);
    assert_false(quant_can(TENSOR_Q4_K));
    assert_false(quant_can(TENSOR_F64));
}

static bool is_dropped(const char *key, void *context)
{
    return strcmp(key, context) == 0;
}

/* A header is read back as it was put, and keys of another file as they lay there. */
static void a_header_is_read_back(void **state)
{
    const struct tensor_out tensor = {
        .name = "t", .type = TENSOR_F32, .n_dims = 2, .shape = {3, 5}};
    struct gguf_out o = {.alignment = GGUF_ALIGNMENT}, again = {.alignment = GGUF_ALIGNMENT};
    char *folder = new_folder(), *path = file_join(folder, "a.gguf");
    struct file_writer w;
    struct tensorfile *f;
    struct err err;
    float numbers[15] = {1, 2, 3};
    double number;

    (void)state;
    gguf_put_string(&o, "general.name", "a name");
    gguf_put_u32(&o, "count", 4000000000U);
    gguf_put_f32(&o, "scale", 0.5F);
    assert_true(gguf_put_tensor(&o, &tensor) == sizeof(numbers));
    assert_ok(gguf_out_begin(&o, path, &w, &err), err);
    assert_ok(file_writer_add(&w, numbers, sizeof(numbers), &err), err);
    assert_ok(gguf_out_pad(&o, sizeof(numbers), &w, &err), err);
    assert_ok(file_writer_commit(&w, &err), err);
    f = open_file(path);
    assert_string_equal(tensorfile_kv_string(f, "general.name"), "a name");
    assert_true(tensorfile_kv_number(f, "count", &number) && number == 4000000000.0);
    assert_true(tensorfile_kv_number(f, "scale", &number) && number == 0.5);
    assert_memory_equal(tensorfile_find(f, "t")->data, numbers, sizeof(numbers));
    assert_int_equal(tensorfile_find(f, "t")->shape[1], 5);
    assert_ok(gguf_copy_keys(&again, f, is_dropped, "none", &err), err);
    assert_int_equal(again.keys.len, o.keys.len);
    assert_memory_equal(again.keys.data, o.keys.data, o.keys.len);
    assert_ok(gguf_copy_keys(&again, f, is_dropped, "count", &err), err);
    assert_int_equal(again.n_keys, 3 + 2);
    tensorfile_close(f);
    gguf_out_free(&o);
    gguf_out_free(&again);
    free(path);
    remove_folder(folder);
}

static void rows_of_a_map_and_of_its_tensor_are_inverse(void **state)
{
    const struct weight_source source = {.interleaved = 6}, in_order = {.interleaved = 0};

    (void)state;
    for (int64_t row = 0; row < 18; row++) {
        assert_true(weight_matrix_row(&source, weight_source_row(&source, row)) == row);
        assert_true(weight_source_row(&source, weight_matrix_row(&source, row)) == row);
        assert_true(weight_matrix_row(&in_order, row) == row);
    }
    assert_true(weight_matrix_row(&source, 1) == 3); /* beside the first of its half */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_those_of_the_reference),
        cmocka_unit_test(sixteen_bits_survive),
        cmocka_unit_test(what_does_not_fit_is_found),
        cmocka_unit_test(a_header_is_read_back),
        cmocka_unit_test(rows_of_a_map_and_of_its_tensor_are_inverse),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
