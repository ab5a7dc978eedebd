/* tests/unit/worker/test_sampling.c - the filters are those of transformers (sampling_golden.py
 * made the table), and tokens are drawn as often as they are likely. */
#include "tests/unit/support.h"
#include "core/json_file.h"
#include "worker/sampling.h"
#include <jansson.h>
#include <math.h>

enum { SEEN_MAX = 64 };

static struct err err;

static int read_numbers(const json_t *from, float *to)
{
    size_t i;
    json_t *x;

    json_array_foreach(from, i, x) to[i] =
        json_is_null(x) ? -INFINITY : (float)json_number_value(x);
    return (int)json_array_size(from);
}

static double number_of(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static void compare_case(const json_t *o)
{
    float logits[100], expected[100], ids[SEEN_MAX];
    int32_t seen[SEEN_MAX];
    int V = read_numbers(json_object_get(o, "logits"), logits);
    int n = read_numbers(json_object_get(o, "seen"), ids);
    const struct sampling how = {.temperature = number_of(o, "temperature"),
                                 .top_k = (int)number_of(o, "top_k"),
                                 .top_p = number_of(o, "top_p"),
                                 .repetition_penalty = number_of(o, "repetition_penalty")};
    struct sampler *s;

    read_numbers(json_object_get(o, "expected"), expected);
    for (int i = 0; i < n; i++)
        seen[i] = (int32_t)ids[i];
    assert_int_equal(sampler_open(V, &s, &err), 0);
    sampler_filter(s, &how, (const struct seen[]){{seen, n / 2}, {seen + n / 2, n - n / 2}}, 2,
                   logits);
    for (int v = 0; v < V; v++) {
        assert_int_equal(isinf(logits[v]) != 0, isinf(expected[v]) != 0);
        if (!isinf(logits[v]))
            assert_true(fabsf(logits[v] - expected[v]) <= 1e-6f * fabsf(expected[v]));
    }
    sampler_close(s);
}

static void filters_are_those_of_transformers(void **state)
{
    json_t *root = NULL, *o, *cases;
    size_t i;

    (void)state;
    assert_int_equal(json_file_read(GOLDEN("sampling.json"), 16 << 20, &root, &err), 0);
    cases = json_object_get(root, "cases");
    assert_true(json_array_size(cases) > 90);
    json_array_foreach(cases, i, o) compare_case(o);
    json_decref(root);
}

static void tokens_are_drawn_as_often_as_they_are_likely(void **state)
{
    enum { DRAWS = 20000, V = 5 };
    static const float logits[V] = {0, 1, -1, 2, -8};
    const struct sampling how = {
        .temperature = 2, .top_k = 4, .top_p = 0.85, .repetition_penalty = 1, .seed = 5};
    /* exp(logit / 2) of 3, 1 and 0, which together have 0.9: p = 2.718, 1.649, 1 of 5.367 */
    static const double p[V] = {0.18632, 0.30719, 0, 0.50649, 0};
    int found[V] = {0};
    struct sampler *s;

    (void)state;
    assert_int_equal(sampler_open(V, &s, &err), 0);
    for (int i = 0; i < DRAWS; i++) {
        float copy[V];
        memcpy(copy, logits, sizeof(copy));
        found[sampler_next(s, &how, NULL, 0, i / 100, i % 100, copy)]++;
    }
    for (int v = 0; v < V; v++)
        assert_true(fabs((double)found[v] / DRAWS - p[v]) < 0.012);
    sampler_close(s);
}

static void without_a_temperature_the_likeliest_is_taken(void **state)
{
    const struct sampling how = sampling_default();
    struct sampling penalised = how;
    const int32_t ids[] = {2, 2};
    float logits[] = {1, 3, 4, 3}, again[] = {1, 3, 4, 3};
    struct sampler *s;

    (void)state;
    penalised.repetition_penalty = 2;
    assert_int_equal(sampler_open(4, &s, &err), 0);
    assert_int_equal(sampler_next(s, &how, &(struct seen){ids, 2}, 1, 0, 0, logits), 2);
    assert_int_equal(sampler_next(s, &penalised, &(struct seen){ids, 2}, 1, 0, 0, again), 1);
    sampler_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filters_are_those_of_transformers),
        cmocka_unit_test(tokens_are_drawn_as_often_as_they_are_likely),
        cmocka_unit_test(without_a_temperature_the_likeliest_is_taken),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
