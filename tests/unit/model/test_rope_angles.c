/* tests/unit/model/test_rope_angles.c - the numbers of Llama 3's scaling are found in what it made,
 * rounded to f32 as a GGUF has it; other divisors have none. */
#include "tests/unit/support.h"
#include "core/model/rope_angles.h"
#include <math.h>

enum { PAIRS = 64 };
static const double theta = 500000;

/* frequencies divided by what a GGUF holds */
static struct rope_angles scaled_by(const struct rope_llama3 *s, int pairs)
{
    struct rope_angles plain, exact;

    rope_plain(&plain, pairs, theta);
    exact = plain;
    rope_scale_llama3(&exact, pairs, s);
    for (int i = 0; i < pairs; i++)
        exact.freq[i] = plain.freq[i] / (double)(float)(plain.freq[i] / exact.freq[i]);
    return exact;
}

static struct rope_llama3 found(const struct rope_llama3 *s, int pairs)
{
    struct rope_angles plain, scaled = scaled_by(s, pairs), again;
    struct rope_llama3 ret;

    rope_plain(&plain, pairs, theta);
    assert_true(rope_find_llama3(&plain, &scaled, pairs, &ret));
    again = plain;
    rope_scale_llama3(&again, pairs, &ret);
    for (int i = 0; i < pairs; i++)
        assert_true(fabs(again.freq[i] / scaled.freq[i] - 1) < 1e-6);
    return ret;
}

static void the_models_numbers_are_found(void **state)
{
    const struct rope_llama3 llama31 = {8, 1, 4, 8192}, llama32 = {32, 1, 4, 8192};
    const struct rope_llama3 other = {4, 1, 4, 2048};
    struct rope_llama3 f;

    (void)state;
    f = found(&llama31, PAIRS);
    assert_memory_equal(&f, &llama31, sizeof(f));
    f = found(&llama32, PAIRS / 2);
    assert_memory_equal(&f, &llama32, sizeof(f));
    f = found(&other, PAIRS);
    assert_memory_equal(&f, &other, sizeof(f));
}

static void others_are_found_up_to_what_counts(void **state)
{
    const struct rope_llama3 wide = {8, 2, 6, 5000}, odd = {7.5, 1, 3, 3333};
    struct rope_llama3 f = found(&wide, PAIRS);

    (void)state;
    assert_true(f.low == 1 && f.high == 3 && f.original == 2500);
    f = found(&odd, PAIRS);
    assert_true(f.factor == 7.5 && f.original == 3333);
    found(&wide, 4); /* none is blended */
}

static void others_have_none(void **state)
{
    const struct rope_llama3 llama31 = {8, 1, 4, 8192};
    struct rope_angles plain, scaled = scaled_by(&llama31, PAIRS);
    struct rope_llama3 ret;

    (void)state;
    rope_plain(&plain, PAIRS, theta);
    scaled.freq[PAIRS - 1] *= 1.001;
    assert_false(rope_find_llama3(&plain, &scaled, PAIRS, &ret));
    scaled = plain;
    scaled.freq[0] /= 3; /* the fastest alone */
    assert_false(rope_find_llama3(&plain, &scaled, PAIRS, &ret));
    scaled = plain;
    scaled.freq[0] *= 2; /* faster */
    assert_false(rope_find_llama3(&plain, &scaled, PAIRS, &ret));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_models_numbers_are_found),
        cmocka_unit_test(others_are_found_up_to_what_counts),
        cmocka_unit_test(others_have_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
