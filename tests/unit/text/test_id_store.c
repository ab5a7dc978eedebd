/* tests/unit/text/test_id_store.c - what was added stays where it is and what it is, in memory and
 * in a file. */
#include "tests/unit/support.h"
#include "core/text/id_store.h"
#include <stdlib.h>

enum { LENGTH = 5000, ROWS = 3000 }; /* 120 MB */

static void fill(int32_t *ids, int32_t *labels, int row)
{
    for (int i = 0; i < LENGTH; i++) {
        ids[i] = row * 7 + i;
        labels[i] = -row - i;
    }
}

static void check_rows(const char *folder)
{
    static int32_t ids[LENGTH], labels[LENGTH];
    const int32_t **at = calloc(ROWS, sizeof(*at));
    struct id_store s = {.folder = folder};
    struct err err;

    for (int row = 0; row < ROWS; row++) {
        fill(ids, labels, row);
        assert_ok(id_store_add(&s, ids, labels, LENGTH, &at[row], &err), err);
    }
    assert_ok(id_store_finish(&s, &err), err);
    assert_int_equal(s.in_file > 0, folder != NULL);
    assert_true((s.in_memory > 0) == (folder == NULL));
    for (int row = 0; row < ROWS; row++) {
        fill(ids, labels, row);
        assert_memory_equal(at[row], ids, sizeof(ids));
        assert_memory_equal(at[row] + LENGTH, labels, sizeof(labels));
    }
    id_store_close(&s);
    free(at);
}

static void rows_stay_in_memory_without_a_folder(void **state)
{
    (void)state;
    check_rows(NULL);
}

static void rows_that_are_many_are_in_a_file_without_a_name(void **state)
{
    char *folder = new_folder();

    (void)state;
    check_rows(folder);
    assert_int_equal(rmdir(folder), 0); /* nothing is left there */
    free(folder);
}

static void a_folder_that_is_gone_is_named(void **state)
{
    static int32_t row[1 << 20];
    struct id_store s = {.folder = "/nowhere/at all"};
    const int32_t *at;
    struct err err;
    int rc = 0;

    (void)state;
    for (int i = 0; i < 20 && rc == 0; i++)
        rc = id_store_add(&s, row, row, 1 << 20, &at, &err);
    assert_int_equal(rc, ERR_IO);
    assert_contains(err.text, "/nowhere/at all: the tokens of the data cannot be kept");
    id_store_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_stay_in_memory_without_a_folder),
        cmocka_unit_test(rows_that_are_many_are_in_a_file_without_a_name),
        cmocka_unit_test(a_folder_that_is_gone_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
