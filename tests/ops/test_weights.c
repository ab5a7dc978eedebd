/* tests/ops/test_weights.c - products with frozen matrices in the forms of files: they have the
 * bits of products with the expanded matrix. */
#include "core/tensor/dequant.h"
#include "tests/ops/check.h"
#include "worker/ops/bf16_kernel.h"
#include "worker/ops/gemm.h"

enum { ROWS = 100, COLUMNS = 768 };

static struct err err;

/* Any bytes: but scales, which are half floats, are finite and neither large nor small. */
static void *random_blocks(enum tensor_type type, size_t bytes, uint32_t stream)
{
    uint8_t *at = malloc(bytes);
    float *numbers = random_floats(bytes, stream);

    for (size_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)((numbers[i] + 1) * 127) & (type <= TENSOR_F64 ? 0x3f : 0xbf);
    free(numbers);
    return at;
}

static struct tensor new_tensor(enum tensor_type type, int rows, uint32_t stream)
{
    const struct tensor_layout *l = tensor_layout(type);
    struct tensor t = {.name = "w", .type = type, .type_name = l->name, .n_dims = 2};

    t.shape[0] = rows;
    t.shape[1] = COLUMNS;
    t.bytes = (size_t)rows * COLUMNS / (size_t)l->block_elements * (size_t)l->block_bytes;
    t.data = random_blocks(type, t.bytes, stream);
    return t;
}

/* Every number must be finite for equal bits to say something. */
static void tame(float *x, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_true(isfinite(x[i]));
}

static void compare(struct team *team, enum gemm_form form, int M, const struct weight *w,
                    const struct weight *expanded, int first, int last)
{
    int N = form == GEMM_NT ? last - first : COLUMNS, K = form == GEMM_NT ? COLUMNS : last - first;
    float *A = random_floats((size_t)M * (size_t)K, 3);
    float *got = random_floats((size_t)M * (size_t)N, 4);
    float *want = random_floats((size_t)M * (size_t)N, 4);

    gemm_weight(team, form, M, w, first, last, (struct matrix){A, K}, 1, got, N);
    gemm_weight(team, form, M, expanded, first, last, (struct matrix){A, K}, 1, want, N);
    assert_memory_equal(got, want, (size_t)M * (size_t)N * sizeof(*got));
    free(A), free(got), free(want);
}

/* Two tensors, the second in another form, one below the other. */
static void check_forms(enum tensor_type type, enum tensor_type other)
{
    struct tensor tensors[2] = {new_tensor(type, ROWS / 4, 1), new_tensor(other, ROWS * 3 / 4, 2)};
    const struct weight_source sources[2] = {{&tensors[0], 0}, {&tensors[1], 0}};
    float *values = malloc((size_t)ROWS * COLUMNS * sizeof(*values));
    static const int rows[] = {1, 3, 4, 77};
    struct weight w, expanded;

    assert_int_equal(weight_open(sources, 2, &w, &err), 0);
    weight_read_rows(&(struct weight_rows){&w, 0, ROWS}, values);
    tame(values, (size_t)ROWS * COLUMNS);
    expanded = weight_of_floats(values, ROWS, COLUMNS);
    for (int i = 0; i < 4; i++) {
        struct team *team = new_team(1 + i % 3);
        compare(team, GEMM_NT, rows[i], &w, &expanded, 0, ROWS);
        compare(team, GEMM_NN, rows[i], &w, &expanded, 0, ROWS);
        compare(team, GEMM_NT, rows[i], &w, &expanded, 20, 63);
        compare(team, GEMM_NN, rows[i], &w, &expanded, 20, 63);
        team_close(team);
    }
    weight_close(&w);
    free(values);
    free((void *)tensors[0].data), free((void *)tensors[1].data);
}

static void every_form_gives_the_bits_of_the_expanded_matrix(void **state)
{
    (void)state;
    for (int type = 0; type < TENSOR_UNSUPPORTED; type++)
        if (type != TENSOR_I32 && type != TENSOR_I64)
            check_forms((enum tensor_type)type, type % 2 ? TENSOR_Q8_0 : TENSOR_BF16);
}

static double bf16(float x)
{
    uint32_t bits;
    float rounded;

    memcpy(&bits, &x, sizeof(bits));
    bits += 0x7fff + (bits >> 16 & 1);
    bits &= 0xffff0000;
    memcpy(&rounded, &bits, sizeof(rounded));
    return (double)rounded;
}

