/* tests/unit/core/test_memory.c - memory that a process keeps to by itself. */
#include "core/memory.h"
#include "tests/unit/support.h"

enum { MB = 1 << 20 };

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static struct err err;

static void what_is_used_counts_and_what_is_reserved_does_not(void **state)
{
    char *untouched = malloc((size_t)512 * MB), *used, *refused;

    (void)state;
    assert_non_null(untouched);
    assert_ok(memory_keep_to(64.0 * MB, 16.0 * MB, &err), err);
    used = malloc((size_t)48 * MB);
    assert_non_null(used);
    refused = malloc((size_t)48 * MB);
    assert_null(refused);
    memset(used, 1, (size_t)48 * MB);
    assert_ok(memory_keep_to(64.0 * MB, 16.0 * MB, &err), err);
    memset(untouched, 1, (size_t)32 * MB);
    assert_int_equal(memory_keep_to(64.0 * MB, 16.0 * MB, &err), ERR_NOMEM);
    assert_contains(err.text, "it uses ");
    free(untouched);
    assert_ok(memory_keep_to(64.0 * MB, 16.0 * MB, &err), err);
    free(used);
}
#endif

static void a_reserve_grows_with_threads(void **state)
{
    (void)state;
    assert_true(memory_reserve(4, false) > memory_reserve(1, false));
    assert_true(memory_reserve(4, true) > memory_reserve(4, false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(what_is_used_counts_and_what_is_reserved_does_not),
#endif
        cmocka_unit_test(a_reserve_grows_with_threads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
