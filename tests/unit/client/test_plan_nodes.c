/* tests/unit/client/test_plan_nodes.c - nodes of a partition, from what sinfo prints. */
#include "client/plan_nodes.h"
#include "tests/unit/support.h"

static const char printed[] = "main* 64 256000\nbig 128 1024000\nbig 96 512000\nmain* 48 300000\n"
                              "odd n/a 5\n\n";

static void a_partition_has_the_least_of_its_nodes(void **state)
{
    struct node n = {0};

    (void)state;
    assert_true(plan_nodes_read_sinfo(printed, "big", &n));
    assert_int_equal(n.cores, 96);
    assert_true(n.bytes == 512000.0 * (1 << 20));
    assert_true(plan_nodes_read_sinfo(printed, "main", &n));
    assert_int_equal(n.cores, 48);
    assert_true(n.bytes == 256000.0 * (1 << 20));
}

static void without_a_name_the_default_partition_counts(void **state)
{
    struct node n = {0};

    (void)state;
    assert_true(plan_nodes_read_sinfo(printed, NULL, &n));
    assert_int_equal(n.cores, 48);
}

static void other_words_name_no_nodes(void **state)
{
    struct node n = {0};

    (void)state;
    assert_false(plan_nodes_read_sinfo(printed, "odd", &n));
    assert_false(plan_nodes_read_sinfo(printed, "small", &n));
    assert_false(plan_nodes_read_sinfo("", NULL, &n));
    assert_int_equal(n.cores, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_partition_has_the_least_of_its_nodes),
        cmocka_unit_test(without_a_name_the_default_partition_counts),
        cmocka_unit_test(other_words_name_no_nodes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