/* Rows [first, last) of w: C = A W^T or A W, factors rounded, one number of C. */
static double rounded_element(enum gemm_form form, const float *A, const float *w, int columns,
                              int first, int K, int i, int j)
{
    double sum = 0;

    for (int k = 0; k < K; k++) {
        float b = form == GEMM_NT ? w[(size_t)(first + j) * (size_t)columns + (size_t)k]
                                  : w[(size_t)(first + k) * (size_t)columns + (size_t)j];
        sum += bf16(A[(size_t)i * (size_t)K + (size_t)k]) * bf16(b);
    }
    return sum;
}

static void check_rounded(enum gemm_form form, int M, const struct weight *w, const float *values,
                          int first, int last)
{
    int N = form == GEMM_NT ? last - first : w->columns,
        K = form == GEMM_NT ? w->columns : last - first;
    size_t n = (size_t)M * (size_t)N;
    float *A = random_floats((size_t)M * (size_t)K, 3), *got[2];

    for (int threads = 1; threads <= 2; threads++) {
        struct team *team = new_team(threads);
        got[threads - 1] = random_floats(n, 4);
        gemm_weight(team, form, M, w, first, last, (struct matrix){A, K}, 1, got[threads - 1], N);
        team_close(team);
    }
    assert_memory_equal(got[0], got[1], n * sizeof(float));
    free(got[1]);
    got[1] = random_floats(n, 4);
    for (size_t i = 0; i < n; i += 7)
        assert_close("C", i, (double)got[0][i],
                     (double)got[1][i] + rounded_element(form, A, values, w->columns, first, K,
                                                         (int)(i / (size_t)N),
                                                         (int)(i % (size_t)N)));
    free(A), free(got[0]), free(got[1]);
}

static void bf16_rounds_both_factors_and_sums_in_f32(void **state)
{
    static const int rows[] = {1, 9, 300};
    struct weight w, odd; /* odd: its columns end in the middle of a pair */
    float *values;

    (void)state;
    if (!bf16_is_possible())
        skip();
    values = random_floats((size_t)ROWS * COLUMNS, 9);
    w = weight_of_floats(values, ROWS, COLUMNS);
    odd = weight_of_floats(values, ROWS, COLUMNS - 3);
    w.bf16 = odd.bf16 = true;
    for (int i = 0; i < 3; i++) {
        check_rounded(GEMM_NT, rows[i], &w, values, 0, ROWS);
        check_rounded(GEMM_NT, rows[i], &w, values, 20, 63);
        check_rounded(GEMM_NN, rows[i], &w, values, 20, 63);
        check_rounded(GEMM_NN, rows[i], &w, values, 0, ROWS);
        check_rounded(GEMM_NT, rows[i], &odd, values, 0, ROWS);
        check_rounded(GEMM_NN, rows[i], &odd, values, 20, 63);
    }
    free(values);
}

/* ---- what follows on a product ---- */

struct seen {
    const float *C;
    float *copy; /* of C as finish() finds it */
    int *times;  /* each number of C was there */
    int N, half; /* half: columns from a number to its fellow; 0: none */
};

static void look(const void *arg, int first, int last, int column, int columns)
{
    const struct seen *s = arg;

    for (int half = 0; half <= s->half; half += s->half ? s->half : 1)
        for (int i = first; i < last; i++)
            for (int j = column + half; j < column + half + columns; j++) {
                s->copy[i * s->N + j] = s->C[i * s->N + j];
                s->times[i * s->N + j]++;
            }
}

/* Two terms side by side, the second one not to C's end. */
static int some_terms(enum gemm_form form, int N, const float *A, const float *B,
                      struct gemm_term terms[2])
{
    enum { K = 24 };
    int cut = N / 3, end = N - 5;
    bool nt = form == GEMM_NT;

    terms[0] = (struct gemm_term){form, 0, cut, K, {A, 2 * K}, {B, nt ? K : N}};
    terms[1] = (struct gemm_term){
        form, cut, end - cut, K / 2, {A + K, 2 * K}, {nt ? B + cut * K : B + cut, nt ? K : N}};
    return 2;
}

/* By gemm_one(), which sums few rows in the order of many. */
static void apart(const struct gemm_then *then, int M, int N, float *C)
{
    for (int i = 0; then->bias && i < M * N; i++)
        C[i] += then->bias[i % N];
    for (int i = 0; i < then->n; i++) {
        const struct gemm_term *t = &then->terms[i];
        gemm_one(t->form, M, t->columns, t->K, 1, t->A, t->B, 1, C + t->column, N);
    }
}

static void check_then(struct team *team, enum gemm_form form, int M, const struct weight *w,
                       bool halves)
{
    int N = form == GEMM_NT ? ROWS : COLUMNS, K = form == GEMM_NT ? COLUMNS : ROWS;
    size_t n = (size_t)M * (size_t)N;
    float *A = random_floats((size_t)M * (size_t)K, 3), *bias = random_floats((size_t)N, 5);
    float *got = random_floats(n, 4), *want = random_floats(n, 4), *copy = random_floats(n, 6);
    float *u = random_floats((size_t)M * 48, 7), *B = random_floats((size_t)N * 48, 8);
    struct seen seen = {got, copy, calloc(n, sizeof(int)), N, halves ? N / 2 : 0};
    uint16_t *rounded = calloc(gemm_rounded((size_t)M, (size_t)K), sizeof(*rounded));
    struct gemm_then then = {
        .rounded = rounded, .bias = bias, .finish = look, .arg = &seen, .halves = halves};

    then.n = some_terms(form, N, u, B, then.terms);
    gemm_weight_then(team, form, M, w, 0, ROWS, (struct matrix){A, K}, 1, got, N, &then);
    gemm_weight(team, form, M, w, 0, ROWS, (struct matrix){A, K}, 1, want, N);
    apart(&then, M, N, want);
    assert_memory_equal(got, want, n * sizeof(*got));
    assert_memory_equal(got, copy, n * sizeof(*got));
    for (size_t i = 0; i < n; i++)
        assert_int_equal(seen.times[i], 1);
    free(A), free(bias), free(got), free(want), free(copy), free(u), free(B), free(seen.times);
    free(rounded);
}

static void what_follows_on_a_product_has_the_bits_of_passes_of_their_own(void **state)
{
    static const int rows[] = {1, 3, 9, 77, 300};
    struct tensor t = new_tensor(TENSOR_Q4_1, ROWS, 1);
    struct weight w;

    (void)state;
    assert_int_equal(weight_open(&(struct weight_source){&t, 0}, 1, &w, &err), 0);
    for (int bf16 = 0; bf16 <= (bf16_is_possible() ? 1 : 0); bf16++) {
        w.bf16 = bf16;
        for (int i = 0; i < 5; i++)
            for (int threads = 1; threads <= 3; threads++) {
                struct team *team = new_team(threads);
                check_then(team, GEMM_NT, rows[i], &w, false);
                check_then(team, GEMM_NT, rows[i], &w, true);
                check_then(team, GEMM_NN, rows[i], &w, false);
                team_close(team);
            }
    }
    weight_close(&w);
    free((void *)t.data);
}

static void integers_are_no_weights(void **state)
{
    struct tensor t = new_tensor(TENSOR_I32, 4, 1);
    struct weight w;

    (void)state;
    assert_int_equal(weight_open(&(struct weight_source){&t, 0}, 1, &w, &err), ERR_INVALID);
    free((void *)t.data);
}

/* Row 2j + i of a head of D in the file is row i D/2 + j. */
static void rows_of_interleaved_heads_are_put_back(void **state)
{
    enum { D = 6, N = 2 * D };
    float values[N][COLUMNS], row[COLUMNS];
    struct tensor t = {"q", TENSOR_F32, "F32", 2, {N, COLUMNS}, values, sizeof(values)};
    struct weight w;

    (void)state;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < COLUMNS; j++)
            values[i][j] = (float)i;
    assert_int_equal(weight_open(&(struct weight_source){&t, D}, 1, &w, &err), 0);
    for (int i = 0; i < N; i++) {
        weight_read(&w, i, 0, COLUMNS, row);
        assert_int_equal((int)row[0], i / D * D + 2 * (i % D % 3) + i % D / 3);
    }
    weight_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_gives_the_bits_of_the_expanded_matrix),
        cmocka_unit_test(bf16_rounds_both_factors_and_sums_in_f32),
        cmocka_unit_test(what_follows_on_a_product_has_the_bits_of_passes_of_their_own),
        cmocka_unit_test(integers_are_no_weights),
        cmocka_unit_test(rows_of_interleaved_heads_are_put_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
